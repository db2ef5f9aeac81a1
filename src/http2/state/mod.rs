//! What a connection and its streams share: the streams, and one buffer of what waits to be sent.
//! `receive` adds what comes from the client, `send` what goes to it. One thread's, so it needs no
//! lock; no handler and no body is called or dropped while it is borrowed.

mod receive;
mod send;
mod stream;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    task::{Context, Waker},
};

pub use self::{
    send::{LARGEST_WINDOW, Room},
    stream::{Fault, Inbound, Outbound, Piece, Stream, Tunneled, remember},
};
use super::{
    bounds::{CONNECTION_WINDOW, CUT_STREAMS, HEAD_LIST, STREAM_WINDOW, STREAMS, WAITING},
    frame::{Broken, ErrorCode, Header, broken, kind, setting},
    hpack::Encoder,
    patience::Patience,
};

/// What either side may send where nobody has said otherwise, in bytes (RFC 9113 6.9.2).
const FIRST_WINDOW: u32 = 65_535;
/// All streams, as a GOAWAY names them that refuses none yet (RFC 9113 6.8).
pub const ALL_STREAMS: u32 = 0x7fff_ffff;

/// One's own handle of it.
pub type Shared = Rc<RefCell<State>>;

/// What all of a connection share.
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
    pub stream_ended: bool,
    /// How many streams count against the client's bound.
    pub open: u32,
    /// How much we may send on all streams, and at first on each.
    pub send_window: i64,
    pub first_send_window: i64,
    /// How much the client may still send, and how much of what it sent was taken since it was told.
    pub recv_window: i64,
    pub unannounced: u32,
    /// Streams that we ended and the client may go on with, the last of them.
    cut: VecDeque<u32>,
    /// The last stream that our last GOAWAY named.
    last_named: u32,
    /// Streams that wait for the connection's window, who has waited longest first.
    pub for_window: VecDeque<u32>,
    /// The same of those that wait until what was said is sent, and behind them those that have had a
    /// turn meanwhile.
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
            out: greeting(),
            sent: 0,
            usual: 0,
            encoder: Encoder::new(),
            patience: Patience::new(),
            streams: BTreeMap::new(),
            stream_ended: false,
            open: 0,
            send_window: FIRST_WINDOW.into(),
            first_send_window: FIRST_WINDOW.into(),
            recv_window: i64::from(CONNECTION_WINDOW),
            unannounced: 0,
            cut: VecDeque::new(),
            last_named: ALL_STREAMS,
            for_window: VecDeque::new(),
            waiting: Vec::new(),
            last_in_line: Vec::new(),
            crowded: false,
            task: None,
            woken: false,
        }
    }

    /// The connection's task has its turn: what is said in it needs not wake it.
    pub fn turn_begins(&mut self) {
        self.woken = true;
    }

    /// Its turn has ended: what is said from now on wakes it.
    pub fn turn_ends(&mut self, cx: &Context<'_>) {
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
        self.out.len() >= 2 * WAITING
    }

    /// Makes room for as much as is usual.
    pub fn reserve(&mut self) {
        if self.out.is_empty() {
            self.out.reserve(self.usual);
        }
    }

    /// Writes a frame.
    pub fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let head = Header {
            length: payload.len(),
            kind,
            flags,
            stream,
        };
        self.reserve();
        self.out.extend_from_slice(&head.bytes());
        self.out.extend_from_slice(payload);
        self.wake();
    }

    /// All that waited was sent: streams go on.
    pub fn was_sent(&mut self) {
        // An idle connection holds no memory for it.
        (self.usual, self.sent, self.out) = (self.sent, 0, Vec::new());
        self.wake_waiting();
    }

    /// A frame that did nothing for the client.
    ///
    /// # Errors
    /// If there were too many.
    pub fn spend(&mut self) -> Result<(), Broken> {
        self.spend_on(1)
    }

    /// Work of as many such frames.
    ///
    /// # Errors
    /// If that was too much.
    pub fn spend_on(&mut self, frames: u32) -> Result<(), Broken> {
        if self.patience.spend(frames) {
            Ok(())
        } else {
            broken(ErrorCode::EnhanceYourCalm, "too many frames of no use")
        }
    }

    /// Ends a stream at once, and tells the client why.
    pub fn reset(&mut self, id: u32, reason: ErrorCode) {
        self.put(kind::RST_STREAM, 0, id, &(reason as u32).to_be_bytes());
        if self.cut.len() == CUT_STREAMS {
            self.cut.pop_front();
        }
        self.cut.push_back(id);
        self.forget(id);
    }

    /// Whether we ended a stream, not long ago.
    pub fn was_cut(&self, id: u32) -> bool {
        self.cut.contains(&id)
    }

    /// The client goes on with a stream that is no more. It may not know yet that we ended it
    /// (RFC 9113 5.1); what it ended itself it does know.
    ///
    /// # Errors
    /// If it ended it itself.
    pub fn on_closed(&mut self, id: u32, reason: ErrorCode) -> Result<(), Broken> {
        if self.was_cut(id) {
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
        self.stream_ended = true;
        if !stream.is_closed() {
            self.open -= 1;
        }
        self.taken(stream.unread());
        stream.wake_writer();
        stream.wake_reader();
        // It may have been about to use it.
        self.pass_window_on();
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
    pub fn open_stream(&mut self, id: u32, stream: Stream) {
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
            Inbound::Open => self.reset(id, ErrorCode::NoError),
        }
    }

    /// Writes a GOAWAY (RFC 9113 6.8).
    pub fn go_away(&mut self, last: u32, reason: ErrorCode) {
        let mut payload = [0; 8];
        // It never names a later one than before (RFC 9113 6.8).
        self.last_named = self.last_named.min(last);
        payload[..4].copy_from_slice(&self.last_named.to_be_bytes());
        payload[4..].copy_from_slice(&(reason as u32).to_be_bytes());
        self.put(kind::GOAWAY, 0, 0, &payload);
    }
}

/// What we ask of a client, and how much it may send.
fn greeting() -> Vec<u8> {
    let settings: [(u16, u32); 4] = [
        (setting::MAX_CONCURRENT_STREAMS, STREAMS),
        (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        (setting::MAX_HEADER_LIST_SIZE, HEAD_LIST),
        (setting::ENABLE_CONNECT_PROTOCOL, 1),
    ];
    let mut out = Vec::new();
    let head = |length, kind| Header {
        length,
        kind,
        flags: 0,
        stream: 0,
    };
    out.extend_from_slice(&head(settings.len() * 6, kind::SETTINGS).bytes());
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    out.extend_from_slice(&head(4, kind::WINDOW_UPDATE).bytes());
    out.extend_from_slice(&(CONNECTION_WINDOW - FIRST_WINDOW).to_be_bytes());
    out
}
