//! A user's own page: what their workspace does, and what they can do with it.

use std::time::Duration;

use http::{Response, StatusCode};

use super::{Front, answer::Refusal, reply};
use crate::{
    forward::Body,
    names::Username,
    pages::{self, HomeApp, HomeSsh},
    session::Entry,
    workspace::{StopError, StopReason},
};

/// The page.
pub fn page(front: &Front, entry: &Entry) -> Response<Body> {
    let user = &entry.claims.user;
    let status = front.shared.workspaces.status(user);
    let granted = entry.claims.apps.as_ref();
    let apps = front.shared.config.apps.iter();
    let apps = apps.filter(|(name, _)| granted.is_none_or(|granted| granted.contains(name)));
    let apps = apps.map(|(name, app)| HomeApp {
        title: &app.title,
        href: format!("/{name}/{user}/"),
        up: status.apps.iter().any(|up| up == name.as_str()),
    });
    let stops_in = status
        .stops_in_seconds
        .filter(|_| status.open == 0)
        .map(about);
    let html = pages::home(&pages::Home {
        user: user.as_str(),
        state: status.state,
        state_sentence: sentence(status.state).to_owned(),
        apps: apps.collect(),
        open: status.open,
        stops_in,
        update_pending: status.update_pending,
        can_stop: matches!(status.state, "running" | "paused"),
        ssh: ssh(front, user),
        notice: None,
    });
    reply::page(StatusCode::OK, html)
}

/// Stops the workspace, and shows the page again.
pub async fn stop(front: &Front, user: &Username) -> Result<Response<Body>, Refusal> {
    match front.shared.workspaces.stop(user, StopReason::User).await {
        // What is gone is stopped.
        Ok(()) | Err(StopError::NoContainer(_)) => Ok(reply::see_other("/")),
        Err(error) => Err(Refusal::Stop(error)),
    }
}

/// How long a password on the page is good for.
const PASSWORD: Duration = Duration::from_mins(5);

fn ssh(front: &Front, user: &Username) -> Option<HomeSsh> {
    let config = &front.shared.config;
    let port = config.ssh.listen.first()?.port();
    let authority = &config.site.authority;
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()))
        .map_or(authority.as_str(), |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    Some(HomeSsh {
        command: format!("ssh -p {port} {user}@{host}"),
        token: front.shared.sessions.ssh_token(user, PASSWORD),
    })
}

fn sentence(state: &str) -> &'static str {
    match state {
        "running" => "Everything is as you left it",
        "starting" => "It will be there in a moment",
        "stopping" => "It will be stopped in a moment",
        "paused" => "Opening it wakes it",
        "stopped" => "Opening it starts it again, with your files as you left them",
        _ => "Opening it makes it",
    }
}

/// A time as people say it.
fn about(seconds: u64) -> String {
    match seconds.div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes if minutes < 120 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes / 60),
    }
}
