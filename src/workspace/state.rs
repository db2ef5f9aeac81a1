//! What is known of one user's workspace. The engine is the truth; this is its last word.

use std::{
    net::IpAddr,
    sync::{self, Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    busy::Load,
    clocks::Clocks,
    enter::{Entering, is_under_way},
    memory::Remembered,
    phase::Phase,
    policy::Reading,
    upstream::Upstream,
    usage::Measuring,
};
use crate::{
    engine::{Container, Run},
    names::{AppName, Username},
    secret::hex,
};

/// The label by which images tell their version (OCI image specification, annotations); a
/// container has the labels of its image.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// Most shells in one workspace at once, each with a helper of its own: SSH connections and
/// browser terminals.
pub const SHELLS: usize = 32;

/// One user's workspace.
#[derive(Debug)]
pub struct Workspace {
    pub user: Username,
    pub clocks: Arc<Clocks>,
    pub load: sync::Mutex<Load>,
    /// What outlives us, once it was read or written.
    pub remembered: sync::Mutex<Option<Remembered>>,
    /// Made once it is measured.
    measuring: OnceLock<Box<Measuring>>,
    /// Held by whatever changes the container: a start, a stop, a look after an event. Taken
    /// before `state`, and never the other way round.
    pub change: Mutex<()>,
    /// Places for shells in it, made once it is entered.
    shells: OnceLock<Arc<Semaphore>>,
    state: RwLock<State>,
}

/// What changes of it.
#[derive(Debug, Default)]
pub struct State {
    pub life: Life,
    /// Fingerprint of what the container was made of.
    pub spec: Option<String>,
    /// Version of the image it was made of.
    pub version: Option<String>,
    /// When it last ran out of memory.
    pub out_of_memory: Option<Instant>,
    /// Its apps, by name. Not in a map: that has room for eleven, where most have one or two.
    pub slots: Vec<Slot>,
    /// The start without an app that is under way, or was the last one.
    pub entering: Option<watch::Receiver<Entering>>,
}

/// What the container does.
#[derive(Debug, Default)]
pub enum Life {
    #[default]
    Absent,
    Stopped,
    Paused,
    Running(Live),
    Stopping,
}

/// A running container.
#[derive(Clone, Debug)]
pub struct Live {
    pub id: Arc<str>,
    pub addr: IpAddr,
    /// When it was started, in the engine's words.
    pub started_at: String,
    /// Cancelled once it no longer runs.
    pub closed: CancellationToken,
}

impl Live {
    /// Names this run of the container: process ids of another run mean nothing in it.
    pub fn run(&self) -> String {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.started_at.as_bytes());
        hex(&digest.as_ref()[..6])
    }
}

/// An app in the workspace.
#[derive(Debug)]
pub struct Slot {
    pub app: AppName,
    /// There while the app runs. What requests need of it is made for the first one: after our
    /// start, most apps get none.
    pub upstream: Option<OnceLock<Arc<Upstream>>>,
    /// The engine's name of its command, if we ran it.
    pub exec: Option<String>,
    /// The start under way, or the last one.
    pub phase: Option<watch::Receiver<Phase>>,
    pub starting: bool,
    /// How many starts in a row have failed.
    pub failures: u32,
    /// When the next may be tried.
    pub retry_at: Option<Instant>,
}

impl Slot {
    fn new(app: AppName) -> Self {
        Self {
            app,
            upstream: None,
            exec: None,
            phase: None,
            starting: false,
            failures: 0,
            retry_at: None,
        }
    }

    /// The app is no more.
    pub fn close(&mut self) {
        self.exec = None;
        if let Some(upstream) = self.upstream.take().and_then(OnceLock::into_inner) {
            upstream.closed.cancel();
        }
    }
}

impl Workspace {
    pub fn new(user: Username) -> Self {
        Self {
            user,
            clocks: Arc::default(),
            load: sync::Mutex::default(),
            remembered: sync::Mutex::default(),
            measuring: OnceLock::new(),
            change: Mutex::default(),
            shells: OnceLock::new(),
            state: RwLock::default(),
        }
    }

    /// Places for shells in it.
    pub fn shells(&self) -> Arc<Semaphore> {
        let shells = || Arc::new(Semaphore::new(SHELLS));
        Arc::clone(self.shells.get_or_init(shells))
    }

    /// What it uses, to be measured.
    pub fn measuring(&self) -> &Measuring {
        self.measuring.get_or_init(Box::default)
    }

    /// What it uses, if that was ever measured.
    pub fn measured(&self) -> Option<&Measuring> {
        self.measuring.get().map(Box::as_ref)
    }

    /// The state to read. Never held over an await.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state to change. Never held over an await.
    pub fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the engine says of the container, and returns it if it runs, and whether that is
    /// the run that was known. `change` is held by the caller.
    pub fn learn(&self, seen: Option<&Container>, spec: Option<&String>) -> (Option<Live>, bool) {
        let mut state = self.write();
        state.spec = spec.cloned();
        state.version = seen
            .and_then(|seen| seen.labels.get(VERSION_LABEL))
            .cloned();
        let running = seen.filter(|seen| seen.run == Run::Running);
        if let (Life::Running(live), Some(seen)) = (&state.life, running)
            && *live.id == *seen.id
            && live.started_at == seen.started_at
        {
            return (Some(live.clone()), true);
        }
        state.end();
        let Some((seen, addr)) = running.and_then(|seen| seen.addr.map(|addr| (seen, addr))) else {
            state.life = match seen.map(|seen| seen.run) {
                None => Life::Absent,
                Some(Run::Paused) => Life::Paused,
                Some(_) => Life::Stopped,
            };
            return (None, false);
        };
        self.clocks.start();
        let live = Live {
            id: Arc::clone(&seen.id),
            addr,
            started_at: seen.started_at.clone(),
            closed: CancellationToken::new(),
        };
        state.life = Life::Running(live.clone());
        (Some(live), false)
    }

    /// What the clocks show.
    pub fn reading(&self) -> Reading {
        let clocks = &self.clocks;
        Reading {
            started: clocks.started(),
            connected: clocks.connected.hand(),
            input: clocks.input.hand(),
            busy: clocks.busy.hand(),
            kept_until: clocks.kept_until(),
            // Last, so that nothing shows a later time.
            now: clocks.now(),
        }
    }
}

impl State {
    /// The container no longer runs, or not as it did: its apps are no more.
    pub fn end(&mut self) {
        if let Life::Running(live) = &self.life {
            live.closed.cancel();
        }
        self.slots.iter_mut().for_each(Slot::close);
    }

    /// An app of it, if it was ever there.
    pub fn slot(&self, app: &AppName) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.app == *app)
    }

    /// The place of an app, made if there is none: in order of names, as they are shown, and with no
    /// room to spare, since few get a third.
    pub fn slot_mut(&mut self, app: &AppName) -> &mut Slot {
        let at = self.slots.partition_point(|slot| slot.app < *app);
        if self.slots.get(at).is_none_or(|slot| slot.app != *app) {
            self.slots.reserve_exact(1);
            self.slots.insert(at, Slot::new(app.clone()));
        }
        &mut self.slots[at]
    }

    /// What it does, in a word.
    pub fn word(&self) -> &'static str {
        match &self.life {
            Life::Running(_) => "running",
            Life::Stopping => "stopping",
            _ if self.slots.iter().any(|slot| slot.starting)
                || self.entering.as_ref().is_some_and(is_under_way) =>
            {
                "starting"
            }
            Life::Absent => "absent",
            Life::Stopped => "stopped",
            Life::Paused => "paused",
        }
    }

    /// The running container, if it is `live` still.
    pub fn is_still(&self, live: &Live) -> bool {
        matches!(&self.life, Life::Running(now) if now.id == live.id && now.started_at == live.started_at)
    }
}
