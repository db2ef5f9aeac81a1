//! What is open in a workspace, from its first byte to its last: this is what moves its clocks.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::Instant;

use super::{
    clocks::{Clocks, Kind, Mover},
    rounds::Rounds,
};

/// Somebody comes to a workspace.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who, with what.
    pub by: Mover,
    /// Whether a person does something by it, for as long as it lasts.
    pub input: bool,
    /// When they came.
    pub at: Instant,
}

/// Something open in a workspace, until it is dropped.
#[derive(Debug)]
pub struct Activity {
    clocks: Arc<Clocks>,
    visit: Visit,
}

impl Activity {
    pub(super) fn begin(clocks: &Arc<Clocks>, visit: Visit) -> Self {
        let now = clocks.at(visit.at);
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

/// An open channel of an SSH connection, until it is dropped.
#[derive(Debug)]
pub struct OpenChannel {
    activity: Activity,
    rounds: Mutex<Rounds>,
}

impl OpenChannel {
    pub(super) fn begin(clocks: &Arc<Clocks>, client: IpAddr) -> Self {
        let by = Mover {
            kind: Kind::Ssh,
            app: None,
            client: Some(client),
        };
        clocks.ssh_opened();
        Self {
            activity: Activity::begin(
                clocks,
                Visit {
                    by,
                    input: false,
                    at: Instant::now(),
                },
            ),
            rounds: Mutex::new(Rounds::new(clocks.now(), 0)),
        }
    }

    /// A person typed, or sends something.
    pub fn input(&self) {
        self.activity.input();
    }

    /// A program speaks. A terminal's may do so for nobody, as a clock does.
    pub fn output(&self) {
        let clocks = &self.activity.clocks;
        clocks.busy.moved(clocks.now(), &self.activity.visit.by);
    }

    /// The client sent so many bytes on a forwarded stream, which may be an IDE that talks to
    /// itself.
    pub fn forwarded(&self, bytes: usize) {
        let now = self.activity.clocks.now();
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        if rounds.sent(now, bytes as u64) {
            self.activity.input();
        }
    }
}

impl Drop for OpenChannel {
    fn drop(&mut self) {
        self.activity.clocks.ssh_closed();
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
            self.input();
        }
    }

    /// A person did something with it just now.
    pub fn input(&self) {
        self.socket.input.store(self.activity.clocks.now(), Relaxed);
        self.activity.input();
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

    fn visit(kind: Kind, input: bool) -> Visit {
        let by = Mover {
            kind,
            ..Mover::default()
        };
        Visit {
            by,
            input,
            at: Instant::now(),
        }
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
    async fn what_is_typed_by_ssh_is_input_and_what_a_program_says_is_work() {
        let clocks = Arc::new(Clocks::default());
        let channel = OpenChannel::begin(&clocks, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(
            (clocks.ssh_channels(), clocks.connected.hand().open),
            (1, 1)
        );
        tokio::time::advance(Duration::from_mins(1)).await;
        channel.forwarded(100);
        assert_eq!((clocks.input.hand().at, clocks.busy.hand().at), (0, 0));
        channel.input();
        assert_eq!(clocks.input.by().kind, Kind::Ssh);
        tokio::time::advance(Duration::from_mins(1)).await;
        channel.output();
        let now = clocks.now();
        assert_eq!(
            (clocks.input.hand().at, clocks.busy.hand().at),
            (60_000, now)
        );
        channel.forwarded(10_000);
        assert_eq!(clocks.input.hand().at, now);
        drop(channel);
        assert_eq!(
            (clocks.ssh_channels(), clocks.connected.hand().open),
            (0, 0)
        );
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
