//! What is told of a workspace: to its user, and to an operator.

use serde::Serialize;

use super::{
    Workspaces,
    state::{Life, Workspace},
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
    /// How many requests, sockets and SSH channels are open.
    pub open: usize,
    /// How many of them are SSH channels.
    pub ssh: usize,
    /// For how long nothing has been open or asked for, if it runs.
    pub idle_seconds: Option<u64>,
    /// When it will be stopped if it stays as quiet.
    pub stops_in_seconds: Option<u64>,
    /// Whether the next start makes it anew.
    pub update_pending: bool,
}

impl Workspaces {
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
        let starting = state.slots.values().any(|slot| slot.starting);
        let quiet = workspace.quiet_for(&state);
        let left = quiet.zip(self.0.idle_timeout);
        let up = state
            .slots
            .iter()
            .filter(|(_, slot)| slot.upstream.is_some());
        Status {
            user: workspace.user.to_string(),
            state: match &state.life {
                Life::Running(_) => "running",
                Life::Stopping => "stopping",
                _ if starting => "starting",
                Life::Absent => "absent",
                Life::Stopped => "stopped",
                Life::Paused => "paused",
            },
            apps: up.map(|(app, _)| app.to_string()).collect(),
            open: workspace.clock.open_count(),
            ssh: workspace.clock.ssh_count(),
            idle_seconds: quiet.map(|quiet| quiet.as_secs()),
            stops_in_seconds: left.map(|(quiet, limit)| limit.saturating_sub(quiet).as_secs()),
            update_pending: state.spec.is_some() && state.spec != self.fingerprint(),
        }
    }
}
