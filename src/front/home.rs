//! A user's own page: what their workspace does and uses, and what they can do with it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, Uri};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::{
    Shared,
    answer::Refusal,
    progress::{event, events},
    reply, terminal,
    words::{about, capital, size},
};
use crate::{
    config::TERMINAL,
    forward::Body,
    names::Username,
    pages::{self, Fact, Gauge, HomeApp, HomeSsh, Keep, Live},
    session::{Entry, SSH},
    workspace::{Disk, Explanation, KeepError, Status, StopError, StopReason, Usage},
};

/// Where the page hears of changes.
const EVENTS: &str = "/_vestibule/live";
/// How often it is looked whether anything changed that nobody tells of.
const LOOK: Duration = Duration::from_secs(1);
/// Longest silence, so that a proxy in between doesn't take the stream for dead.
const BEAT: Duration = Duration::from_secs(15);
/// Longest such a stream lasts; the page asks again.
const LONGEST: Duration = Duration::from_mins(10);

/// The page.
pub fn page(shared: &Shared, entry: &Entry) -> Response<Body> {
    show(shared, entry, None)
}

/// The page with a password for SSH, which it shows this once.
pub fn password(shared: &Shared, entry: &Entry) -> Response<Body> {
    let claims = entry.claims();
    tracing::info!(target: "audit", event = "ssh_password", user = %claims.user,
        session = claims.session);
    let password = shared.sessions.ssh_password(claims, PASSWORD);
    show(shared, entry, Some(password))
}

fn show(shared: &Shared, entry: &Entry, password: Option<String>) -> Response<Body> {
    let user = &entry.claims().user;
    // Whoever loads the page looks: what is measured now, the next look shows.
    let usage = shared.workspaces.watch_usage(user);
    // Not held: what is asked for below may be changed by whoever waits for it.
    let usage = usage.borrow().clone();
    let html = pages::home(&pages::Home {
        user: user.as_str(),
        notice: None,
        events: EVENTS,
        ssh: ssh(shared, entry, password),
        live: live(shared, entry, &usage),
    });
    reply::page(StatusCode::OK, html)
}

/// Tells an open page of changes, until it leaves or the session ends. The engine is asked for
/// figures only meanwhile, once for all pages of one user.
pub fn stream(shared: &Arc<Shared>, entry: Entry) -> Response<Body> {
    // The page reads them as fast as they come, or is gone.
    let (sender, body) = mpsc::channel(2);
    let usage = shared.workspaces.watch_usage(&entry.claims().user);
    let shared = Arc::clone(shared);
    tokio::task::spawn_local(async move {
        // Cancel-safe: a page that isn't told any more asks again.
        tokio::select! {
            () = tell(&shared, &entry, usage, sender) => {}
            () = entry.live.ended.cancelled() => {}
            () = shared.stop.cancelled() => {}
        }
    });
    events(body)
}

async fn tell(
    shared: &Shared,
    entry: &Entry,
    mut usage: watch::Receiver<Usage>,
    page: mpsc::Sender<Bytes>,
) {
    let end = Instant::now() + LONGEST;
    let mut told = (String::new(), Instant::now());
    while Instant::now() < end {
        let seen = usage.borrow_and_update().clone();
        let html = pages::live(&live(shared, entry, &seen));
        let message = if html != told.0 {
            event("live", &json!(html))
        } else if told.1.elapsed() >= BEAT {
            Bytes::from_static(b":\n\n")
        } else {
            Bytes::new()
        };
        if !message.is_empty() {
            if page.send(message).await.is_err() {
                return;
            }
            told = (html, Instant::now());
        }
        tokio::select! {
            // The sender lives as long as the workspace: it is never closed.
            _ = timeout(LOOK, usage.changed()) => {}
            () = page.closed() => return,
        }
    }
}

/// Stops the workspace, and shows the page again.
pub async fn stop(shared: &Shared, user: &Username) -> Result<Response<Body>, Refusal> {
    match shared.workspaces.stop(user, StopReason::User).await {
        // What is gone is stopped.
        Ok(()) | Err(StopError::NoContainer(_)) => Ok(reply::see_other("/")),
        Err(error) => Err(Refusal::Stop(error)),
    }
}

fn live<'a>(shared: &'a Shared, entry: &Entry, usage: &Usage) -> Live<'a> {
    let user = &entry.claims().user;
    let status = shared.workspaces.status(user);
    let explained = shared.workspaces.explain(user);
    let runs = status.state == "running";
    let apps = shared.config.apps.iter();
    let apps = apps.filter(|(name, _)| entry.claims().grant(name.as_str()));
    let apps = apps.map(|(name, app)| HomeApp {
        title: &app.title,
        href: format!("/{name}/{user}/"),
        up: status.apps.iter().any(|up| up == name.as_str()),
    });
    let terminal = shared.config.terminal.iter();
    let terminal = terminal.filter(|_| entry.claims().grant(TERMINAL));
    let terminal = terminal.map(|_| HomeApp {
        title: terminal::TITLE,
        href: format!("/{TERMINAL}/{user}/"),
        up: runs,
    });
    Live {
        state: status.state,
        state_sentence: sentence(status.state).to_owned(),
        about_to_stop: status
            .stops_in_seconds
            .filter(|_| status.about_to_stop)
            .map(about),
        apps: apps.chain(terminal).collect(),
        gauges: gauges(usage, status.state, shared.config.workspace.cpu_millis),
        facts: facts(&status),
        why: why(&explained),
        keep: runs.then(|| longest_keep(shared.config.idle.longest_keep)),
        can_stop: matches!(status.state, "running" | "paused"),
    }
}

/// How long a password from the page is good for.
const PASSWORD: Duration = Duration::from_mins(5);

fn ssh(shared: &Shared, entry: &Entry, password: Option<String>) -> Option<HomeSsh> {
    let claims = entry.claims();
    let port = shared.config.ssh.listen.first()?.port();
    if !claims.grant(SSH) {
        return None;
    }
    let authority = &shared.config.site.authority;
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()))
        .map_or(authority.as_str(), |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    // The client would else print a link first, and wait for it.
    let way = match &password {
        Some(_) => "-o PreferredAuthentications=password ",
        None => "",
    };
    Some(HomeSsh {
        command: format!("ssh {way}-p {port} {}@{host}", claims.user),
        password,
    })
}

/// Keeps the workspace for as long as `for` in the query says, or for another time-out, and
/// shows the page again.
pub fn keep(shared: &Shared, user: &Username, uri: &Uri) -> Result<Response<Body>, Refusal> {
    let idle = &shared.config.idle;
    let usual = idle.policy.timeout.unwrap_or(idle.longest_keep);
    let asked = uri.query().unwrap_or_default().strip_prefix("for=");
    let asked = match asked.map(humantime::parse_duration) {
        None => usual.min(idle.longest_keep),
        Some(Ok(asked)) => asked,
        Some(Err(_)) => return Err(Refusal::Keep("`for` is a time such as 90m or 8h.".into())),
    };
    match shared.workspaces.keep(user, asked) {
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

fn gauges(usage: &Usage, state: &str, cpu_millis: u32) -> Vec<Gauge> {
    // What was measured of one that has stopped since is no longer so.
    let runs = state == "running";
    let cpu = usage.cpus.filter(|_| runs).map(|cpus| {
        let limit = f64::from(cpu_millis) / 1000.0;
        let percent = percent(cpus / limit);
        let one = cpu_millis == 1000;
        Gauge {
            label: "CPU",
            value: format!("{percent} %"),
            of: format!("of {limit} CPU{}", if one { "" } else { "s" }),
            percent: Some(percent),
        }
    });
    let memory = usage.memory.filter(|_| runs).map(|memory| {
        let limit = usage.memory_limit;
        Gauge {
            label: "Memory",
            value: size(memory),
            of: limit
                .map(|limit| format!("of {}", size(limit)))
                .unwrap_or_default(),
            #[expect(clippy::cast_precision_loss, reason = "a percentage")]
            percent: limit.map(|limit| percent(memory as f64 / limit as f64)),
        }
    });
    let disk = usage.disk.map(|Disk { bytes, whole }| Gauge {
        label: "Files",
        value: size(bytes),
        of: if whole { "on disk" } else { "or more on disk" }.to_owned(),
        percent: None,
    });
    cpu.into_iter().chain(memory).chain(disk).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 100"
)]
fn percent(share: f64) -> u8 {
    (share * 100.0).round().clamp(0.0, 100.0) as u8
}

fn facts(status: &Status) -> Vec<Fact> {
    let why = match status.held_by {
        Some("kept") => "Somebody asked for it to be kept until then.",
        Some("max_age") => "It may run for so long, and no longer.",
        Some("busy") => "It computes, or did so last.",
        Some("connected") => "Something is open, or was last.",
        _ => "Unless you do something in it.",
    };
    let stops = status.held_by.map(|_| Fact {
        label: "Stops",
        text: status.stops_in_seconds.map_or_else(
            || "Not as things stand".to_owned(),
            |seconds| format!("In {}, if nothing more happens", about(seconds)),
        ),
        more: Some(format!("{why} Your files stay.")),
    });
    let image = status.version.as_ref().map(|version| Fact {
        label: "Image",
        text: version.clone(),
        more: status
            .update_pending
            .then(|| "A newer one is ready; it is used at the next start.".to_owned()),
    });
    stops.into_iter().chain(image).collect()
}

/// What moved each clock last, and why the workspace was last stopped.
fn why(explained: &Explanation) -> Vec<Fact> {
    let clocks = explained.clocks.iter().map(|clock| {
        let by = clock.by();
        Fact {
            label: match clock.clock.as_str() {
                "input" => "Last used",
                "busy" => "Last computed",
                _ => "Last connected",
            },
            text: match clock.open {
                0 if clock.seconds_ago < 60 => "Less than a minute ago".to_owned(),
                0 => capital(&format!("{} ago", about(clock.seconds_ago))),
                open => format!("Now ({open} open)"),
            },
            more: Some(if clock.holds {
                format!("{}.", capital(&by))
            } else {
                format!("{}. This alone keeps nothing running.", capital(&by))
            }),
        }
    });
    let last = explained.last_stop.iter().map(|last| Fact {
        label: "Last stop",
        text: last.at.replace('T', " ").replace('Z', " UTC"),
        more: Some(format!("{}.", capital(&last.because))),
    });
    clocks.chain(last).collect()
}

/// A click that keeps it for as long as may be, and no longer than it says.
fn longest_keep(longest: Duration) -> Keep {
    let seconds = longest.as_secs();
    Keep {
        action: format!("/_vestibule/keep?for={seconds}s"),
        time: match seconds {
            0..60 => format!("{seconds} seconds"),
            _ => about(seconds - seconds % 60),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_there_for_what_was_measured_and_never_over_full() {
        assert!(gauges(&Usage::default(), "running", 2000).is_empty());
        let usage = Usage {
            cpus: Some(2.6),
            memory: Some(2 << 30),
            memory_limit: Some(8 << 30),
            disk: Some(Disk {
                bytes: 5 << 20,
                whole: false,
            }),
            ..Usage::default()
        };
        let said = gauges(&usage, "running", 2000).into_iter();
        let said: Vec<_> = said
            .map(|gauge| (format!("{} {}", gauge.value, gauge.of), gauge.percent))
            .collect();
        let told = |text: &str, percent| (text.to_owned(), percent);
        assert_eq!(
            said,
            [
                told("100 % of 2 CPUs", Some(100)),
                told("2 GB of 8 GB", Some(25)),
                told("5 MB or more on disk", None),
            ]
        );
        assert_eq!(gauges(&usage, "running", 500)[0].of, "of 0.5 CPUs");
        let [files] = &gauges(&usage, "stopped", 2000)[..] else {
            panic!("nothing but files is there while it doesn't run");
        };
        assert_eq!(files.label, "Files");
    }
}
