//! When a workspace was last used: counted where requests pass, read by the reaper.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// What is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    /// A request, until the end of its answer.
    Request,
    /// A WebSocket, until it is closed.
    Socket,
}

/// What is open in one workspace, and when the last thing was asked for or closed. Time is
/// monotonic, so that a wrong clock stops nobody's work.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    requests: AtomicUsize,
    sockets: AtomicUsize,
    /// Milliseconds since `began`.
    last: AtomicU64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            last: AtomicU64::new(0),
        }
    }
}

impl Clock {
    /// Something was asked for just now.
    pub fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Ordering::Relaxed);
    }

    /// Counts something open until the guard is dropped.
    pub fn open(self: &Arc<Self>, kind: ActivityKind) -> Activity {
        self.touch();
        self.count(kind).fetch_add(1, Ordering::Relaxed);
        Activity {
            clock: Arc::clone(self),
            kind,
        }
    }

    /// How many requests and sockets are open.
    pub fn open_count(&self) -> usize {
        self.requests.load(Ordering::Relaxed) + self.sockets.load(Ordering::Relaxed)
    }

    /// How many sockets are open.
    pub fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    /// How long nothing has been open or asked for; zero while something is open.
    pub fn quiet_for(&self) -> Duration {
        if self.open_count() > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }

    fn count(&self, kind: ActivityKind) -> &AtomicUsize {
        match kind {
            ActivityKind::Request => &self.requests,
            ActivityKind::Socket => &self.sockets,
        }
    }
}

/// Something open in a workspace.
#[derive(Debug)]
pub struct Activity {
    clock: Arc<Clock>,
    kind: ActivityKind,
}

impl Activity {
    /// A WebSocket's client sent a frame with a payload of `length` bytes.
    pub fn client_frame(&self, opcode: u8, length: u64) {
        // With their times, such lines are what the traces under tests/traces are made of.
        tracing::trace!(target: "traffic", kind = ?self.kind, opcode, length);
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        // Before the count falls, so that no moment looks both closed and long ago.
        self.clock.touch();
        self.clock.count(self.kind).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_open_socket_is_never_quiet_and_a_closed_one_counts_from_its_end() {
        let clock = Arc::new(Clock::default());
        let socket = clock.open(ActivityKind::Socket);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(clock.quiet_for(), Duration::ZERO);
        drop(socket);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.quiet_for(), Duration::from_secs(5));
    }
}
