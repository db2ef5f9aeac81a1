//! What is open in a workspace, from its first byte to its last: this is what moves its clocks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    clocks::{Clocks, Mover},
    rounds::Rounds,
};

/// Somebody comes to a workspace.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who, with what.
    pub by: Mover,
    /// Whether a person does something by it, for as long as it lasts.
    pub input: bool,
}

/// Something open in a workspace, until it is dropped.
#[derive(Debug)]
pub struct Activity {
    clocks: Arc<Clocks>,
    visit: Visit,
}

impl Activity {
    pub(super) fn begin(clocks: &Arc<Clocks>, visit: Visit) -> Self {
        let now = clocks.now();
        clocks.connected.opened(now, &visit.by);
        if visit.input {
            clocks.input.opened(now, &visit.by);
        }
        let clocks = Arc::clone(clocks);
        Self { clocks, visit }
    }

    /// A person did something with it just now.
    pub fn input(&self) {
        self.clocks.input.moved(self.clocks.now(), &self.visit.by);
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let now = self.clocks.now();
        if self.visit.input {
            self.clocks.input.closed(now, &self.visit.by);
        }
        self.clocks.connected.closed(now, &self.visit.by);
    }
}

/// What is told of an open WebSocket. Its owner adds, everyone else reads.
#[derive(Debug)]
pub struct Socket {
    pub by: Mover,
    /// When it was opened, by its workspace's clocks.
    pub opened: u64,
    pub up: AtomicU64,
    pub down: AtomicU64,
    /// When a person last did something with it, or 0.
    pub input: AtomicU64,
}

/// An open WebSocket, until it is dropped.
#[derive(Debug)]
pub struct OpenSocket {
    activity: Activity,
    number: u64,
    socket: Arc<Socket>,
    rounds: Rounds,
}

impl OpenSocket {
    pub(super) fn begin(clocks: &Arc<Clocks>, visit: Visit, settle: u64) -> Self {
        let opened = clocks.now();
        let socket = Arc::new(Socket {
            by: visit.by.clone(),
            opened,
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            input: AtomicU64::new(0),
        });
        Self {
            number: clocks.add(Arc::clone(&socket)),
            activity: Activity::begin(clocks, visit),
            socket,
            rounds: Rounds::new(opened, settle),
        }
    }

    /// So many bytes came from the client.
    pub fn up(&mut self, bytes: usize) {
        self.socket.up.fetch_add(bytes as u64, Relaxed);
    }

    /// So many bytes came from the app.
    pub fn down(&mut self, bytes: usize) {
        self.socket.down.fetch_add(bytes as u64, Relaxed);
    }

    /// The client began a frame that carries data: Ping, Pong and Close are nobody's doing.
    pub fn client_data(&mut self, length: u64) {
        let now = self.activity.clocks.now();
        if self.rounds.sent(now, length) {
            self.socket.input.store(now, Relaxed);
            self.activity
                .clocks
                .input
                .moved(now, &self.activity.visit.by);
        }
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.activity.clocks.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::workspace::clocks::Kind;

    fn visit(kind: Kind, input: bool) -> Visit {
        let by = Mover {
            kind,
            ..Mover::default()
        };
        Visit { by, input }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_open_moves_its_clock_until_it_is_closed() {
        let clocks = Arc::new(Clocks::default());
        clocks.start();
        for input in [false, true] {
            let before = clocks.input.hand();
            let open = Activity::begin(&clocks, visit(Kind::Request, input));
            assert_eq!(clocks.connected.hand().open, 1);
            assert_eq!(clocks.input.hand().open, usize::from(input));
            tokio::time::advance(Duration::from_hours(1)).await;
            drop(open);
            let (connected, now) = (clocks.connected.hand(), clocks.now());
            assert_eq!((connected.open, connected.at), (0, now));
            let input_at = if input { now } else { before.at };
            assert_eq!(
                (clocks.input.hand().open, clocks.input.hand().at),
                (0, input_at)
            );
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert_eq!(clocks.input.by().kind, Kind::Request);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_socket_is_told_of_until_it_is_closed() {
        let clocks = Arc::new(Clocks::default());
        let mut socket = OpenSocket::begin(&clocks, visit(Kind::Socket, false), 0);
        socket.up(10);
        socket.down(200);
        tokio::time::advance(Duration::from_mins(2)).await;
        socket.client_data(5000);
        let told = clocks.sockets(9);
        let bytes = (told[0].up.load(Relaxed), told[0].down.load(Relaxed));
        assert_eq!((told.len(), bytes), (1, (10, 200)));
        assert_eq!(clocks.input.hand().at, told[0].input.load(Relaxed));
        assert_eq!(clocks.input.by().kind, Kind::Socket);
        drop(socket);
        assert!(clocks.sockets(9).is_empty());
    }
}
