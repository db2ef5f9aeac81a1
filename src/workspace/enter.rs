//! The container itself, for whoever runs commands in it rather than asking an app: started by
//! the same queue, once for everyone who waits.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Workspaces,
    activity::{OpenChannel, OpenSocket, Visit},
    clocks::{Clocks, Mover},
    phase::{Cause, Failure, Phase, Step},
    state::{Life, Live, Workspace},
};
use crate::{
    engine::{Attached, EngineError},
    names::Username,
    secret::random_id,
};

/// How far the start of a container has come, without an app.
pub type Entering = Phase<Inside>;

/// A user's running container. Whoever holds one may hold one of the past: `closed` tells.
#[derive(Clone)]
pub struct Inside {
    /// Whose it is.
    pub user: Username,
    /// Its id.
    pub container: Arc<str>,
    /// Its address.
    pub addr: IpAddr,
    /// Cancelled once it no longer runs.
    pub closed: CancellationToken,
    clocks: Arc<Clocks>,
    shells: Arc<Semaphore>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inside").field(&self.container).finish()
    }
}

impl Inside {
    fn new(workspace: &Workspace, live: &Live) -> Self {
        Self {
            user: workspace.user.clone(),
            container: Arc::clone(&live.id),
            addr: live.addr,
            closed: live.closed.child_token(),
            clocks: Arc::clone(&workspace.clocks),
            shells: workspace.shells(),
        }
    }

    /// Takes a place for one more shell, until it is dropped; `None` if
    /// [`SHELLS`](super::SHELLS) of this user's are there.
    pub fn shell_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shells).try_acquire_owned().ok()
    }

    /// Counts a channel of a client open in the workspace until it is dropped.
    pub fn channel(&self, client: IpAddr) -> OpenChannel {
        OpenChannel::begin(&self.clocks, client)
    }

    /// Counts a WebSocket open in the workspace until it is dropped.
    pub fn socket(&self, visit: Visit) -> OpenSocket {
        OpenSocket::begin(&self.clocks, visit, 0)
    }
}

/// Whether a start has not come to its end, nor been dropped by whoever did it.
pub(super) fn is_under_way(phase: &watch::Receiver<Entering>) -> bool {
    !phase.borrow().is_settled() && phase.has_changed().is_ok()
}

impl Workspaces {
    /// The running container, if there is one, for somebody who comes now. Never waits.
    pub fn inside(&self, user: &Username, visit: &Visit) -> Option<Inside> {
        let workspace = self.known(user)?;
        // Under this lock the reaper decides, so what is found here isn't about to be stopped.
        let state = workspace.read();
        let Life::Running(live) = &state.life else {
            return None;
        };
        workspace.clocks.came(visit);
        Some(Inside::new(&workspace, live))
    }

    /// The start of a container under way, or the last one.
    pub fn entering(&self, user: &Username) -> Option<watch::Receiver<Entering>> {
        self.known(user)?.read().entering.clone()
    }

    /// Sees to it that a user's container runs: one start for everyone who asks, which goes on
    /// if they leave. A running one is entered without asking the engine.
    pub fn enter(
        &self,
        user: &Username,
        uid: Option<&str>,
        by: &Mover,
    ) -> watch::Receiver<Entering> {
        let workspace = self.workspace(user);
        workspace.clocks.input.moved(workspace.clocks.now(), by);
        let mut state = workspace.write();
        if let Life::Running(live) = &state.life {
            let inside = Entering::Ready(Inside::new(&workspace, live));
            return watch::Sender::new(inside).subscribe();
        }
        if let Some(phase) = state.entering.as_ref().filter(|phase| is_under_way(phase)) {
            return phase.clone();
        }
        let (sender, phase) = watch::channel(Entering::Working(Step::Image));
        state.entering = Some(phase.clone());
        drop(state);
        let (this, uid) = (self.clone(), uid.map(str::to_owned));
        self.0.runtime.spawn(async move {
            let entered = this.bring_up(&workspace, uid.as_deref(), &sender).await;
            sender.send_replace(match entered {
                Ok(inside) => Entering::Ready(inside),
                Err(cause) => {
                    let failure = Failure {
                        id: random_id(),
                        cause,
                        log_tail: Vec::new(),
                        retry_after: Duration::ZERO,
                    };
                    tracing::info!(target: "audit", event = "start_failed", user = %workspace.user,
                        reason = failure.cause.as_str(), detail = %failure.cause, failure = failure.id);
                    Entering::Failed(Arc::new(failure))
                }
            });
        });
        phase
    }

    async fn bring_up(
        &self,
        workspace: &Arc<Workspace>,
        uid: Option<&str>,
        phase: &watch::Sender<Entering>,
    ) -> Result<Inside, Cause> {
        let began = Instant::now();
        let tell = |position, estimate| {
            phase.send_replace(Entering::Queued { position, estimate });
        };
        let _turn = self.0.queue.turn(tell).await;
        let tell = |step| {
            phase.send_replace(Entering::Working(step));
        };
        let (live, how) = self.container(workspace, uid, tell).await?;
        tracing::info!(target: "audit", event = "start", user = %workspace.user,
            container.id = %live.id, how, elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        Ok(Inside::new(workspace, &live))
    }

    /// Runs a command in a running container, with its input and output at hand.
    ///
    /// # Errors
    /// [`EngineError`] if the engine fails or refuses.
    pub async fn attach(
        &self,
        inside: &Inside,
        command: &[String],
    ) -> Result<Attached, EngineError> {
        self.0.engine.attach(&inside.container, command).await
    }
}
