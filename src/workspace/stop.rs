//! The end of a container: its apps are told, then it is stopped. Files stay.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Workspaces,
    phase::{Cause, StopError, StopReason},
    state::{Life, Live, Workspace},
};
use crate::{
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
        Ok(self.end(&workspace, &id, live, reason).await?)
    }

    /// Stops a user's container if it has been quiet for `timeout`, decided in the same moment
    /// in which a hit would be let through.
    pub async fn stop_if_quiet(&self, user: &Username, timeout: Duration) {
        let Some(workspace) = self.known(user) else {
            return;
        };
        // A change under way is no quiet.
        let Ok(_change) = workspace.change.try_lock() else {
            return;
        };
        let live = {
            let mut state = workspace.write();
            let quiet = workspace.quiet_for(&state);
            if quiet.is_none_or(|quiet| quiet < timeout) {
                return;
            }
            let Life::Running(live) = &state.life else {
                return;
            };
            let live = live.clone();
            state.end();
            state.life = Life::Stopping;
            live
        };
        let id = Arc::clone(&live.id);
        if let Err(error) = self
            .end(&workspace, &id, Some(live), StopReason::Idle)
            .await
        {
            tracing::warn!(%user, %error, "a quiet workspace could not be stopped; tried again later");
        }
    }

    /// Who may be asked by [`Workspaces::stop_if_quiet`]: a first look without the lock.
    pub fn quiet(&self, timeout: Duration) -> Vec<Username> {
        let known = self.0.by_user.iter();
        let quiet = known.filter(|workspace| {
            let state = workspace.read();
            workspace
                .quiet_for(&state)
                .is_some_and(|quiet| quiet >= timeout)
        });
        quiet.map(|workspace| workspace.user.clone()).collect()
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
            tracing::info!(target: "audit", event = "remove", %user, container.id = id);
        }
        workspace.learn(None, None);
        Ok(())
    }

    /// Looks for the user's container anew; `change` is held by the caller.
    async fn find(&self, workspace: &Workspace) -> Result<Option<String>, StopError> {
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
        workspace: &Workspace,
        id: &str,
        live: Option<Live>,
        reason: StopReason,
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
        self.0.count.stopped(reason.as_str());
        tracing::info!(target: "audit", event = "stop", user = %workspace.user,
            container.id = id, reason = reason.as_str());
        Ok(())
    }
}
