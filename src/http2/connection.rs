//! The task of one connection: reads, has requests answered, and sends what was said, all of a
//! turn's at once, so that the answers of one wake-up share a TLS record and a system call.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Error, HEAD, IDLE, PONG,
    asked::Asked,
    exchange::Exchange,
    frame::{Reason, kind},
    inlet::{Broken, Inlet},
    received::Received,
    state::{Shared, State, greeting},
};
use crate::tcp::SILENCE;

/// How much is read at once, and in a turn before others have theirs.
const CHUNK: usize = 32 * 1024;
const TURN: usize = 4 * CHUNK;
/// How long a client that is told to leave may need to hear of it.
const HEARING: Duration = Duration::from_secs(1);
/// All streams, as a GOAWAY names them that refuses none yet (RFC 9113 6.8).
const ALL: u32 = 0x7fff_ffff;

thread_local! {
    /// Shared by all connections of a thread: each holds it within one poll.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// A connection.
pub struct Connection<S, A> {
    stream: S,
    answer: A,
    shared: Shared,
    inlet: Inlet,
    stage: Stage,
    clock: Clock,
    /// When it is looked next whether the client is too slow, and whether it wakes us.
    alarm: Pin<Box<Sleep>>,
    armed: bool,
    /// Whether the stream may hold something back.
    dirty: bool,
}

/// When things were last seen.
struct Clock {
    began: Instant,
    /// The client said anything.
    heard: Instant,
    /// The client asked for something, or was given it.
    used: Option<Instant>,
    /// Whether it was asked for a sign of life since.
    pinged: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The client was told to leave; what it asked for before it heard of that is answered.
    Told(Instant),
    /// Nothing new is taken; what there is ends.
    Last,
    /// Nothing is read any more, and what was said last goes out, until then.
    Broken(Broken, Instant),
}

/// What a turn of reading came to.
enum Read {
    /// There is no more for now.
    All,
    /// There may be more.
    Some,
    /// The client has gone.
    End,
}

impl<S, A> Drop for Connection<S, A> {
    fn drop(&mut self) {
        self.shared.borrow_mut().close();
    }
}

impl<S, A, F, B> Connection<S, A>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Received>) -> F,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin + 'static,
{
    pub fn new(stream: S, answer: A) -> Self {
        let began = Instant::now();
        let mut state = State::new();
        state.out = greeting();
        Self {
            stream,
            answer,
            shared: Rc::new(RefCell::new(state)),
            inlet: Inlet::new(),
            stage: Stage::Open,
            clock: Clock {
                began,
                heard: began,
                used: None,
                pinged: false,
            },
            alarm: Box::pin(sleep_until(began + HEAD)),
            armed: false,
            dirty: false,
        }
    }

    /// Goes on as far as it can; `drains`: it should end with what there is.
    pub fn poll(&mut self, cx: &mut Context<'_>, drains: bool) -> Poll<Result<(), Error>> {
        self.shared.borrow_mut().begins();
        if drains {
            self.leave();
        }
        let turn = self.poll_turn(cx);
        self.shared.borrow_mut().ends(cx);
        turn
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let read = self.read(cx)?;
        if !self.armed || self.alarm.is_elapsed() {
            self.armed = true;
            while self.alarm.as_mut().poll(cx).is_ready() {
                self.look()?;
            }
        }
        if std::mem::take(&mut self.shared.borrow_mut().ended) {
            self.clock.used = Some(Instant::now());
        }
        let sent = self.poll_send(cx)?.is_ready();
        match (self.stage, read) {
            (Stage::Broken(broken, _), _) if sent => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                return Poll::Ready(Err(Error::Broken(broken.because)));
            }
            (Stage::Last, _) if sent && self.shared.borrow().streams.is_empty() => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                return Poll::Ready(Ok(()));
            }
            (_, Read::End) => return Poll::Ready(Ok(())),
            (_, Read::Some) if sent => cx.waker().wake_by_ref(),
            _ => {}
        }
        Poll::Pending
    }

    /// Reads what there is, as far as there is room for what that leads to.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Read, Error> {
        let mut turn = 0;
        while turn < TURN {
            if matches!(self.stage, Stage::Broken(..)) {
                return Ok(Read::All);
            }
            if self.shared.borrow().is_full() {
                break;
            }
            let Poll::Ready(length) = self.poll_read(cx)? else {
                return Ok(Read::All);
            };
            if length == 0 {
                return Ok(Read::End);
            }
            turn += length;
        }
        Ok(Read::Some)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        let Self {
            stream,
            answer,
            shared,
            inlet,
            ..
        } = self;
        let (length, outcome) = ready!(BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(stream).poll_read(cx, &mut read))?;
            let bytes = read.filled();
            let outcome = inlet.read(bytes, shared, |asked| begin(shared, answer, asked));
            Poll::Ready(Ok::<_, Error>((bytes.len(), outcome)))
        }))?;
        let now = Instant::now();
        self.clock.heard = now;
        self.clock.pinged = false;
        if std::mem::take(&mut self.inlet.asked) {
            self.clock.used = Some(now);
        }
        if let Err(broken) = outcome {
            self.break_off(broken);
        } else if matches!(self.stage, Stage::Told(_)) && self.inlet.pong {
            self.last();
        }
        if self.inlet.pending.is_some() {
            self.wake_by(now + HEAD);
        }
        Poll::Ready(Ok(length))
    }

    /// Sends what was said. Ready once all of it was.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.shared.borrow_mut();
        while state.sent < state.out.len() {
            let left = &state.out[state.sent..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(Error::Io(std::io::ErrorKind::WriteZero.into())));
            }
            state.sent += written;
            self.dirty = true;
        }
        if state.sent > 0 {
            state.was_sent();
        }
        if self.dirty {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Looks whether the client is too slow, and when to look again.
    fn look(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let mut next = now + IDLE;
        let mut due = |at: Instant| {
            next = next.min(if at > now { at } else { next });
            now >= at
        };
        if let Stage::Broken(broken, until) = self.stage
            && due(until)
        {
            return Err(Error::Broken(broken.because));
        }
        let first = self.clock.used.is_none().then_some(self.clock.began);
        for since in [first, self.inlet.pending].into_iter().flatten() {
            if due(since + HEAD) {
                return Err(Error::Late);
            }
        }
        let heard = self.clock.heard;
        let silent = due(heard + SILENCE);
        if due(heard + SILENCE + PONG) {
            return Err(Error::Silent);
        }
        let told = match self.stage {
            Stage::Told(when) => due(when + HEARING),
            _ => false,
        };
        let used = self.clock.used;
        let idle = used.is_some_and(|used| due(used + IDLE));
        self.alarm.as_mut().reset(next);
        if silent && !self.clock.pinged {
            self.clock.pinged = true;
            self.shared.borrow_mut().put(kind::PING, 0, 0, b"are you?");
        }
        if told {
            self.last();
        }
        if idle && self.shared.borrow().streams.is_empty() {
            self.leave();
        }
        Ok(())
    }

    /// Looks by `when` at the latest.
    fn wake_by(&mut self, when: Instant) {
        if when < self.alarm.deadline() {
            self.alarm.as_mut().reset(when);
            self.armed = false;
        }
    }

    /// Tells the client to leave, in its time.
    fn leave(&mut self) {
        if self.stage == Stage::Open {
            let now = Instant::now();
            self.stage = Stage::Told(now);
            self.inlet.pong = false;
            let mut state = self.shared.borrow_mut();
            state.go_away(ALL, Reason::None);
            // By its answer it has heard.
            state.put(kind::PING, 0, 0, b"goodbye.");
            drop(state);
            self.wake_by(now + HEARING);
        }
    }

    /// Takes nothing new.
    fn last(&mut self) {
        self.stage = Stage::Last;
        self.inlet.closes = true;
        let last = self.inlet.last;
        self.shared.borrow_mut().go_away(last, Reason::None);
    }

    fn break_off(&mut self, broken: Broken) {
        let until = Instant::now() + HEAD;
        self.stage = Stage::Broken(broken, until);
        let mut state = self.shared.borrow_mut();
        state.close();
        state.go_away(self.inlet.last, broken.reason);
        drop(state);
        self.wake_by(until);
    }
}

/// Has a request answered, by a task of its own.
fn begin<A, F, B>(shared: &Shared, answer: &A, asked: Asked)
where
    A: Fn(Request<Received>) -> F,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin + 'static,
{
    let (id, bodiless) = (asked.stream, asked.is_bodiless());
    let body = if asked.body {
        Received::new(shared, id)
    } else {
        Received::nothing()
    };
    // Boxed, since tasks are moved about.
    let answer = Box::pin(answer(asked.request.map(|()| body)));
    tokio::task::spawn_local(Exchange::new(Rc::clone(shared), id, bodiless, answer));
}
