//! A user's own page: what their workspace does, and what they can do with it.

use http::{Response, StatusCode, Uri};

use super::{Front, answer::Refusal, reply};
use crate::{
    forward::Body,
    names::Username,
    pages::{self, HomeApp},
    session::Entry,
    workspace::{KeepError, StopError, StopReason},
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
    let stop = front.shared.workspaces.explain(user).stop;
    let html = pages::home(&pages::Home {
        user: user.as_str(),
        state: status.state,
        state_sentence: sentence(status.state).to_owned(),
        apps: apps.collect(),
        open: status.open,
        stops_in: status.stops_in_seconds.map(about),
        about_to_stop: stop.is_some_and(|stop| stop.notice),
        update_pending: status.update_pending,
        can_stop: matches!(status.state, "running" | "paused"),
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

/// Keeps the workspace for as long as `for` in the query says, or for another time-out, and
/// shows the page again.
pub fn keep(front: &Front, user: &Username, uri: &Uri) -> Result<Response<Body>, Refusal> {
    let idle = &front.shared.config.idle;
    let usual = idle.policy.timeout.unwrap_or(idle.longest_keep);
    let asked = uri.query().unwrap_or_default().strip_prefix("for=");
    let asked = match asked.map(humantime::parse_duration) {
        None => usual.min(idle.longest_keep),
        Some(Ok(asked)) => asked,
        Some(Err(_)) => return Err(Refusal::Keep("`for` is a time such as 90m or 8h.".into())),
    };
    match front.shared.workspaces.keep(user, asked) {
        // What doesn't run isn't stopped either.
        Ok(_) | Err(KeepError::NotRunning) => Ok(reply::see_other("/")),
        Err(error) => Err(Refusal::Keep(error.to_string())),
    }
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
