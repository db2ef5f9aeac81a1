//! The end of a container: when it is due, how its apps are told, and why it came. Files stay.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::timeout;

use super::{
    Workspaces,
    clocks::millis,
    memory::{LastStop, Remembered, rfc3339},
    phase::{Cause, KeepError, StopError, StopReason},
    policy::{By, Verdict, judge},
    state::{Life, Live, State, Workspace},
};
use crate::{
    config::Policy,
    engine::EngineError,
    names::{ContainerName, Username},
};

/// Tells every app's process group to end itself, and waits until all are gone.
/// Arguments: run, seconds to wait.
const TERM: &str = r#"
for note in /tmp/.vestibule-*-"$1".pid; do
  [ -s "$note" ] || continue
  group=$(cat "$note")
  kill -TERM "-$group" 2>/dev/null && groups="$groups $group"
done
tries=$(($2 * 10))
for group in $groups; do
  while [ "$tries" -gt 0 ] && kill -0 "-$group" 2>/dev/null; do sleep 0.1; tries=$((tries - 1)); done
done
"#;

impl Workspaces {
    /// Stops a user's container, whatever is open in it.
    ///
    /// # Errors
    /// [`StopError`]; a container that is stopped already is none.
    pub async fn stop(&self, user: &Username, reason: StopReason) -> Result<(), StopError> {
        let workspace = self.workspace(user);
        let _change = workspace.change.lock().await;
        let Some(id) = self.find(&workspace).await? else {
            return Err(StopError::NoContainer(user.clone()));
        };
        let live = match &workspace.read().life {
            Life::Running(live) => Some(live.clone()),
            Life::Paused => None,
            _ => return Ok(()),
        };
        let because = match reason {
            StopReason::User => "its user stopped it",
            _ => "an operator stopped it",
        };
        let because = because.to_owned();
        Ok(self.end(&workspace, &id, live, reason, because).await?)
    }

    /// Stops a user's container if that is due, decided in the same moment in which a hit would
    /// be let through. Apps that can say that they compute are asked before.
    pub async fn stop_if_due(&self, user: &Username) {
        let Some(workspace) = self.known(user) else {
            return;
        };
        let by = match self.due(&workspace, &workspace.read()) {
            Some(verdict) => verdict.by,
            None => return,
        };
        if by != By::Age {
            self.ask_apps(&workspace).await;
        }
        // A change under way is no quiet.
        let Ok(_change) = workspace.change.try_lock() else {
            return;
        };
        let (live, reason, because) = {
            let mut state = workspace.write();
            let Some(verdict) = self.due(&workspace, &state) else {
                return;
            };
            let Life::Running(live) = &state.life else {
                return;
            };
            let reason = match verdict.by {
                By::Age => StopReason::Age,
                _ => StopReason::Idle,
            };
            let (live, because) = (live.clone(), self.why(&workspace, &state, verdict));
            state.end();
            state.life = Life::Stopping;
            (live, reason, because)
        };
        let id = Arc::clone(&live.id);
        let ended = self.end(&workspace, &id, Some(live), reason, because);
        if let Err(error) = ended.await {
            tracing::warn!(%user, %error, "a quiet workspace could not be stopped; tried again later");
        }
    }

    /// Who may be asked by [`Workspaces::stop_if_due`]: a first look without the lock.
    pub fn all_due(&self) -> Vec<Username> {
        let known = self.0.by_user.iter();
        let due = known.filter(|workspace| self.due(workspace, &workspace.read()).is_some());
        due.map(|workspace| workspace.user.clone()).collect()
    }

    /// The verdict on a workspace that is to be stopped now.
    fn due(&self, workspace: &Workspace, state: &State) -> Option<Verdict> {
        let verdict = self.verdict(workspace, state)?;
        verdict.is_due(workspace.clocks.now()).then_some(verdict)
    }

    /// When a workspace will be stopped if nothing more happens, if it runs and nothing starts.
    pub(super) fn verdict(&self, workspace: &Workspace, state: &State) -> Option<Verdict> {
        let starting = state.slots.iter().any(|slot| slot.starting);
        let runs = matches!(state.life, Life::Running(_)) && !starting;
        runs.then(|| judge(&self.policy(state), &workspace.reading()))
    }

    /// The policy of a workspace: the most generous of the apps that run in it.
    pub(super) fn policy(&self, state: &State) -> Policy {
        let up = state.slots.iter();
        let up = up.filter(|slot| slot.upstream.is_some() || slot.starting);
        let policies = up.filter_map(|slot| Some(self.0.apps.get(&slot.app)?.policy));
        policies.reduce(Policy::or).unwrap_or(self.0.idle.policy)
    }

    /// Whether a stop is so near that the user should be told: of a short time-out, no more than
    /// a sixth is a warning.
    pub(super) fn is_near(&self, state: &State, verdict: Verdict, now: u64) -> bool {
        let timeout = self.policy(state).timeout.unwrap_or(Duration::MAX);
        let notice = millis(self.0.idle.notice.min(timeout / 6));
        verdict
            .at
            .is_some_and(|at| at.saturating_sub(now) <= notice)
    }

    /// Keeps a running workspace for `how_long` from now, or longer if it is kept longer
    /// already. Returns until when. A restart of ours doesn't end that; `max_age` does.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn keep(&self, user: &Username, how_long: Duration) -> Result<SystemTime, KeepError> {
        let longest = self.0.idle.longest_keep;
        if how_long > longest {
            return Err(KeepError::TooLong(longest));
        }
        if how_long < Duration::from_secs(1) {
            return Err(KeepError::TooShort);
        }
        let workspace = self.known(user).ok_or(KeepError::NotRunning)?;
        // Under this lock the reaper decides, so what is found running here will be kept.
        let state = workspace.read();
        if !matches!(state.life, Life::Running(_)) {
            return Err(KeepError::NotRunning);
        }
        workspace.clocks.keep(how_long);
        let left = workspace
            .clocks
            .kept_until()
            .saturating_sub(workspace.clocks.now());
        let until = SystemTime::now() + Duration::from_millis(left);
        self.remember(&workspace, |remembered| {
            remembered.kept_until = Some(rfc3339(until));
        });
        tracing::info!(target: "audit", event = "keep", %user, until = rfc3339(until));
        Ok(until)
    }

    /// Removes a user's container, stopped first if it runs. Files stay.
    ///
    /// # Errors
    /// [`StopError`].
    pub async fn remove(&self, user: &Username) -> Result<(), StopError> {
        self.stop(user, StopReason::Operator).await?;
        let workspace = self.workspace(user);
        let _change = workspace.change.lock().await;
        if let Some(id) = self.find(&workspace).await? {
            self.0.engine.remove(&id).await?;
            self.0.by_id.remove(&id);
            tracing::info!(target: "audit", event = "remove", %user, container.id = &*id);
        }
        workspace.learn(None, None);
        Ok(())
    }

    /// Looks for the user's container anew; `change` is held by the caller.
    async fn find(&self, workspace: &Arc<Workspace>) -> Result<Option<Arc<str>>, StopError> {
        let name = ContainerName::of(&workspace.user);
        let seen = self
            .ours(&name, workspace)
            .await
            .map_err(|cause| match cause {
                Cause::Engine(error) => StopError::Engine(error),
                _ => StopError::Foreign(name),
            })?;
        self.learn(workspace, seen.as_ref());
        Ok(seen.map(|seen| seen.id))
    }

    /// Ends a container: `live` if it isn't paused. `change` is held by the caller.
    async fn end(
        &self,
        workspace: &Arc<Workspace>,
        id: &str,
        live: Option<Live>,
        reason: StopReason,
        because: String,
    ) -> Result<(), EngineError> {
        {
            let mut state = workspace.write();
            state.end();
            state.life = Life::Stopping;
        }
        let grace = self.0.config.stop_grace;
        if let Some(live) = live {
            let seconds = grace.as_secs().to_string();
            let term = ["sh", "-c", TERM, "term", &live.run(), &seconds].map(str::to_owned);
            // If they can't be told, they end with their container.
            let _ = timeout(
                grace + Duration::from_secs(1),
                self.0.engine.output(id, &term),
            )
            .await;
        }
        let stopped = self.0.engine.stop(id, grace.as_secs()).await;
        let seen = self.0.engine.inspect(id).await;
        if let Ok(seen) = &seen {
            self.learn(workspace, seen.as_ref());
        }
        stopped?;
        seen?;
        self.stopped(workspace, id, reason.as_str(), because);
        Ok(())
    }

    /// Tells, and remembers, why a workspace was stopped.
    pub(super) fn stopped(
        &self,
        workspace: &Workspace,
        id: &str,
        reason: &'static str,
        because: String,
    ) {
        self.0.count.stopped(reason);
        tracing::info!(target: "audit", event = "stop", user = %workspace.user,
            container.id = id, reason, because);
        let at = rfc3339(SystemTime::now());
        let reason = reason.to_owned();
        self.remember(workspace, |remembered| {
            remembered.kept_until = None;
            remembered.last_stop = Some(Box::new(LastStop {
                at,
                reason,
                because,
            }));
        });
    }

    /// Changes what is remembered of a workspace.
    fn remember(&self, workspace: &Workspace, change: impl FnOnce(&mut Remembered)) {
        let (memory, user) = (&self.0.memory, &workspace.user);
        let mut known = workspace
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let remembered = known.get_or_insert_with(|| memory.read(user));
        change(remembered);
        memory.write(user, remembered);
    }

    /// What is remembered of a workspace.
    pub(super) fn remembered(&self, workspace: &Workspace) -> Remembered {
        let mut known = workspace
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .get_or_insert_with(|| self.0.memory.read(&workspace.user))
            .clone()
    }
}
