//! Connections to apps, kept for the next request. One pool for each thread: no lock, and no
//! connection ever crosses threads.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{connection::Connection, moment::Moments};

/// How long a connection is kept idle: less than the 5 s after which Node.js closes one
/// (Node.js documentation, `server.keepAliveTimeout`), so that we are the first.
const IDLE: Duration = Duration::from_secs(4);
/// How often idle connections are looked through. Their age is counted in these rounds: to read the
/// clock whenever one is kept or taken costs more than an exact age is worth.
const ROUND: Duration = Duration::from_secs(1);
/// Most idle connections to one app: as many as its browsers may use at once.
const IDLE_PER_APP: usize = 64;

/// The idle connections of one thread; a clone is another handle of the same.
#[derive(Clone, Default)]
pub struct Pool(Rc<Idle>);

#[derive(Default)]
struct Idle {
    by_app: RefCell<BTreeMap<u64, Kept>>,
    /// How many rounds there were.
    round: Cell<u64>,
    /// Whether a task looks after them.
    tended: Cell<bool>,
    /// Requests that wait for an answer.
    moments: Moments,
}

struct Kept {
    /// Cancelled when the app is no more.
    closed: CancellationToken,
    /// Since which round each has been idle, the longest first.
    connections: Vec<(u64, Connection)>,
}

impl Kept {
    /// Forgets what is too old, or leads to an app that is no more; whether any is left.
    fn tend(&mut self, round: u64) -> bool {
        if self.closed.is_cancelled() {
            self.connections.clear();
        }
        // Kept at any time of a round, it is up to a whole one younger than counted.
        let most = IDLE.as_secs() / ROUND.as_secs();
        self.connections.retain(|(since, _)| round - since < most);
        !self.connections.is_empty()
    }
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where requests of this thread wait for a first moment.
    pub(super) fn moments(&self) -> &Moments {
        &self.0.moments
    }

    /// The connection to the app `id` that was used last and still is one.
    pub(super) fn take(&self, id: u64) -> Option<Connection> {
        let mut idle = self.0.by_app.borrow_mut();
        let kept = idle.get_mut(&id)?;
        loop {
            let (_, connection) = kept.connections.pop()?;
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose answer has ended, to the app `id` that ends with `closed`.
    pub(super) fn put(&self, id: u64, closed: &CancellationToken, connection: Connection) {
        let mut idle = self.0.by_app.borrow_mut();
        let kept = idle.entry(id).or_insert_with(|| Kept {
            closed: closed.clone(),
            connections: Vec::new(),
        });
        if kept.connections.len() < IDLE_PER_APP {
            kept.connections.push((self.0.round.get(), connection));
        }
        if !self.0.tended.replace(true) {
            tokio::task::spawn_local(self.clone().tend());
        }
    }

    /// Closes what was idle for too long, for as long as there is anything.
    async fn tend(self) {
        let (began, first) = (Instant::now(), self.0.round.get());
        loop {
            sleep(ROUND).await;
            // By the clock, which goes on while this thread is held up.
            let round = first + began.elapsed().as_secs() / ROUND.as_secs();
            self.0.round.set(round);
            let mut idle = self.0.by_app.borrow_mut();
            idle.retain(|_, kept| kept.tend(round));
            if idle.is_empty() {
                self.0.tended.set(false);
                return;
            }
        }
    }
}
