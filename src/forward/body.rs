//! The body of an answer on its way to the client.

use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    AnswerError, Destination, Pool,
    answer::Length,
    chunks::{Chunks, Step},
    connection::Connection,
    fields::allowed_trailer,
};

/// A body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The app ended it early, or not as bodies end.
    #[error(transparent)]
    Broken(#[from] AnswerError),
    /// Its container was stopped.
    #[error("the app was stopped")]
    Closed,
    /// The client's session ended.
    #[error("the session ended")]
    Ended,
}

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Empty,
    Full(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
    Upstream(Box<Download>),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body that is there as a whole.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(Some(bytes.into())))
    }

    /// A body made bit by bit, until the sender is dropped.
    pub fn events(events: mpsc::Receiver<Bytes>) -> Self {
        Self(Kind::Events(events))
    }

    /// What follows an answer's head on `connection`. One that is there whole frees the
    /// connection and the guard at once.
    pub(super) fn upstream(
        mut connection: Connection,
        length: Length,
        home: Option<Home>,
        to: &Destination<'_>,
        guard: impl Any,
    ) -> Self {
        if let Length::Exact(length) = length
            && let Ok(length) = usize::try_from(length)
            && length <= connection.buffer.len()
        {
            let bytes = connection.buffer.split_to(length).freeze();
            go_home(home, connection);
            return if bytes.is_empty() {
                Self::empty()
            } else {
                Self::full(bytes)
            };
        }
        Self(Kind::Upstream(Box::new(Download {
            lease: Some((connection, home)),
            left: match length {
                Length::Exact(length) => Left::Exact(length),
                Length::Chunked => Left::Chunked(Chunks::default()),
                Length::UntilClose => Left::UntilClose,
            },
            closed: Watched::new(to.closed),
            ended: Watched::new(to.ended),
            _guard: Box::new(guard),
        })))
    }
}

/// Where a connection goes once its answer has ended.
pub(super) struct Home {
    pub pool: Pool,
    pub id: u64,
    pub closed: CancellationToken,
}

fn go_home(home: Option<Home>, connection: Connection) {
    if let Some(Home { pool, id, closed }) = home
        && connection.is_done()
    {
        pool.put(id, &closed, connection);
    }
}

/// A body that is still being read.
struct Download {
    /// The connection, and where it goes if it may be used again.
    lease: Option<(Connection, Option<Home>)>,
    left: Left,
    /// The app is no more.
    closed: Watched,
    /// The client may have no more.
    ended: Watched,
    _guard: Box<dyn Any>,
}

/// A token to be waited for.
struct Watched {
    token: CancellationToken,
    /// Only made once there is something to wait for.
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Watched {
    fn new(token: &CancellationToken) -> Self {
        Self {
            token: token.clone(),
            waiting: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let token = &self.token;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(token.clone().cancelled_owned()));
        waiting.as_mut().poll(cx)
    }
}

/// How much of a body is still to come.
enum Left {
    Exact(u64),
    Chunked(Chunks),
    UntilClose,
}

type Piece = Option<Result<Frame<Bytes>, BodyError>>;

impl Download {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        // An answer that never pauses ends, too.
        if self.lease.is_some() && self.ended.token.is_cancelled() {
            return self.poll_closed(cx);
        }
        loop {
            let Some((connection, _)) = &mut self.lease else {
                return Poll::Ready(None);
            };
            let left = match &mut self.left {
                Left::Exact(left) => {
                    if connection.buffer.has_remaining() {
                        let there = connection.buffer.len();
                        let there = usize::try_from(*left).map_or(there, |left| left.min(there));
                        let data = connection.buffer.split_to(there).freeze();
                        *left -= there as u64;
                        if *left == 0 {
                            self.release();
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    *left
                }
                Left::Chunked(chunks) => match chunks.next(&mut connection.buffer) {
                    Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(Step::Trailers(trailers)) => {
                        self.release();
                        return Poll::Ready(allowed(trailers).map(Ok));
                    }
                    Ok(Step::End) => {
                        self.release();
                        return Poll::Ready(None);
                    }
                    Ok(Step::More) => match chunks {
                        Chunks::Data(left) => *left,
                        _ => 0,
                    },
                    Err(error) => return self.broken(error),
                },
                Left::UntilClose => {
                    if connection.buffer.has_remaining() {
                        let data = connection.buffer.split().freeze();
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    u64::MAX
                }
            };
            match connection.poll_fill(cx, left) {
                Poll::Ready(Ok(0)) if matches!(self.left, Left::UntilClose) => {
                    self.lease = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return self.broken(AnswerError::Ended),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    return self.broken(AnswerError::Connection(error));
                }
                Poll::Pending => return self.poll_closed(cx),
            }
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        let error = if self.ended.poll(cx).is_ready() {
            BodyError::Ended
        } else if self.closed.poll(cx).is_ready() {
            BodyError::Closed
        } else {
            return Poll::Pending;
        };
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }

    fn broken(&mut self, error: AnswerError) -> Poll<Piece> {
        self.lease = None;
        Poll::Ready(Some(Err(error.into())))
    }

    /// The answer ended as it should: the connection may be used again.
    fn release(&mut self) {
        if let Some((connection, home)) = self.lease.take() {
            go_home(home, connection);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Piece> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Events(events) => events
                .poll_recv(cx)
                .map(|event| event.map(|event| Ok(Frame::data(event)))),
            Kind::Upstream(download) => download.poll_piece(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Events(_) => false,
            Kind::Upstream(download) => download.lease.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Events(_) => SizeHint::default(),
            Kind::Upstream(download) => match download.left {
                Left::Exact(left) => SizeHint::with_exact(left),
                Left::Chunked(_) | Left::UntilClose => SizeHint::default(),
            },
        }
    }
}

/// Trailers as the client may have them; none if nothing is left of them.
fn allowed(trailers: HeaderMap) -> Option<Frame<Bytes>> {
    let mut allowed = HeaderMap::new();
    let mut name = None;
    for (next, value) in trailers {
        // A name comes with the first of its values (`HeaderMap::into_iter`).
        name = next.or(name);
        if let Some(name) = name.as_ref().filter(|name| allowed_trailer(name.as_str())) {
            allowed.append(name, value);
        }
    }
    (!allowed.is_empty()).then(|| Frame::trailers(allowed))
}
