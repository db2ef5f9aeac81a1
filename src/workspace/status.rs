//! What is told of a workspace: to its user, and to an operator.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Workspaces, state::Workspace};
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
    /// How many requests, sockets and SSH channels are open.
    pub open: usize,
    /// How many of them are SSH channels.
    pub ssh: usize,
    /// For how long no clock that holds it has moved, if it runs.
    pub idle_seconds: Option<u64>,
    /// When it will be stopped if nothing more happens; none if something holds it that is open.
    pub stops_in_seconds: Option<u64>,
    /// What decides that: `input`, `busy`, `connected`, `kept` or `max_age`.
    pub held_by: Option<&'static str>,
    /// Whether it is so near that its user should be told.
    pub about_to_stop: bool,
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
    /// Open channels of SSH connections.
    pub ssh: u64,
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
            ssh: 0,
        };
        for workspace in &self.0.by_user {
            *tally.states.entry(workspace.read().word()).or_default() += 1;
            tally.sockets += workspace.clocks.open_sockets() as u64;
            tally.ssh += workspace.clocks.ssh_channels() as u64;
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
        let verdict = self.verdict(workspace, &state);
        let now = workspace.clocks.now();
        let up = state.slots.iter().filter(|slot| slot.upstream.is_some());
        Status {
            user: workspace.user.to_string(),
            state: state.word(),
            apps: up.map(|slot| slot.app.to_string()).collect(),
            open: workspace.clocks.connected.hand().open,
            ssh: workspace.clocks.ssh_channels(),
            idle_seconds: verdict.map(|verdict| now.saturating_sub(verdict.quiet_since) / 1000),
            stops_in_seconds: verdict
                .and_then(|verdict| Some(verdict.at?.saturating_sub(now) / 1000)),
            held_by: verdict.map(|verdict| verdict.by.as_str()),
            about_to_stop: verdict.is_some_and(|verdict| self.is_near(&state, verdict, now)),
            version: state.version.clone(),
            update_pending: state.spec.is_some() && state.spec != self.fingerprint(),
        }
    }
}
