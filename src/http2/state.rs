//! What a connection and its streams share: what waits to be sent, and the streams. One thread's, so
//! it needs no lock; nobody is called while it is borrowed. What is received is in `receive`, what is
//! answered in `send`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    task::{Context, Waker},
};

use super::{
    asked::{HEAD_LIST, STREAMS},
    frame::{Head, Reason, kind, setting},
    hpack::Encoder,
    inlet::{Broken, broken},
    patience::Patience,
    receive::{CONNECTION_WINDOW, STREAM_WINDOW},
    stream::{Inbound, Outbound, Stream, remember},
};

/// The window of a client or ours, where nobody has said otherwise (RFC 9113 6.9.2).
pub const FIRST_WINDOW: i64 = 65_535;
/// So much waits to be sent, in bytes; then streams wait.
pub const MOST_WAITING: usize = 64 * 1024;
/// So many streams are remembered that we ended: more than may be on their way.
const MOST_CUT: usize = 1024;

pub type Shared = Rc<RefCell<State>>;

pub struct State {
    /// What waits to be sent, and how much of it was.
    pub out: Vec<u8>,
    pub sent: usize,
    /// How much waited last time.
    usual: usize,
    pub encoder: Encoder,
    pub patience: Patience,
    pub streams: BTreeMap<u32, Stream>,
    /// Whether one has ended since that was last looked at.
    pub ended: bool,
    /// How many streams count against the client's bound.
    pub open: u32,
    /// How much we may send on all streams, and at first on each.
    pub window: i64,
    pub first_window: i64,
    /// How much the client may still send, and how much of what it sent was taken since it was told.
    pub room: i64,
    pub owed: u32,
    /// Streams that we ended and the client may go on with, the last of them.
    cut: VecDeque<u32>,
    /// Streams that wait until more can be sent, who has waited longest first, and behind them those
    /// that have had a turn meanwhile.
    pub waiting: Vec<u32>,
    pub last_in_line: Vec<u32>,
    /// Whether more than one waited last time.
    pub crowded: bool,
    /// The connection's task, and whether it was woken.
    task: Option<Waker>,
    woken: bool,
}

impl State {
    pub fn new() -> Self {
        Self {
            out: Vec::new(),
            sent: 0,
            usual: 0,
            encoder: Encoder::new(),
            patience: Patience::new(),
            streams: BTreeMap::new(),
            ended: false,
            open: 0,
            window: FIRST_WINDOW,
            first_window: FIRST_WINDOW,
            room: i64::from(CONNECTION_WINDOW),
            owed: 0,
            cut: VecDeque::new(),
            waiting: Vec::new(),
            last_in_line: Vec::new(),
            crowded: false,
            task: None,
            woken: false,
        }
    }

    /// The connection's task has its turn: what is said in it needs not wake it.
    pub fn begins(&mut self) {
        self.woken = true;
    }

    /// Its turn has ended: what is said from now on wakes it.
    pub fn ends(&mut self, cx: &Context<'_>) {
        remember(&mut self.task, cx);
        self.woken = false;
    }

    pub fn wake(&mut self) {
        if !self.woken
            && let Some(task) = &self.task
        {
            self.woken = true;
            task.wake_by_ref();
        }
    }

    /// Whether so much waits that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.out.len() - self.sent >= 2 * MOST_WAITING
    }

    /// Makes room for as much as is usual.
    pub fn reserve(&mut self) {
        if self.out.is_empty() {
            self.out.reserve(self.usual);
        }
    }

    /// Writes a frame.
    pub fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let head = Head {
            length: payload.len(),
            kind,
            flags,
            stream,
        };
        self.reserve();
        head.put(&mut self.out);
        self.out.extend_from_slice(payload);
        self.wake();
    }

    /// All that waited was sent: streams go on.
    pub fn was_sent(&mut self) {
        // An idle connection holds no memory for it.
        (self.usual, self.sent, self.out) = (self.sent, 0, Vec::new());
        self.go_on();
    }

    /// A frame that did nothing for the client.
    ///
    /// # Errors
    /// If there were too many.
    pub fn spend(&mut self) -> Result<(), Broken> {
        if self.patience.spend() {
            Ok(())
        } else {
            broken(Reason::Calm, "too many frames of no use")
        }
    }

    /// Ends a stream at once, and tells the client why.
    pub fn reset(&mut self, id: u32, reason: Reason) {
        self.put(kind::RST_STREAM, 0, id, &(reason as u32).to_be_bytes());
        if self.cut.len() == MOST_CUT {
            self.cut.pop_front();
        }
        self.cut.push_back(id);
        self.forget(id);
    }

    /// The client goes on with a stream that is no more. It may not know yet that we ended it
    /// (RFC 9113 5.1); what it ended itself it does know.
    ///
    /// # Errors
    /// If it ended it itself.
    pub fn on_closed(&mut self, id: u32, reason: Reason) -> Result<(), Broken> {
        if self.cut.contains(&id) {
            self.spend()
        } else {
            broken(reason, "a frame on a stream that has ended or never was")
        }
    }

    /// A stream is no more, for whatever reason; whoever works for it is woken to find out.
    pub fn forget(&mut self, id: u32) {
        let Some(mut stream) = self.streams.remove(&id) else {
            return;
        };
        self.ended = true;
        if !stream.is_closed() {
            self.open -= 1;
        }
        self.taken(stream.unread());
        stream.wake_writer();
        stream.wake_reader();
    }

    /// The connection is no more, and so are its streams.
    pub fn close(&mut self) {
        for (_, mut stream) in std::mem::take(&mut self.streams) {
            stream.wake_writer();
            stream.wake_reader();
        }
        self.open = 0;
    }

    /// Begins a stream.
    pub fn begin(&mut self, id: u32, stream: Stream) {
        self.open += 1;
        self.streams.insert(id, stream);
    }

    /// Forgets a stream for which nothing is left to do. What nobody wants to hear any more the
    /// client is told to keep (RFC 9113 8.1).
    pub fn settle(&mut self, id: u32) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        if stream.outbound != Outbound::Ended || stream.wanted {
            return;
        }
        match stream.inbound {
            Inbound::Ended => self.forget(id),
            Inbound::Open => self.reset(id, Reason::None),
        }
    }

    /// Writes a GOAWAY (RFC 9113 6.8).
    pub fn go_away(&mut self, last: u32, reason: Reason) {
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&(reason as u32).to_be_bytes());
        self.put(kind::GOAWAY, 0, 0, &payload);
    }
}

/// What we ask of a client, and how much it may send.
pub fn greeting() -> Vec<u8> {
    let settings: [(u16, u32); 4] = [
        (setting::MAX_CONCURRENT_STREAMS, STREAMS),
        (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        (setting::MAX_HEADER_LIST_SIZE, HEAD_LIST),
        (setting::ENABLE_CONNECT_PROTOCOL, 1),
    ];
    let mut out = Vec::new();
    let head = |length, kind| Head {
        length,
        kind,
        flags: 0,
        stream: 0,
    };
    head(settings.len() * 6, kind::SETTINGS).put(&mut out);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    head(4, kind::WINDOW_UPDATE).put(&mut out);
    let more = i64::from(CONNECTION_WINDOW) - FIRST_WINDOW;
    out.extend_from_slice(&u32::try_from(more).unwrap_or(0).to_be_bytes());
    out
}
