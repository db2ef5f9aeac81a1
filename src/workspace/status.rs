//! What is told of a workspace: to its user, and to an operator.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Workspaces,
    state::{Life, State, Workspace},
};
use crate::names::Username;

/// A workspace as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whose it is.
    pub user: String,
    /// `absent`, `stopped`, `paused`, `starting`, `running` or `stopping`.
    pub state: &'static str,
    /// The apps that run.
    pub apps: Vec<String>,
    /// How many requests and sockets are open.
    pub open: usize,
    /// For how long nothing has been open or asked for, if it runs.
    pub idle_seconds: Option<u64>,
    /// When it will be stopped if it stays as quiet.
    pub stops_in_seconds: Option<u64>,
    /// The version of the image its container was made of, if that says so.
    pub version: Option<String>,
    /// Whether the next start makes it anew.
    pub update_pending: bool,
}

/// How many workspaces are in each state, and what is open in all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By the word of [`Status::state`]; each one is there.
    pub states: BTreeMap<&'static str, u64>,
    /// Open `WebSocket`s.
    pub sockets: u64,
}

impl Workspaces {
    /// Counts all workspaces.
    pub fn tally(&self) -> Tally {
        let words = [
            "stopped", "paused", "starting", "running", "stopping", "absent",
        ];
        let mut tally = Tally {
            states: words.map(|word| (word, 0)).into(),
            sockets: 0,
        };
        for workspace in &self.0.by_user {
            *tally.states.entry(word(&workspace.read())).or_default() += 1;
            tally.sockets += workspace.clock.sockets() as u64;
        }
        // Who was only ever looked for isn't one.
        tally.states.remove("absent");
        tally
    }

    /// A user's workspace as it is now.
    pub fn status(&self, user: &Username) -> Status {
        let known = self.known(user);
        self.status_of(&known.unwrap_or_else(|| Workspace::new(user.clone()).into()))
    }

    /// Every workspace that has a container or is getting one, by name.
    pub fn list(&self) -> Vec<Status> {
        let known = self.0.by_user.iter();
        let mut list: Vec<Status> = known.map(|known| self.status_of(&known)).collect();
        list.retain(|status| status.state != "absent");
        list.sort_by(|a, b| a.user.cmp(&b.user));
        list
    }

    fn status_of(&self, workspace: &Workspace) -> Status {
        let state = workspace.read();
        let quiet = workspace.quiet_for(&state);
        let left = quiet.zip(self.0.idle_timeout);
        let up = state
            .slots
            .iter()
            .filter(|(_, slot)| slot.upstream.is_some());
        Status {
            user: workspace.user.to_string(),
            state: word(&state),
            apps: up.map(|(app, _)| app.to_string()).collect(),
            open: workspace.clock.open_count(),
            idle_seconds: quiet.map(|quiet| quiet.as_secs()),
            stops_in_seconds: left.map(|(quiet, limit)| limit.saturating_sub(quiet).as_secs()),
            version: state.version.clone(),
            update_pending: state.spec.is_some() && state.spec != self.fingerprint(),
        }
    }
}

/// A state in a word.
fn word(state: &State) -> &'static str {
    match &state.life {
        Life::Running(_) => "running",
        Life::Stopping => "stopping",
        _ if state.slots.values().any(|slot| slot.starting) => "starting",
        Life::Absent => "absent",
        Life::Stopped => "stopped",
        Life::Paused => "paused",
    }
}
