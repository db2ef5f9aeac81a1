//! The container of a user: found, started, or made.

use std::sync::Arc;

use super::{
    Workspaces, network,
    phase::{Cause, Step},
    spec,
    state::{Live, Workspace},
};
use crate::{
    engine::{Container, ContainerSpec, EngineError, Run},
    names::ContainerName,
};

impl Workspaces {
    /// Has the container run, and says how that was done: `attached`, `unpaused`, `started` or
    /// `created`.
    pub(super) async fn container(
        &self,
        workspace: &Arc<Workspace>,
        uid: Option<&str>,
        tell: impl Fn(Step),
    ) -> Result<(Live, &'static str), Cause> {
        let _change = workspace.change.lock().await;
        tell(Step::Image);
        let name = ContainerName::of(&workspace.user);
        let seen = self.ours(&name, workspace).await?;
        let how = match &seen {
            Some(seen) if seen.run == Run::Running && seen.addr.is_some() => "attached",
            Some(seen) if seen.run == Run::Paused => {
                tell(Step::Container);
                self.0.engine.unpause(&seen.id).await?;
                "unpaused"
            }
            _ => {
                self.start_or_make(workspace, uid, seen.as_ref(), &tell)
                    .await?
            }
        };
        let seen = self.ours(&name, workspace).await?;
        match self.learn(workspace, seen.as_ref()) {
            Some(live) => Ok((live, how)),
            None if seen.is_some_and(|seen| seen.out_of_memory) => Err(Cause::OutOfMemory),
            None => Err(Cause::ContainerEnded),
        }
    }

    /// The user's container, if there is one; another's of that name is never touched.
    pub(super) async fn ours(
        &self,
        name: &ContainerName,
        workspace: &Workspace,
    ) -> Result<Option<Container>, Cause> {
        let seen = self.0.engine.inspect(name.as_str()).await?;
        let Some(seen) = seen else { return Ok(None) };
        let label = |label: &str| seen.labels.get(label).map(String::as_str);
        let ours = label(spec::USER_LABEL) == Some(workspace.user.as_str())
            && label(spec::INSTANCE_LABEL) == Some(&self.0.instance.id);
        if ours {
            Ok(Some(seen))
        } else {
            Err(Cause::ForeignContainer(name.clone()))
        }
    }

    /// Takes in what the engine says of a container of ours. `change` is held by the caller.
    pub(super) fn learn(
        &self,
        workspace: &Arc<Workspace>,
        seen: Option<&Container>,
    ) -> Option<Live> {
        if let Some(seen) = seen {
            let (id, workspace) = (Arc::clone(&seen.id), Arc::clone(workspace));
            self.0.by_id.insert(id, workspace);
        }
        let spec = seen.and_then(|seen| seen.labels.get(spec::SPEC_LABEL));
        let (live, same) = workspace.learn(seen, spec);
        // No lock is held here: whoever looks at what it uses asks for its state, too.
        if !same && let Some(measured) = workspace.measured() {
            measured.rests();
        }
        // Found running after a restart of ours, it may be one that somebody has kept.
        if live.is_some()
            && !same
            && let Some(left) = self.remembered(workspace).kept_for()
        {
            workspace.clocks.keep(left.min(self.0.idle.longest_keep));
        }
        live
    }

    async fn start_or_make(
        &self,
        workspace: &Workspace,
        uid: Option<&str>,
        stopped: Option<&Container>,
        tell: &impl Fn(Step),
    ) -> Result<&'static str, Cause> {
        let engine = &self.0.engine;
        network::check_again(&**engine, &self.0.config).await?;
        let image = match (self.image().await, stopped) {
            (Ok(image), _) => image,
            // It can't be made anew, but what it was made of is still there.
            (Err(error @ EngineError::ImageMissing(_)), Some(stopped)) => {
                tracing::warn!(%error, "started from the old image");
                tell(Step::Container);
                engine.start(&stopped.id).await?;
                return Ok("started");
            }
            (Err(error), _) => return Err(error.into()),
        };
        // Whoever starts it without a token leaves the id that it knows.
        let known = stopped.and_then(|stopped| stopped.labels.get(spec::UID_LABEL));
        let uid = uid.or(known.map(String::as_str));
        let spec = spec::container(
            &self.0.config,
            &self.0.instance,
            &workspace.user,
            uid,
            &image,
        )?;
        tell(Step::Container);
        if let Some(stopped) = stopped {
            let same = |label| stopped.labels.get(label) == spec.labels.get(label);
            if same(spec::SPEC_LABEL) && same(spec::UID_LABEL) {
                match engine.start(&stopped.id).await {
                    Ok(()) => return Ok("started"),
                    // Made anew, it is put on the network that is there now.
                    Err(EngineError::NetworkMissing) => {}
                    Err(error) => return Err(error.into()),
                }
            } else {
                tracing::info!("the container is of an old make and is made anew");
            }
            engine.remove(&stopped.id).await?;
            self.0.by_id.remove(&stopped.id);
        }
        self.make(&spec).await?;
        Ok("created")
    }

    async fn make(&self, spec: &ContainerSpec) -> Result<(), Cause> {
        let engine = &self.0.engine;
        let id = engine.create(spec).await.map_err(|error| match error {
            // By its name rather than by the id we asked for.
            EngineError::ImageMissing(_) => EngineError::ImageMissing(self.0.config.image.clone()),
            error => error,
        })?;
        if let Err(error) = engine.start(&id).await {
            // What can't be started would be found, and tried, again and again.
            if let Err(error) = engine.remove(&id).await {
                tracing::warn!(%error, container.id = id, "a container that did not start stays");
            }
            return Err(error.into());
        }
        Ok(())
    }
}
