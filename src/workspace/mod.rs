//! Every user's one container: found or made once for everyone who waits, watched, and stopped.
//!
//! Imports `engine`, `config`, `metrics`, `names` and `secret`. Promise: the engine is the truth; whoever
//! gets an [`Upstream`] gets one of that user's own container, and only [`Workspaces::ensure`],
//! [`Workspaces::enter`] and [`Workspaces::start`] ever start anything. Reading ([`Workspaces::upstream`]) never waits.

mod activity;
mod app;
mod busy;
mod clocks;
mod container;
mod disk;
mod enter;
mod explain;
mod follow;
mod instance;
mod logs;
mod memory;
mod network;
mod pace;
mod phase;
mod policy;
mod probe;
mod queue;
mod rounds;
mod spec;
mod start;
mod state;
mod status;
mod stop;
mod upstream;
mod usage;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use dashmap::DashMap;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};
use tokio_util::sync::CancellationToken;

use self::{
    memory::Memory,
    queue::Queue,
    state::{Life, State, Workspace},
};
use crate::{
    config,
    engine::{Engine, EngineError},
    metrics::Rare,
    names::{AppName, Username},
};

pub use self::{
    activity::{Activity, OpenChannel, OpenSocket, Visit},
    clocks::{Kind, Mover},
    disk::Disk,
    enter::{Entering, Inside},
    explain::Explanation,
    instance::{Instance, InstanceError},
    logs::{From as LogsFrom, LogsError, Printed},
    memory::LastStop,
    network::{OpenError, bridge_is_filtered},
    pace::Pace,
    phase::{Cause, Failure, KeepError, Phase, Step, StopError, StopReason},
    spec::UID,
    state::SHELLS,
    status::{Status, Tally},
    upstream::Upstream,
    usage::{Total, Usage},
};

/// All workspaces; a clone is another handle of the same.
#[derive(Clone)]
pub struct Workspaces(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    config: config::Workspace,
    apps: BTreeMap<AppName, config::App>,
    idle: config::Idle,
    pace: Pace,
    memory: Memory,
    /// The `Host` that apps see.
    authority: String,
    instance: Instance,
    queue: Queue,
    count: Rare,
    /// Walks through a disk.
    walks: Semaphore,
    by_user: DashMap<Username, Arc<Workspace>>,
    /// Whose container an id is, for the engine's events.
    by_id: DashMap<Arc<str>, Arc<Workspace>>,
    /// What a container would be made of now, for "update pending".
    fingerprint: RwLock<Option<String>>,
    /// Starts and looks run here, not on the threads that serve requests.
    runtime: Handle,
}

impl Workspaces {
    /// Takes over what the engine has of ours, makes the network if it is absent, and follows
    /// what happens until `stop`. To be called on the runtime that all starts will run on.
    ///
    /// # Errors
    /// [`OpenError`]: the engine fails, or its network would let workspaces reach each other.
    pub async fn open(
        engine: Arc<dyn Engine>,
        config: &config::Config,
        instance: Instance,
        count: Rare,
        stop: CancellationToken,
    ) -> Result<Self, OpenError> {
        network::check(&*engine, &config.workspace).await?;
        let workspaces = Self(Arc::new(Inner {
            engine,
            config: config.workspace.clone(),
            apps: config.apps.clone(),
            idle: config.idle.clone(),
            pace: Pace::of(config),
            memory: Memory::new(&config.state_dir),
            authority: config.site.authority.clone(),
            instance,
            queue: Queue::new(config.workspace.max_starting),
            count,
            walks: Semaphore::new(1),
            by_user: DashMap::new(),
            by_id: DashMap::new(),
            fingerprint: RwLock::new(None),
            runtime: Handle::current(),
        }));
        let since = follow::now();
        workspaces.look_at_all().await?;
        tokio::spawn(workspaces.clone().follow(since, stop));
        Ok(workspaces)
    }

    /// The running app, if there is one, for somebody who comes now. Never waits for anything.
    pub fn upstream(&self, user: &Username, app: &AppName, visit: &Visit) -> Option<Arc<Upstream>> {
        let workspace = self.known(user)?;
        // Under this lock the reaper decides, so what is found here isn't about to be stopped.
        let state = workspace.read();
        let upstream = self.running_app(&workspace, &state, app)?;
        workspace.clocks.came(visit);
        Some(upstream)
    }

    /// Sees to it that an app runs: one start for everyone who asks, which goes on if they
    /// leave. After a failure the next start waits for its back-off.
    pub fn ensure(
        &self,
        user: &Username,
        uid: Option<&str>,
        app: &AppName,
        by: &Mover,
    ) -> watch::Receiver<Phase> {
        let workspace = self.workspace(user);
        workspace.clocks.input.moved(workspace.clocks.now(), by);
        let attempt = match start::Attempt::begin(self, &workspace, app) {
            Ok(attempt) => attempt,
            Err(phase) => return phase,
        };
        let phase = attempt.subscribe();
        let (this, uid) = (self.clone(), uid.map(str::to_owned));
        self.0
            .runtime
            .spawn(async move { this.run(attempt, uid.as_deref()).await });
        phase
    }

    /// How often to look for what is due, and to measure.
    pub fn pace(&self) -> Pace {
        self.0.pace
    }

    /// The start of an app under way, or the last one.
    pub fn phase(&self, user: &Username, app: &AppName) -> Option<watch::Receiver<Phase>> {
        self.known(user)?.read().slot(app)?.phase.clone()
    }

    /// Why the last start of an app failed, if it did and no other has begun.
    pub fn failure(&self, user: &Username, app: &AppName) -> Option<Arc<Failure>> {
        match &*self.phase(user, app)?.borrow() {
            Phase::Failed(failure) => Some(Arc::clone(failure)),
            _ => None,
        }
    }

    /// An app that runs in a workspace.
    fn running_app(
        &self,
        workspace: &Workspace,
        state: &State,
        app: &AppName,
    ) -> Option<Arc<Upstream>> {
        let Life::Running(live) = &state.life else {
            return None;
        };
        let upstream = state.slot(app)?.upstream.as_ref()?;
        let config = self.0.apps.get(app)?;
        let made = upstream.get_or_init(|| self.upstream_of(workspace, app, config, live));
        Some(Arc::clone(made))
    }

    fn known(&self, user: &Username) -> Option<Arc<Workspace>> {
        self.0.by_user.get(user).map(|known| Arc::clone(&known))
    }

    fn workspace(&self, user: &Username) -> Arc<Workspace> {
        let made = self.0.by_user.entry(user.clone());
        Arc::clone(&made.or_insert_with(|| Arc::new(Workspace::new(user.clone()))))
    }

    /// Looks up what a container would be made of now.
    async fn image(&self) -> Result<String, EngineError> {
        let image = self.0.engine.image_id(&self.0.config.image).await?;
        let fingerprint = spec::fingerprint(&self.0.config, &image);
        *self
            .0
            .fingerprint
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        Ok(image)
    }

    fn fingerprint(&self) -> Option<String> {
        self.0
            .fingerprint
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
