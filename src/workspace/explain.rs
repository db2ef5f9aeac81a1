//! Why a workspace is alive, or was stopped: everything that the reaper knows, for its user and
//! for an operator.

use std::{
    net::IpAddr,
    sync::{PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Workspaces,
    clocks::{Clock, Kind},
    memory::{LastStop, rfc3339},
    policy::{By, Verdict},
    state::{State, Workspace},
};
use crate::{config::Policy, names::Username};

/// Most sockets that are told of one by one.
const MOST_SOCKETS: usize = 100;

/// Why a workspace is alive, or was stopped. Times that are over are seconds ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whose it is.
    pub user: String,
    /// `absent`, `stopped`, `paused`, `starting`, `running` or `stopping`.
    pub state: String,
    /// The apps that run.
    pub apps: Vec<String>,
    /// `input`, `busy` and `connected`, if it runs.
    pub clocks: Vec<ClockTold>,
    /// The oldest hundred of the open sockets.
    pub sockets: Vec<SocketTold>,
    /// What its container computed lately.
    pub cpu: Option<CpuTold>,
    /// What apps said when they were last asked whether they compute.
    pub asked: Vec<AskedTold>,
    /// What it is judged by.
    pub policy: PolicyTold,
    /// Until when it is kept (RFC 3339).
    pub kept_until: Option<String>,
    /// When and why it will be stopped, if it runs.
    pub stop: Option<StopTold>,
    /// When and why it was last stopped.
    pub last_stop: Option<LastStop>,
}

/// A clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockTold {
    /// Which one.
    pub clock: String,
    /// Whether the policy has it hold the workspace.
    pub holds: bool,
    /// How many things are open that move it all the time.
    pub open: usize,
    /// When it last moved.
    pub seconds_ago: u64,
    /// The same as a time (RFC 3339).
    pub at: String,
    /// What moved it.
    pub kind: Kind,
    /// The app that was for.
    pub app: Option<String>,
    /// Where that came from.
    pub client: Option<IpAddr>,
}

impl ClockTold {
    /// What moved it last, in words.
    pub fn by(&self) -> String {
        in_words(self.kind, self.app.as_deref(), self.client)
    }
}

/// An open WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketTold {
    /// The app it leads to.
    pub app: Option<String>,
    /// Where it comes from.
    pub client: Option<IpAddr>,
    /// For how long it has been open.
    pub seconds: u64,
    /// Bytes from the client.
    pub bytes_up: u64,
    /// Bytes from the app.
    pub bytes_down: u64,
    /// When a person last did something with it, if ever.
    pub input_seconds_ago: Option<u64>,
}

/// A container's CPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuTold {
    /// CPUs used on average; none if that can't be told, which counts as busy.
    pub cpus: Option<f64>,
    /// From how many on it is busy.
    pub busy_from: f64,
    /// The length of the window.
    pub window_seconds: u64,
    /// When it ended.
    pub seconds_ago: u64,
}

/// What an app said when it was asked whether it computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedTold {
    /// The app.
    pub app: String,
    /// Whether it computed.
    pub busy: bool,
    /// When it was asked.
    pub seconds_ago: u64,
}

/// What a workspace is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTold {
    /// How long the clocks that hold must have stood still; none: never stopped for that.
    pub timeout_seconds: Option<u64>,
    /// Which clocks hold.
    pub holds: Vec<String>,
    /// How long a connection holds without input.
    pub max_connected_seconds: Option<u64>,
    /// How long it may run.
    pub max_age_seconds: Option<u64>,
}

/// The stop to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopTold {
    /// In how long, if nothing more happens; none: not as things stand.
    pub in_seconds: Option<u64>,
    /// The same as a time (RFC 3339).
    pub at: Option<String>,
    /// What decides that: `input`, `busy`, `connected`, `kept` or `max_age`.
    pub held_by: String,
    /// The same as a sentence.
    pub because: String,
    /// Whether it is so near that its user should be told.
    pub notice: bool,
}

impl Workspaces {
    /// Why a user's workspace is alive, or was stopped.
    pub fn explain(&self, user: &Username) -> Explanation {
        let known = self.known(user);
        let workspace = known.unwrap_or_else(|| Workspace::new(user.clone()).into());
        let remembered = self.remembered(&workspace);
        let state = workspace.read();
        let policy = self.policy(&state);
        let up = state.slots.iter();
        let up = up.filter(|slot| slot.upstream.is_some());
        let verdict = self.verdict(&workspace, &state);
        let runs = verdict.is_some();
        let now = workspace.clocks.now();
        let load = workspace
            .load
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Explanation {
            user: user.to_string(),
            state: state.word().to_owned(),
            apps: up.map(|slot| slot.app.to_string()).collect(),
            clocks: clocks(&workspace, &policy).filter(|_| runs).collect(),
            sockets: sockets(&workspace, now),
            cpu: load.cpu.filter(|_| runs).map(|cpu| CpuTold {
                cpus: cpu.cpus,
                busy_from: f64::from(self.0.idle.busy_cpu_millis) / 1000.0,
                window_seconds: cpu.window.as_secs(),
                seconds_ago: cpu.at.elapsed().as_secs(),
            }),
            asked: load
                .said
                .iter()
                .filter(|_| runs)
                .map(|(app, (busy, at))| AskedTold {
                    app: app.to_string(),
                    busy: *busy,
                    seconds_ago: at.elapsed().as_secs(),
                })
                .collect(),
            kept_until: remembered
                .kept_until
                .filter(|_| workspace.clocks.kept_until() > now),
            stop: verdict.map(|verdict| self.stop_told(&workspace, &state, verdict)),
            last_stop: remembered.last_stop.map(|stop| *stop),
            policy: policy_told(&policy),
        }
    }

    fn stop_told(&self, workspace: &Workspace, state: &State, verdict: Verdict) -> StopTold {
        let left = verdict
            .at
            .map(|at| at.saturating_sub(workspace.clocks.now()));
        let left = left.map(Duration::from_millis);
        StopTold {
            in_seconds: left.map(|left| left.as_secs()),
            at: left.and_then(|left| Some(rfc3339(SystemTime::now().checked_add(left)?))),
            held_by: verdict.by.as_str().to_owned(),
            because: self.why(workspace, state, verdict),
            notice: self.is_near(state, verdict, workspace.clocks.now()),
        }
    }

    /// Why a verdict is what it is, as a sentence that stands before the stop and after it.
    pub(super) fn why(&self, workspace: &Workspace, state: &State, verdict: Verdict) -> String {
        let policy = self.policy(state);
        let clocks = &workspace.clocks;
        let said = |time: Option<Duration>| {
            time.map_or_else(
                || "ever".to_owned(),
                |time| humantime::format_duration(time).to_string(),
            )
        };
        let clock = match verdict.by {
            By::Kept => {
                return "somebody asked for it to be kept until then, and nothing else holds it"
                    .to_owned();
            }
            By::Age => {
                return format!("it may run for {} and no longer", said(policy.max_age));
            }
            By::Input => &clocks.input,
            By::Busy => &clocks.busy,
            By::Connected => &clocks.connected,
        };
        let what = match verdict.by {
            By::Input => "a person did something",
            By::Busy => "it was computing",
            _ => "something was open",
        };
        let by = by(clock);
        if clock.hand().open > 0 && verdict.at.is_none() {
            return format!("{what} just now ({by})");
        }
        let ago = clocks.now().saturating_sub(verdict.quiet_since) / 1000;
        let ago = humantime::format_duration(Duration::from_secs(ago));
        let timeout = said(policy.timeout);
        let holds = holds(&policy).join(" or ");
        format!("{what} last {ago} ago ({by}), and {timeout} without {holds} ends it")
    }
}

fn clocks(workspace: &Workspace, policy: &Policy) -> impl Iterator<Item = ClockTold> {
    let clocks = &workspace.clocks;
    let all = [
        ("input", policy.holds.input, &clocks.input),
        ("busy", policy.holds.busy, &clocks.busy),
        ("connected", policy.holds.connected, &clocks.connected),
    ];
    all.into_iter().map(|(name, holds, clock)| {
        let (hand, by) = (clock.hand(), clock.by());
        let at = if hand.open > 0 { clocks.now() } else { hand.at };
        let ago = Duration::from_millis(clocks.now().saturating_sub(at));
        ClockTold {
            clock: name.to_owned(),
            holds,
            open: hand.open,
            seconds_ago: ago.as_secs(),
            at: rfc3339(
                SystemTime::now()
                    .checked_sub(ago)
                    .unwrap_or(SystemTime::UNIX_EPOCH),
            ),
            kind: by.kind,
            app: by.app.map(|app| app.to_string()),
            client: by.client,
        }
    })
}

fn sockets(workspace: &Workspace, now: u64) -> Vec<SocketTold> {
    let sockets = workspace.clocks.sockets(MOST_SOCKETS);
    let told = sockets.iter().map(|socket| {
        let input = socket.input.load(Relaxed);
        SocketTold {
            app: socket.by.app.as_ref().map(ToString::to_string),
            client: socket.by.client,
            seconds: now.saturating_sub(socket.opened) / 1000,
            bytes_up: socket.up.load(Relaxed),
            bytes_down: socket.down.load(Relaxed),
            input_seconds_ago: (input > 0).then(|| now.saturating_sub(input) / 1000),
        }
    });
    told.collect()
}

fn policy_told(policy: &Policy) -> PolicyTold {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    PolicyTold {
        timeout_seconds: seconds(policy.timeout),
        holds: holds(policy).into_iter().map(str::to_owned).collect(),
        max_connected_seconds: seconds(policy.max_connected),
        max_age_seconds: seconds(policy.max_age),
    }
}

fn holds(policy: &Policy) -> Vec<&'static str> {
    let holds = policy.holds;
    let all = [
        ("input", holds.input),
        ("busy", holds.busy),
        ("connected", holds.connected),
    ];
    let held = all.into_iter().filter(|(_, holds)| *holds);
    held.map(|(name, _)| name).collect()
}

/// What moved a clock, in words.
fn by(clock: &Clock) -> String {
    let by = clock.by();
    let app = by.app.map(|app| app.to_string());
    in_words(by.kind, app.as_deref(), by.client)
}

fn in_words(kind: Kind, app: Option<&str>, client: Option<IpAddr>) -> String {
    let mut text = kind.words().to_owned();
    if let Some(app) = app {
        text = format!("{text} of {app}");
    }
    if let Some(client) = client {
        text = format!("{text} from {client}");
    }
    text
}
