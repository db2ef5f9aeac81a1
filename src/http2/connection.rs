//! The task of one connection: reads, has requests answered, and sends what was said, all of a
//! turn's at once, so that the answers of one wake-up share a TLS record and a system call.

use std::{
    cell::RefCell,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::yield_now,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Error,
    bounds::{HEAD_TIME, IDLE_TIME, LEAVING_TIME, PONG_TIME},
    exchange::Exchange,
    frame::{Broken, ErrorCode, kind},
    inlet::{GOODBYE, Inlet, NewRequest},
    received::Received,
    state::{ALL_STREAMS, Shared, State},
};
use crate::tcp::SILENCE;

/// How many bytes are read at once, two of the largest TLS records; and in a turn, before others of
/// the thread have theirs.
const CHUNK: usize = 32 * 1024;
const TURN: usize = 2 * CHUNK;

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
    /// When it is looked next whether the client is too slow, and whether it wakes us: to ask that
    /// each turn would cost a part of a request.
    alarm: Pin<Box<Sleep>>,
    armed: bool,
    /// When it ends, if that has begun, whatever the client does.
    end_by: Instant,
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
    Draining(Instant),
    /// Nothing new is taken; what there is ends.
    Last,
    /// Nothing is read any more, and what was said last goes out.
    Broken(Broken),
    /// All was said. It is read on until the client ends as well: a connection that is closed with
    /// bytes unread is reset, and takes with it what was said last (RFC 9112 9.6).
    Closed(Option<Broken>),
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
        let mut state = self.shared.borrow_mut();
        state.close();
        // Some task may hold the state for a while.
        state.out = Vec::new();
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
        Self {
            stream,
            answer,
            shared: Rc::new(RefCell::new(State::new())),
            inlet: Inlet::new(),
            stage: Stage::Open,
            clock: Clock {
                began,
                heard: began,
                used: None,
                pinged: false,
            },
            alarm: Box::pin(sleep_until(began + HEAD_TIME)),
            armed: false,
            end_by: began,
            dirty: false,
        }
    }

    /// Goes on as far as it can; `drains`: it should end with what there is.
    pub fn poll(&mut self, cx: &mut Context<'_>, drains: bool) -> Poll<Result<(), Error>> {
        self.shared.borrow_mut().turn_begins();
        if drains {
            self.leave();
        }
        let turn = self.poll_turn(cx);
        self.shared.borrow_mut().turn_ends(cx);
        turn
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let read = self.read(cx)?;
        if !self.armed || self.alarm.is_elapsed() {
            self.armed = true;
            while self.alarm.as_mut().poll(cx).is_ready() {
                if let Some(over) = self.look() {
                    return Poll::Ready(over);
                }
            }
        }
        if std::mem::take(&mut self.shared.borrow_mut().stream_ended) {
            self.clock.used = Some(Instant::now());
        }
        let sent = self.poll_send(cx)?.is_ready();
        let all_said = match self.stage {
            Stage::Broken(broken) => Some(Some(broken)),
            Stage::Last if self.shared.borrow().streams.is_empty() => Some(None),
            _ => None,
        };
        match (all_said.filter(|_| sent), read) {
            (Some(broken), _) => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                self.end(Stage::Closed(broken), LEAVING_TIME);
                cx.waker().wake_by_ref();
            }
            (None, Read::End) => return Poll::Ready(self.outcome()),
            // Even if the client takes nothing: it may do so once all it has to say was read.
            (None, Read::Some) if !self.shared.borrow().is_full() => come_again(cx),
            (None, _) => {}
        }
        Poll::Pending
    }

    /// What it came to.
    fn outcome(&self) -> Result<(), Error> {
        match self.stage {
            Stage::Broken(broken) | Stage::Closed(Some(broken)) => {
                Err(Error::Broken(broken.because))
            }
            _ => Ok(()),
        }
    }

    /// Reads what there is, as far as there is room for what that leads to.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Read, Error> {
        let mut turn = 0;
        while turn < TURN {
            let polled = match self.stage {
                Stage::Broken(_) => return Ok(Read::All),
                Stage::Closed(_) => self.poll_discard(cx)?,
                _ if self.shared.borrow().is_full() => break,
                _ => self.poll_read(cx)?,
            };
            match polled {
                Poll::Pending => return Ok(Read::All),
                Poll::Ready(0) => return Ok(Read::End),
                Poll::Ready(length) => turn += length,
            }
        }
        Ok(Read::Some)
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            Poll::Ready(Ok(read.filled().len()))
        })
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
            let outcome = inlet.read(bytes, shared, |request| begin(shared, answer, request));
            Poll::Ready(Ok::<_, Error>((bytes.len(), outcome)))
        }))?;
        let now = Instant::now();
        self.clock.heard = now;
        self.clock.pinged = false;
        if std::mem::take(&mut self.inlet.requested) {
            self.clock.used = Some(now);
        }
        if let Err(broken) = outcome {
            self.break_off(broken);
        } else if matches!(self.stage, Stage::Draining(_)) && self.inlet.pong {
            self.last();
        }
        if self.inlet.pending.is_some() {
            self.wake_by(now + HEAD_TIME);
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

    /// Looks whether the client is too slow, and when to look again. Some if it is over.
    fn look(&mut self) -> Option<Result<(), Error>> {
        let now = Instant::now();
        if matches!(self.stage, Stage::Broken(_) | Stage::Closed(_)) {
            self.alarm.as_mut().reset(self.end_by);
            return (now >= self.end_by).then(|| self.outcome());
        }
        let mut next = now + IDLE_TIME;
        let mut due = |at: Instant| {
            if at > now {
                next = next.min(at);
            }
            now >= at
        };
        let first = self.clock.used.is_none().then_some(self.clock.began);
        let mut heads = [first, self.inlet.pending].into_iter().flatten();
        let late = heads.any(|since| due(since + HEAD_TIME));
        let silent = due(self.clock.heard + SILENCE);
        let lost = due(self.clock.heard + SILENCE + PONG_TIME);
        let left = match self.stage {
            Stage::Draining(since) => due(since + LEAVING_TIME),
            _ => false,
        };
        let used = self.clock.used;
        let idle = used.is_some_and(|used| due(used + IDLE_TIME));
        self.alarm.as_mut().reset(next);
        if late || lost {
            let because = if late {
                "a request's head did not come in time"
            } else {
                "it gave no sign of life"
            };
            let code = ErrorCode::NoError;
            self.break_off(Broken { code, because });
            return None;
        }
        if silent && !self.clock.pinged {
            self.clock.pinged = true;
            self.shared.borrow_mut().put(kind::PING, 0, 0, b"are you?");
        }
        if left {
            self.last();
        }
        if idle && self.shared.borrow().streams.is_empty() {
            self.leave();
        }
        None
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
            self.stage = Stage::Draining(now);
            self.inlet.pong = false;
            let mut state = self.shared.borrow_mut();
            state.go_away(ALL_STREAMS, ErrorCode::NoError);
            // By its answer it has heard.
            state.put(kind::PING, 0, 0, GOODBYE);
            drop(state);
            self.wake_by(now + LEAVING_TIME);
        }
    }

    /// Takes nothing new.
    fn last(&mut self) {
        self.stage = Stage::Last;
        self.inlet.closes = true;
        let last = self.inlet.last;
        self.shared.borrow_mut().go_away(last, ErrorCode::NoError);
    }

    fn break_off(&mut self, broken: Broken) {
        let mut state = self.shared.borrow_mut();
        state.close();
        state.go_away(self.inlet.last, broken.code);
        drop(state);
        self.end(Stage::Broken(broken), HEAD_TIME);
    }

    /// It ends now, and after `most` in any case.
    fn end(&mut self, stage: Stage, most: Duration) {
        self.stage = stage;
        self.end_by = Instant::now() + most;
        self.wake_by(self.end_by);
    }
}

/// Has the task woken after all others, and after what came on the thread's sockets meanwhile: one that
/// wakes itself has the runtime look at those after dozens of turns only.
fn come_again(cx: &mut Context<'_>) {
    let yielded = pin!(yield_now()).poll(cx);
    debug_assert!(yielded.is_pending());
}

/// Has a request answered, by a task of its own.
fn begin<A, F, B>(shared: &Shared, answer: &A, new: NewRequest)
where
    A: Fn(Request<Received>) -> F,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin + 'static,
{
    let (id, bodiless) = (new.stream, new.is_bodiless());
    let body = if new.body {
        Received::new(shared, id)
    } else {
        Received::nothing()
    };
    // Boxed, since tasks are moved about.
    let answer = Box::pin(answer(new.request.map(|()| body)));
    tokio::task::spawn_local(Exchange::new(Rc::clone(shared), id, bodiless, answer));
}
