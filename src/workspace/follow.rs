//! What others do to our containers, and what ends by itself: seen in the engine's events, and
//! looked at again whenever those may have been missed.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Workspaces,
    spec::{INSTANCE_LABEL, USER_LABEL},
    state::{Life, Live, Slot, Workspace},
    upstream::Upstream,
};
use crate::{
    engine::{Container, EngineError, Event, Labels},
    names::{ContainerName, Username},
};

/// How long after the engine went away it is asked again.
const RECONNECT: Duration = Duration::from_secs(1);
/// How often it is looked whether the image's name means another one now.
const IMAGE_LOOK: Duration = Duration::from_secs(30);
/// How many containers are looked at side by side.
const LOOKS: usize = 8;

/// Now, as the engine's events count it: Unix seconds.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Workspaces {
    /// Follows the engine until `stop`.
    pub(super) async fn follow(self, mut since: u64, stop: CancellationToken) {
        // Cancel-safe: what was being looked at is looked at again after the next start.
        let forever = async {
            loop {
                self.follow_one_connection(since).await;
                tracing::warn!("the container engine's events ended; asking again");
                since = now();
                while let Err(error) = self.look_at_all().await {
                    tracing::debug!(%error, "the container engine does not answer");
                    sleep(RECONNECT).await;
                }
                // What it did before we looked was seen by looking.
                sleep(RECONNECT).await;
            }
        };
        tokio::select! {
            () = forever => {}
            () = stop.cancelled() => {}
        }
    }

    async fn follow_one_connection(&self, since: u64) {
        let mut events = self
            .0
            .engine
            .events(INSTANCE_LABEL, &self.0.instance.id, since);
        let mut image_look = interval(IMAGE_LOOK);
        image_look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.heard(event),
                    Some(Err(_)) | None => return,
                },
                _ = image_look.tick() => {
                    if let Err(error) = self.image().await {
                        tracing::warn!(%error, "the image of the workspaces was not found");
                    }
                }
            }
        }
    }

    /// An event never waits for the one before it: each workspace is looked at by itself.
    fn heard(&self, event: Event) {
        match event {
            Event::Container { id } => {
                let this = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = this.look_at_id(&id).await {
                        tracing::warn!(%error, container.id = id, "could not look at a container");
                    }
                });
            }
            Event::OutOfMemory { id } => {
                if let Some(workspace) = self.of_container(&id) {
                    workspace.write().out_of_memory = Some(Instant::now());
                    tracing::warn!(user = %workspace.user, "a workspace ran out of memory");
                }
            }
            Event::ExecEnded { id, exec } => {
                let Some(workspace) = self.of_container(&id) else {
                    return;
                };
                let mut state = workspace.write();
                let ended = |slot: &&mut Slot| slot.exec.as_ref() == Some(&exec);
                if let Some(slot) = state.slots.iter_mut().find(ended) {
                    tracing::info!(user = %workspace.user, "an app ended");
                    slot.close();
                }
            }
        }
    }

    fn of_container(&self, id: &str) -> Option<Arc<Workspace>> {
        self.0.by_id.get(id).map(|known| Arc::clone(&known))
    }

    /// Looks at every container of ours, and at those we know of that are none any more.
    pub(super) async fn look_at_all(&self) -> Result<(), EngineError> {
        let listed = self
            .0
            .engine
            .list(INSTANCE_LABEL, &self.0.instance.id)
            .await?;
        let listed = listed
            .into_iter()
            .filter_map(|(id, labels)| Some((id.into(), self.workspace(&owner(&labels)?))));
        let known = self.0.by_id.iter();
        let known = known.map(|known| (Arc::clone(known.key()), Arc::clone(&known)));
        let all: BTreeMap<Arc<str>, Arc<Workspace>> = known.chain(listed).collect();
        let looks = stream::iter(all);
        let looks = looks.map(async |(id, workspace)| self.look_at(&id, &workspace).await);
        let looked: Vec<_> = looks.buffer_unordered(LOOKS).collect().await;
        looked.into_iter().collect()
    }

    /// Takes in what became of a container that an event told of.
    async fn look_at_id(&self, id: &str) -> Result<(), EngineError> {
        if let Some(workspace) = self.of_container(id) {
            return self.look_at(id, &workspace).await;
        }
        let seen = self.0.engine.inspect(id).await?;
        match seen.and_then(|seen| owner(&seen.labels)) {
            Some(user) => self.look_at(id, &self.workspace(&user)).await,
            None => Ok(()),
        }
    }

    /// Takes in what became of a user's container, once no change to it is under way.
    async fn look_at(&self, id: &str, workspace: &Arc<Workspace>) -> Result<(), EngineError> {
        let _change = workspace.change.lock().await;
        let ran = matches!(&workspace.read().life, Life::Running(live) if *live.id == *id);
        let seen = self.0.engine.inspect(id).await?;
        if seen.is_none() {
            self.0.by_id.remove(id);
            let now = self
                .0
                .engine
                .inspect(ContainerName::of(&workspace.user).as_str())
                .await?;
            let ours = now.filter(|now| {
                owner(&now.labels).as_ref() == Some(&workspace.user) && self.is_ours(now)
            });
            if self.learn(workspace, ours.as_ref()).is_none() && ran {
                self.stopped(workspace, id, "outside", "its container was removed".into());
            }
            return Ok(());
        }
        let live = self.learn(workspace, seen.as_ref());
        if ran && matches!(workspace.read().life, Life::Stopped) {
            let starved = seen.is_some_and(|seen| seen.out_of_memory);
            let (reason, because) = if starved {
                ("out_of_memory", "it ran out of memory")
            } else {
                ("outside", "its container ended, and not by us")
            };
            self.stopped(workspace, id, reason, because.into());
        }
        if let Some(live) = live.filter(|_| !ran) {
            self.look_for_apps(workspace, &live);
        }
        Ok(())
    }

    fn is_ours(&self, seen: &Container) -> bool {
        seen.labels.get(INSTANCE_LABEL) == Some(&self.0.instance.id)
    }

    /// Finds out which apps run in a container that we did not see start, so that open tabs go
    /// on without anybody's click.
    fn look_for_apps(&self, workspace: &Arc<Workspace>, live: &Live) {
        for (app, config) in &self.0.apps {
            let upstream = self.upstream_of(workspace, app, config, live);
            let (this, workspace) = (self.clone(), Arc::clone(workspace));
            self.0.runtime.spawn(async move {
                this.look_for_app(&workspace, &upstream, OnceLock::new())
                    .await;
            });
        }
    }

    /// If `upstream` answers, the app runs. `up` is what its slot then holds: nothing yet, if nobody
    /// has come to it.
    async fn look_for_app(
        &self,
        workspace: &Workspace,
        upstream: &Upstream,
        up: OnceLock<Arc<Upstream>>,
    ) {
        let Some(config) = self.0.apps.get(&upstream.app) else {
            return;
        };
        let probe = self.probe(upstream, config);
        let answers = upstream.while_open(probe.answers()).await;
        let mut state = workspace.write();
        let same = matches!(&state.life, Life::Running(live) if live.id == upstream.container)
            && !upstream.closed.is_cancelled();
        if !answers {
            upstream.closed.cancel();
        } else if same {
            let slot = state.slot_mut(&upstream.app);
            if slot.upstream.is_none() && !slot.starting {
                slot.upstream = Some(up);
            }
        }
    }

    /// Someone could not reach an app: nobody is let through to it until it has answered again.
    pub fn suspect(&self, upstream: &Arc<Upstream>) {
        let Some(workspace) = self.known(&upstream.user) else {
            return;
        };
        {
            let mut state = workspace.write();
            let slot = state.slot_mut(&upstream.app);
            if !slot
                .upstream
                .as_ref()
                .and_then(OnceLock::get)
                .is_some_and(|now| Arc::ptr_eq(now, upstream))
            {
                return;
            }
            slot.upstream = None;
        }
        let (this, upstream) = (self.clone(), Arc::clone(upstream));
        self.0.runtime.spawn(async move {
            let up = Arc::clone(&upstream).into();
            this.look_for_app(&workspace, &upstream, up).await;
        });
    }
}

/// Whose container it says it is.
fn owner(labels: &Labels) -> Option<Username> {
    labels
        .get(USER_LABEL)
        .and_then(|user| Username::parse(user).ok())
}
