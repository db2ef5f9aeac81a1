//! The three clocks of a workspace: when something was last open, when a person last did
//! something, when something last computed. Moved where requests pass, read by the reaper.
//!
//! Time is monotonic, so that a wrong clock stops nobody's work, and counted in milliseconds
//! since the clocks were made.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::activity::{Socket, Visit};
use crate::names::AppName;

/// How often it is noted anew, at most, who moves a clock.
const NAMED_EVERY: u64 = 100;

/// What moves a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The workspace was started, or found running.
    #[default]
    Start,
    /// A person opened a page.
    Navigation,
    /// A request of a page.
    Request,
    /// A WebSocket.
    Socket,
    /// A channel of an SSH connection.
    Ssh,
    /// The container's CPU.
    Cpu,
    /// An app that says that it computes.
    App,
}

impl Kind {
    /// The same in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Start => "its start",
            Self::Navigation => "a page",
            Self::Request => "a request",
            Self::Socket => "a WebSocket",
            Self::Ssh => "an SSH channel",
            Self::Cpu => "CPU",
            Self::App => "the word",
        }
    }
}

/// Who or what moved a clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mover {
    /// What it was.
    pub kind: Kind,
    /// The app it was for, if for one.
    pub app: Option<AppName>,
    /// Where it came from, if from a client.
    pub client: Option<IpAddr>,
}

/// One clock.
#[derive(Debug, Default)]
pub struct Clock {
    at: AtomicU64,
    /// How many things are open that move it all the time.
    open: AtomicUsize,
    named: AtomicU64,
    by: Mutex<Mover>,
}

/// What a clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hand {
    /// When it last moved.
    pub at: u64,
    /// How many things move it all the time.
    pub open: usize,
}

impl Clock {
    /// Moves it, or leaves it if it shows a later time.
    pub fn moved(&self, now: u64, by: &Mover) {
        // Many move it in the same millisecond; to read costs them less.
        if self.at.load(Relaxed) < now {
            self.at.fetch_max(now, Relaxed);
        }
        // Whoever moved it a moment ago is as good an answer.
        let named = self.named.load(Relaxed);
        if (named == 0 || now >= named + NAMED_EVERY)
            && let Ok(mut last) = self.by.try_lock()
        {
            self.named.store(now.max(1), Relaxed);
            last.clone_from(by);
        }
    }

    pub fn opened(&self, now: u64, by: &Mover) {
        self.open.fetch_add(1, Relaxed);
        self.moved(now, by);
    }

    pub fn closed(&self, now: u64, by: &Mover) {
        // Before the count falls, so that no moment looks both closed and long ago.
        self.moved(now, by);
        self.open.fetch_sub(1, Release);
    }

    pub fn hand(&self) -> Hand {
        Hand {
            // In this order: what closes in between has moved it.
            open: self.open.load(Acquire),
            at: self.at.load(Relaxed),
        }
    }

    /// Who moved it last.
    pub fn by(&self) -> Mover {
        lock(&self.by).clone()
    }

    fn start(&self, now: u64) {
        self.at.fetch_max(now, Relaxed);
        self.named.store(0, Relaxed);
        *lock(&self.by) = Mover::default();
    }
}

/// The clocks of a workspace, and what is open in it.
#[derive(Debug)]
pub struct Clocks {
    zero: Instant,
    /// When its container was started, or found running.
    started: AtomicU64,
    /// Until when somebody has it kept, or 0.
    kept_until: AtomicU64,
    /// Something is open.
    pub connected: Clock,
    /// A person does something.
    pub input: Clock,
    /// Something computes.
    pub busy: Clock,
    /// Open sockets by their number; changed when one is opened or closed.
    sockets: Mutex<BTreeMap<u64, Arc<Socket>>>,
    numbers: AtomicU64,
    ssh: AtomicUsize,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            zero: Instant::now(),
            started: AtomicU64::new(0),
            kept_until: AtomicU64::new(0),
            connected: Clock::default(),
            input: Clock::default(),
            busy: Clock::default(),
            sockets: Mutex::default(),
            numbers: AtomicU64::new(0),
            ssh: AtomicUsize::new(0),
        }
    }
}

impl Clocks {
    /// Milliseconds since the clocks were made.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The same of another moment.
    pub fn at(&self, when: Instant) -> u64 {
        millis(when.saturating_duration_since(self.zero))
    }

    /// The container runs from now on, as far as we know: nothing in it is older.
    pub fn start(&self) {
        let now = self.now();
        self.started.store(now, Relaxed);
        self.kept_until.store(0, Relaxed);
        for clock in [&self.connected, &self.input, &self.busy] {
            clock.start(now);
        }
    }

    /// Somebody comes; what they open is counted by an [`super::Activity`].
    pub fn came(&self, visit: &Visit) {
        let now = self.at(visit.at);
        self.connected.moved(now, &visit.by);
        if visit.input {
            self.input.moved(now, &visit.by);
        }
    }

    pub fn started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// Keeps the workspace for `how_long` from now, or longer if it is kept longer already.
    pub fn keep(&self, how_long: Duration) {
        let until = self.now().saturating_add(millis(how_long));
        self.kept_until.fetch_max(until, Relaxed);
    }

    pub fn kept_until(&self) -> u64 {
        self.kept_until.load(Relaxed)
    }

    pub fn add(&self, socket: Arc<Socket>) -> u64 {
        let number = self.numbers.fetch_add(1, Relaxed);
        lock(&self.sockets).insert(number, socket);
        number
    }

    pub fn remove(&self, number: u64) {
        lock(&self.sockets).remove(&number);
    }

    /// How many sockets are open.
    pub fn open_sockets(&self) -> usize {
        lock(&self.sockets).len()
    }

    pub fn ssh_opened(&self) {
        self.ssh.fetch_add(1, Relaxed);
    }

    pub fn ssh_closed(&self) {
        self.ssh.fetch_sub(1, Relaxed);
    }

    /// How many channels of SSH connections are open.
    pub fn ssh_channels(&self) -> usize {
        self.ssh.load(Relaxed)
    }

    /// The `most` oldest of the open sockets.
    pub fn sockets(&self, most: usize) -> Vec<Arc<Socket>> {
        lock(&self.sockets).values().take(most).cloned().collect()
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// None of these locks is held where anything can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
