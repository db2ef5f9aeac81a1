//! Connections to apps, kept for the next request. One pool for each thread: no lock, and no
//! connection ever crosses threads.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;

/// How long a connection is kept idle: less than the 5 s after which Node.js closes one
/// (Node.js documentation, `server.keepAliveTimeout`), so that we are the first.
const IDLE: Duration = Duration::from_secs(4);
/// Most idle connections to one app: a page's worth.
const IDLE_PER_APP: usize = 32;

/// The idle connections of one thread; a clone is another handle of the same.
#[derive(Clone, Default)]
pub struct Pool(Rc<Idle>);

#[derive(Default)]
struct Idle {
    by_app: RefCell<HashMap<u64, Kept>>,
    /// Whether a task looks after them.
    tended: Cell<bool>,
}

struct Kept {
    /// Cancelled when the app is no more.
    closed: CancellationToken,
    /// Since when each has been idle, the longest first.
    connections: Vec<(Instant, Connection)>,
}

impl Kept {
    /// Forgets what is too old, or leads to an app that is no more; whether any is left.
    fn tend(&mut self, now: Instant) -> bool {
        if self.closed.is_cancelled() {
            self.connections.clear();
        }
        self.connections.retain(|(since, _)| now - *since < IDLE);
        !self.connections.is_empty()
    }
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connection to the app `id` that was used last and still is one.
    pub(super) fn take(&self, id: u64) -> Option<Connection> {
        let mut idle = self.0.by_app.borrow_mut();
        let kept = idle.get_mut(&id)?;
        let now = Instant::now();
        while let Some((since, connection)) = kept.connections.pop() {
            if now - since < IDLE && connection.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer has ended, to the app `id` that ends with `closed`.
    pub(super) fn put(&self, id: u64, closed: &CancellationToken, connection: Connection) {
        let mut idle = self.0.by_app.borrow_mut();
        let kept = idle.entry(id).or_insert_with(|| Kept {
            closed: closed.clone(),
            connections: Vec::new(),
        });
        if kept.connections.len() < IDLE_PER_APP {
            kept.connections.push((Instant::now(), connection));
        }
        if !self.0.tended.replace(true) {
            tokio::task::spawn_local(self.clone().tend());
        }
    }

    /// Closes what was idle for too long, for as long as there is anything.
    async fn tend(self) {
        loop {
            sleep(IDLE / 4).await;
            let now = Instant::now();
            let mut idle = self.0.by_app.borrow_mut();
            idle.retain(|_, kept| kept.tend(now));
            if idle.is_empty() {
                self.0.tended.set(false);
                return;
            }
        }
    }
}
