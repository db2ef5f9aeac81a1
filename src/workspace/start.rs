//! One start of an app, from the queue to its first answer.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::Instrument as _;

use super::{
    Workspaces,
    clocks::Mover,
    phase::{Cause, Failure, Phase, Step},
    state::Workspace,
    upstream::Upstream,
};
use crate::{
    metrics::StartTimer,
    names::{AppName, Username},
    secret::random_id,
};

/// How long after the first, second, ... failure in a row until another try is made. Whoever
/// has put the cause right is not kept waiting; what fails again and again is.
const BACK_OFF: [u64; 5] = [0, 0, 10, 30, 60];
/// How long a start holds its turn while its app comes up: `JupyterLab` takes up to 9 s on a busy
/// machine of two cores. One that takes longer isn't busy but hangs, and shall not keep others.
const TURN: Duration = Duration::from_secs(15);
/// How many of an app's last lines its owner is shown.
pub const LOG_LINES: usize = 20;

/// The right to start an app, held by one task at a time.
pub struct Attempt {
    pub workspace: Arc<Workspace>,
    pub app: AppName,
    phase: watch::Sender<Phase>,
    timer: StartTimer,
}

impl Attempt {
    /// Takes the right to start `app`, or tells of the start under way, the app that runs, or
    /// the failure whose back-off isn't over.
    pub fn begin(
        workspaces: &Workspaces,
        workspace: &Arc<Workspace>,
        app: &AppName,
    ) -> Result<Self, watch::Receiver<Phase>> {
        let mut state = workspace.write();
        if let Some(upstream) = workspaces.running_app(workspace, &state, app) {
            return Err(watch::Sender::new(Phase::Ready(upstream)).subscribe());
        }
        let slot = state.slot_mut(app);
        let wait = slot.starting || slot.retry_at.is_some_and(|at| Instant::now() < at);
        if let Some(phase) = slot.phase.as_ref().filter(|_| wait) {
            return Err(phase.clone());
        }
        let (sender, phase) = watch::channel(Phase::Working(Step::Image));
        slot.phase = Some(phase);
        slot.starting = true;
        Ok(Self {
            workspace: Arc::clone(workspace),
            app: app.clone(),
            phase: sender,
            timer: workspaces.0.count.start(),
        })
    }

    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub fn tell(&self, step: Step) {
        self.timer.step(step.as_str());
        self.phase.send_replace(Phase::Working(step));
    }

    fn succeed(self, upstream: Arc<Upstream>) {
        self.timer.end("ok");
        self.phase.send_replace(Phase::Ready(upstream));
    }

    fn fail(self, cause: Cause, log_tail: Vec<String>) -> Arc<Failure> {
        self.timer.end(cause.as_str());
        let mut state = self.workspace.write();
        let slot = state.slot_mut(&self.app);
        let step = (slot.failures as usize).min(BACK_OFF.len() - 1);
        let retry_after = Duration::from_secs(BACK_OFF[step]);
        slot.failures = slot.failures.saturating_add(1);
        slot.retry_at = Some(Instant::now() + retry_after);
        let failure = Arc::new(Failure {
            id: random_id(),
            cause,
            log_tail,
            retry_after,
        });
        self.phase.send_replace(Phase::Failed(Arc::clone(&failure)));
        drop(state);
        failure
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // A panic must not leave everyone waiting for a start that nobody does.
        if !self.phase.borrow().is_settled() {
            self.timer.end(Cause::GivenUp.as_str());
            self.phase.send_replace(Phase::Failed(Arc::new(Failure {
                id: random_id(),
                cause: Cause::GivenUp,
                log_tail: Vec::new(),
                retry_after: Duration::from_secs(BACK_OFF[0]),
            })));
        }
        self.workspace.write().slot_mut(&self.app).starting = false;
    }
}

impl Workspaces {
    /// Runs a start to its end, and tells everyone who waits how it went.
    pub(super) async fn run(&self, attempt: Attempt, uid: Option<&str>) {
        let user = attempt.workspace.user.clone();
        let span = tracing::info_span!("start", %user, app = %attempt.app);
        let began = Instant::now();
        async {
            match self.try_start(&attempt, uid, began).await {
                Ok(upstream) => attempt.succeed(upstream),
                Err(cause) => {
                    let log_tail = self.last_words(&attempt, &cause).await;
                    let app = attempt.app.clone();
                    let failure = attempt.fail(cause, log_tail);
                    tracing::info!(target: "audit", event = "start_failed", %user, %app,
                        reason = failure.cause.as_str(), detail = %failure.cause, failure = failure.id, elapsed_ms = ms(began));
                }
            }
        }
        .instrument(span)
        .await;
    }

    async fn try_start(
        &self,
        attempt: &Attempt,
        uid: Option<&str>,
        began: Instant,
    ) -> Result<Arc<Upstream>, Cause> {
        let tell = |position, estimate| {
            attempt
                .phase
                .send_replace(Phase::Queued { position, estimate });
        };
        let turn = self.0.queue.turn(tell).await;
        let (queued_ms, waited) = (ms(began), Instant::now());
        let (live, how) = self
            .container(&attempt.workspace, uid, |step| attempt.tell(step))
            .await?;
        let (container_ms, up) = (ms(waited), Instant::now());
        let mut app = pin!(self.app(attempt, &live));
        let soon = timeout(TURN, app.as_mut()).await;
        drop(turn);
        let took = waited.elapsed();
        let come = match soon {
            Ok(come) => come,
            Err(_) => app.await,
        };
        let upstream = come.map_err(|cause| {
            // Whatever it looked like from the app's side, this is what did it.
            let state = attempt.workspace.read();
            let starved = state.out_of_memory.is_some_and(|at| at >= began);
            if starved { Cause::OutOfMemory } else { cause }
        })?;
        self.0.queue.took(took);
        tracing::info!(target: "audit", event = "start", user = %upstream.user, app = %upstream.app,
            container.id = %upstream.container, how, queued_ms, container_ms, app_ms = ms(up));
        Ok(upstream)
    }

    /// Starts a user's container, and `app` in it if one is named.
    ///
    /// # Errors
    /// The [`Cause`] of the failure.
    pub async fn start(&self, user: &Username, app: Option<&AppName>) -> Result<(), Cause> {
        if let Some(app) = app {
            if !self.0.apps.contains_key(app) {
                return Err(Cause::NoSuchApp(app.clone()));
            }
            let mut phase = self.ensure(user, None, app, &Mover::default());
            let settled = phase.wait_for(Phase::is_settled).await;
            return match settled.as_deref() {
                Ok(Phase::Failed(failure)) => Err(failure.cause.clone()),
                Ok(_) => Ok(()),
                Err(_) => Err(Cause::GivenUp),
            };
        }
        let _turn = self.0.queue.turn(|_, _| {}).await;
        let workspace = self.workspace(user);
        let (live, how) = self.container(&workspace, None, |_| {}).await?;
        tracing::info!(target: "audit", event = "start", %user, container.id = %live.id, how);
        Ok(())
    }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
