//! A client of one HTTP/2 connection, by hand: it can say what no client should.
//!
//! It keeps what came and wasn't asked for yet, so a test asks in any order. Each wait has a
//! deadline; time is paused, so that one which fails doesn't last.
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::expect::Fate;
use super::hpack;
use super::site::{Content, site};
use super::wire::*;
use super::{Error, Received, serve};

pub(super) const DEADLINE: Duration = Duration::from_secs(5);
const FIRST_WINDOW: i64 = 65_535;

pub struct Client {
    reads: ReadHalf<DuplexStream>,
    writes: WriteHalf<DuplexStream>,
    came: BytesMut,
    begun: Option<Frame>,
    pub(super) kept: VecDeque<Frame>,
    /// Bytes that were kept in all, which has a bound: time stands while something comes.
    much: usize,
    heads: hpack::State,
    pub(super) served: JoinHandle<Result<(), Error>>,
    stop: Option<oneshot::Sender<()>>,
    pings: u64,
    /// What the server said in its SETTINGS.
    pub settings: Vec<(u16, u32)>,
    /// What may still be sent on the connection and on each stream.
    pub window: i64,
    streams: HashMap<u32, i64>,
}

impl Client {
    /// A connection to `site`, past its SETTINGS.
    pub async fn open() -> Self {
        Self::open_to(site).await
    }

    pub async fn open_to<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Received>) -> F + 'static,
        F: Future<Output = Response<Content>> + 'static,
    {
        let mut client = Self::start(1 << 20, answer);
        client.greet(&[]).await;
        client
    }

    /// A connection on which nothing was said, with room for so many bytes on their way.
    pub fn start<A, F>(room: usize, answer: A) -> Self
    where
        A: Fn(Request<Received>) -> F + 'static,
        F: Future<Output = Response<Content>> + 'static,
    {
        let (ours, theirs) = tokio::io::duplex(room);
        let (stop, stopped) = oneshot::channel();
        let mut stopped = Some(Box::pin(stopped));
        let drain = move |cx: &mut Context<'_>| {
            let asked = stopped.as_mut().map(|asked| asked.as_mut().poll(cx));
            let Some(Poll::Ready(asked)) = asked else {
                return false;
            };
            stopped = None;
            asked.is_ok()
        };
        let (reads, writes) = split(ours);
        Self {
            reads,
            writes,
            came: BytesMut::new(),
            begun: None,
            kept: VecDeque::new(),
            much: 0,
            heads: hpack::State::new(),
            served: tokio::task::spawn_local(serve(theirs, answer, drain)),
            stop: Some(stop),
            pings: 0,
            settings: Vec::new(),
            window: FIRST_WINDOW,
            streams: HashMap::new(),
        }
    }

    /// The preface and SETTINGS of both sides, acknowledged.
    pub async fn greet(&mut self, settings: &[(u16, u32)]) {
        self.send(PREFACE).await;
        self.set(settings).await;
        let theirs = self
            .find("SETTINGS", |frame| frame.is(SETTINGS, 0, 0))
            .await;
        self.settings = settings_of(&theirs.payload);
        self.send_frame(SETTINGS, ACK, 0, &[]).await;
        self.find("ACK", |frame| frame.is(SETTINGS, ACK, 0)).await;
        assert!(self.is_alive().await, "greeted, and gone");
    }

    pub async fn set(&mut self, settings: &[(u16, u32)]) {
        self.send_frame(SETTINGS, 0, 0, &settings_payload(settings))
            .await;
    }

    /// Tells the server to end the connection with its streams.
    pub fn drain(&mut self) {
        let _ = self.stop.take().expect("told once").send(());
    }

    /// Bytes as they are, while what comes is taken. The server may have gone: what it said before
    /// is what counts.
    pub async fn send(&mut self, bytes: &[u8]) {
        let Self {
            reads,
            writes,
            came,
            ..
        } = self;
        let mut write = pin!(timeout(DEADLINE, writes.write_all(bytes)));
        let mut open = true;
        let sent = loop {
            tokio::select! {
                biased;
                sent = &mut write => break sent,
                read = reads.read_buf(came), if open => open = matches!(read, Ok(1..)),
            }
        };
        assert!(sent.is_ok(), "the server took nothing more");
    }

    /// Whether the server took all of that, or has gone, though nothing is taken from it.
    pub async fn sends(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(DEADLINE, self.writes.write_all(bytes)).await;
        sent.is_ok()
    }

    pub async fn send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload)).await;
    }

    /// A head of literal fields; with `end`, a whole request.
    pub async fn request(&mut self, id: u32, fields: &[(&str, &str)], end: bool) {
        let flags = if end {
            END_HEADERS | END_STREAM
        } else {
            END_HEADERS
        };
        self.send_frame(HEADERS, flags, id, &literals(fields)).await;
    }

    /// A head as bytes, in frames of at most that size.
    pub async fn send_head(&mut self, id: u32, block: &[u8], most: usize, end: bool) {
        let end = if end { END_STREAM } else { 0 };
        let pieces = block.chunks(most).count();
        for (at, piece) in block.chunks(most).enumerate() {
            let last = if at + 1 == pieces { END_HEADERS } else { 0 };
            match at {
                0 => self.send_frame(HEADERS, last | end, id, piece).await,
                _ => self.send_frame(CONTINUATION, last, id, piece).await,
            }
        }
    }

    pub async fn get(&mut self, id: u32, path: &str) {
        self.request(id, &head("GET", path), true).await;
    }

    /// A request whose body is still to come.
    pub async fn post(&mut self, id: u32, path: &str) {
        self.request(id, &head("POST", path), false).await;
    }

    pub async fn trailers(&mut self, id: u32, fields: &[(&str, &str)]) {
        self.request(id, fields, true).await;
    }

    /// DATA as the windows were announced, whatever they are.
    pub async fn data(&mut self, id: u32, bytes: &[u8], end: bool) {
        let flags = if end { END_STREAM } else { 0 };
        self.spend(id, bytes.len());
        self.send_frame(DATA, flags, id, bytes).await;
    }

    pub fn spend(&mut self, id: u32, count: usize) {
        let count = i64::try_from(count).unwrap();
        self.window -= count;
        *self.stream_window(id) -= count;
    }

    pub fn stream_window(&mut self, id: u32) -> &mut i64 {
        let first = self
            .settings
            .iter()
            .find(|(name, _)| *name == INITIAL_WINDOW_SIZE);
        let first = first.map_or(FIRST_WINDOW, |(_, value)| i64::from(*value));
        self.streams.entry(id).or_insert(first)
    }

    /// Sends a body as the windows allow; how much they did until nothing came for a while that
    /// opens them.
    pub async fn upload(&mut self, id: u32, count: usize) -> usize {
        self.upload_in(id, count, 16_384, None).await
    }

    /// The same in frames of at most that many bytes, each with so much padding.
    pub async fn upload_in(
        &mut self,
        id: u32,
        count: usize,
        most: usize,
        padding: Option<u8>,
    ) -> usize {
        let more = padding.map_or(0, |padding| 1 + usize::from(padding));
        let mut left = count;
        while left > 0 {
            let room = self.window.min(*self.stream_window(id));
            let room = usize::try_from(room).unwrap_or(0).saturating_sub(more);
            let piece = vec![b'u'; left.min(most).min(room)];
            left -= piece.len();
            match padding {
                _ if piece.is_empty() => match timeout(DEADLINE, self.read()).await {
                    Ok(Some(frame)) => self.keep(frame),
                    _ => break,
                },
                None => self.data(id, &piece, false).await,
                Some(count) => self.padded(id, &piece, count).await,
            }
            // What the server has to say is heard, so that it can go on.
            while self.reads_now().await {}
        }
        count - left
    }

    pub async fn padded(&mut self, id: u32, bytes: &[u8], padding: u8) {
        let payload = [&[padding], bytes, &vec![0; padding.into()]].concat();
        self.spend(id, payload.len());
        self.send_frame(DATA, PADDED, id, &payload).await;
    }

    fn keep(&mut self, frame: Frame) {
        self.much += frame.payload.len();
        assert!(self.much < 64 << 20, "it goes on and on");
        self.kept.push_back(frame);
    }

    async fn reads_now(&mut self) -> bool {
        match timeout(Duration::ZERO, self.read()).await {
            Ok(Some(frame)) => self.keep(frame),
            _ => return false,
        }
        true
    }

    /// The next frame not asked for yet; none at the end.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        match self.kept.pop_front() {
            Some(frame) => Some(frame),
            None => timeout(DEADLINE, self.read())
                .await
                .expect("a frame in time"),
        }
    }

    /// The next frame like that; what else comes is kept.
    pub async fn find(&mut self, what: &str, wanted: impl FnMut(&Frame) -> bool) -> Frame {
        let found = self.look(wanted).await;
        found.unwrap_or_else(|none| panic!("no {what}: {none:?}; came: {:?}", self.kept))
    }

    pub(super) async fn look(
        &mut self,
        mut wanted: impl FnMut(&Frame) -> bool,
    ) -> Result<Frame, Fate> {
        if let Some(at) = self.kept.iter().position(&mut wanted) {
            return Ok(self.kept.remove(at).expect("it is there"));
        }
        loop {
            match timeout(DEADLINE, self.read()).await {
                Ok(Some(frame)) if wanted(&frame) => return Ok(frame),
                Ok(Some(frame)) => self.keep(frame),
                Ok(None) => return Err(Fate::Cut),
                Err(_) => return Err(Fate::Silence),
            }
        }
    }

    /// Whether a PING is answered.
    pub async fn is_alive(&mut self) -> bool {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send_frame(PING, 0, 0, &payload).await;
        let answer = |frame: &Frame| frame.is(PING, ACK, 0) && frame.payload[..] == payload;
        self.look(answer).await.is_ok()
    }

    /// Reads for so long, with or without answers to the server's PINGs; when the connection
    /// ended, if it did.
    pub async fn linger(&mut self, time: Duration, answering: bool) -> Option<Duration> {
        let start = Instant::now();
        let asked = |frame: &Frame| answering && frame.is(PING, 0, 0);
        while let Some(at) = self.kept.iter().position(asked) {
            let ping = self.kept.remove(at).expect("it is there");
            self.send_frame(PING, ACK, 0, &ping.payload).await;
        }
        while let Some(left) = time.checked_sub(start.elapsed()) {
            match timeout(left, self.read()).await {
                Err(_) => return None,
                Ok(None) => return Some(start.elapsed()),
                Ok(Some(frame)) if asked(&frame) => {
                    self.send_frame(PING, ACK, 0, &frame.payload).await;
                }
                Ok(Some(frame)) => self.keep(frame),
            }
        }
        None
    }

    /// Nothing more comes from the client.
    pub async fn hang_up(&mut self) {
        let _ = self.writes.shutdown().await;
    }

    /// Safe to drop: what is read so far stays in `came`, and a head in pieces in `begun`.
    async fn read(&mut self) -> Option<Frame> {
        loop {
            let Some(mut frame) = Frame::take(&mut self.came) else {
                if !matches!(self.reads.read_buf(&mut self.came).await, Ok(1..)) {
                    return None;
                }
                continue;
            };
            if let Some(mut begun) = self.begun.take() {
                let next = frame.is_of(CONTINUATION, begun.stream);
                assert!(next, "{frame:?} amid a head");
                begun.payload.append(&mut frame.payload);
                begun.flags |= frame.flags & END_HEADERS;
                frame = begun;
            }
            if frame.kind == HEADERS && frame.flags & END_HEADERS == 0 {
                self.begun = Some(frame);
                continue;
            }
            match frame.kind {
                HEADERS => frame.fields = hpack::decode(&mut self.heads, &frame.payload),
                WINDOW_UPDATE if frame.stream == 0 => {
                    self.window += i64::from(number(&frame.payload));
                }
                WINDOW_UPDATE => {
                    *self.stream_window(frame.stream) += i64::from(number(&frame.payload));
                }
                _ => {}
            }
            return Some(frame);
        }
    }
}
