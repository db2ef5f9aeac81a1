//! An engine that exists only in memory, and remembers who stopped what.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    engine::{
        Attached, Container, ContainerSpec, Engine, EngineError, Event, Labels, Network, Run, Usage,
    },
    workspace::spec::{INSTANCE_LABEL, USER_LABEL},
};

/// The engine as one proxy holds it.
#[derive(Clone)]
pub struct Made {
    /// Which proxy.
    pub who: &'static str,
    pub shared: Arc<Shared>,
}

pub struct Shared {
    containers: Mutex<BTreeMap<String, Held>>,
    pub fails: watch::Sender<bool>,
    /// How long each call takes, in milliseconds.
    pub takes: Mutex<u64>,
}

/// A container.
#[derive(Clone)]
pub struct Held {
    pub seen: Container,
    name: String,
    /// CPU time used until the last look, since when it computes, and that look.
    used: Duration,
    computes: Option<(Instant, Instant)>,
    /// Stops that were asked for: by whom, and when.
    pub stops: Vec<(&'static str, Instant)>,
    starts: u64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            containers: Mutex::default(),
            fails: watch::Sender::new(false),
            takes: Mutex::new(1),
        }
    }
}

impl Shared {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.containers.lock().unwrap()
    }

    /// A user's container.
    pub fn of(&self, user: &str) -> Option<Held> {
        let all = self.all();
        all.values()
            .find(|one| one.seen.labels[USER_LABEL] == user)
            .cloned()
    }

    pub fn by_id(&self, id: &str) -> Option<Held> {
        self.all().get(id).cloned()
    }

    pub fn instances_that_were_stopped_by_another(&self) -> usize {
        let all = self.all();
        let stopped = all.values().filter(|one| {
            let instance = &one.seen.labels[INSTANCE_LABEL];
            one.stops.iter().any(|(who, _)| who != instance)
        });
        stopped.count()
    }

    /// Something in a user's container begins or ends to compute.
    pub fn compute(&self, user: &str, computes: bool) {
        let mut all = self.all();
        let one = all
            .values_mut()
            .find(|one| one.seen.labels[USER_LABEL] == user);
        if let Some(one) = one.filter(|one| one.seen.run == Run::Running) {
            one.settle();
            one.computes = computes.then(|| (Instant::now(), Instant::now()));
        }
    }
}

impl Held {
    pub fn runs(&self) -> bool {
        self.seen.run == Run::Running
    }

    /// Since when it computes.
    pub fn computes(&self) -> Option<Instant> {
        Some(self.computes?.0)
    }

    fn settle(&mut self) {
        if let Some((_, look)) = &mut self.computes {
            self.used += look.elapsed();
            *look = Instant::now();
        }
    }
}

impl Made {
    async fn call(&self) -> Result<MutexGuard<'_, BTreeMap<String, Held>>, EngineError> {
        let takes = *self.shared.takes.lock().unwrap();
        sleep(Duration::from_millis(takes)).await;
        if *self.shared.fails.borrow() {
            return Err(EngineError::Unreachable);
        }
        Ok(self.shared.all())
    }
}

#[async_trait]
impl Engine for Made {
    async fn image_id(&self, _: &str) -> Result<String, EngineError> {
        self.call().await.map(|_| "image".to_owned())
    }

    async fn network(&self, _: &str) -> Result<Option<Network>, EngineError> {
        self.call().await.map(|_| Some(Network { isolated: true }))
    }

    async fn create_network(&self, _: &str) -> Result<(), EngineError> {
        self.call().await.map(drop)
    }

    async fn shield(&self, _: &str) -> Result<(), EngineError> {
        self.call().await.map(drop)
    }

    async fn list(&self, label: &str, value: &str) -> Result<Vec<(String, Labels)>, EngineError> {
        let all = self.call().await?;
        let fit = all.values().map(|one| &one.seen);
        Ok(fit
            .filter(|seen| seen.labels[label] == value)
            .map(|seen| (seen.id.to_string(), seen.labels.clone()))
            .collect())
    }

    async fn inspect(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let all = self.call().await?;
        let mut all = all.values();
        let found = all.find(|one| one.name == name || *one.seen.id == *name);
        Ok(found.map(|one| one.seen.clone()))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let mut all = self.call().await?;
        let id = format!("{}-{}", spec.name, all.len());
        let seen = Container {
            id: id.as_str().into(),
            labels: spec.labels.clone(),
            run: Run::Stopped,
            addr: None,
            out_of_memory: false,
            started_at: String::new(),
        };
        let one = Held {
            seen,
            name: spec.name.clone(),
            used: Duration::ZERO,
            computes: None,
            stops: Vec::new(),
            starts: 0,
        };
        all.insert(id.clone(), one);
        Ok(id)
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        let mut all = self.call().await?;
        let one = all.get_mut(id).ok_or(EngineError::ContainerGone)?;
        if !one.runs() {
            one.starts += 1;
            one.seen.run = Run::Running;
            // Nobody listens there.
            one.seen.addr = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            one.seen.started_at = format!("start {}", one.starts);
            one.used = Duration::ZERO;
        }
        Ok(())
    }

    async fn unpause(&self, _: &str) -> Result<(), EngineError> {
        self.call().await.map(drop)
    }

    async fn stop(&self, id: &str, _: u64) -> Result<(), EngineError> {
        if let Some(one) = self.shared.all().get_mut(id) {
            one.stops.push((self.who, Instant::now()));
        }
        let mut all = self.call().await?;
        let one = all.get_mut(id).ok_or(EngineError::ContainerGone)?;
        one.seen.run = Run::Stopped;
        one.seen.addr = None;
        one.computes = None;
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        self.call().await?.remove(id);
        Ok(())
    }

    async fn exec(&self, _: &str, _: &[String], _: &[String]) -> Result<String, EngineError> {
        self.call().await.map(|_| "exec".to_owned())
    }

    async fn exec_ended(&self, _: &str) -> Result<Option<i64>, EngineError> {
        self.call().await.map(|_| None)
    }

    async fn output(&self, _: &str, _: &[String]) -> Result<String, EngineError> {
        self.call().await.map(|_| String::new())
    }

    async fn attach(&self, _: &str, _: &[String]) -> Result<Attached, EngineError> {
        Err(EngineError::Refused("nothing runs here".into()))
    }

    async fn usage(&self, _: &str) -> Result<Usage, EngineError> {
        self.call().await.map(|_| Usage::default())
    }

    async fn cpu_used(&self, ids: &[Arc<str>]) -> Vec<Option<Duration>> {
        let mut all = self.shared.all();
        let used = ids.iter().map(|id| {
            let one = all.get_mut(&**id)?;
            one.settle();
            Some(one.used)
        });
        used.collect()
    }

    fn events(&self, _: &str, _: &str, _: u64) -> BoxStream<'static, Result<Event, EngineError>> {
        // Nothing is told; the stream ends with the engine.
        let mut fails = self.shared.fails.subscribe();
        let end = async move {
            let _ = fails.wait_for(|fails| *fails).await;
            Err(EngineError::Unreachable)
        };
        stream::once(end).boxed()
    }
}
