//! The body of an answer on its way to the client.

use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Destination, fields::allowed_trailer, pool::Connection, upload::BodyError};

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Empty,
    Full(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
    Upstream(Incoming, Option<Lease>),
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

    pub(super) fn upstream(incoming: Incoming, lease: Lease) -> Self {
        if incoming.is_end_stream() {
            lease.release();
            return Self::empty();
        }
        Self(Kind::Upstream(incoming, Some(lease)))
    }
}

/// What an answer holds until its body has ended: the connection, if it may be used again, and
/// the caller's guard.
pub(super) struct Lease {
    connection: Option<Connection>,
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

impl Lease {
    pub fn new(connection: Option<Connection>, to: &Destination<'_>, guard: impl Any) -> Self {
        Self {
            connection,
            closed: Watched::new(to.closed),
            ended: Watched::new(to.ended),
            _guard: Box::new(guard),
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if self.ended.poll(cx).is_ready() {
            return Poll::Ready(BodyError::Ended);
        }
        self.closed.poll(cx).map(|()| BodyError::Closed)
    }

    /// The answer ended as it should: the connection may be used again.
    fn release(self) {
        if let Some(connection) = self.connection {
            connection.keep();
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Events(events) => events
                .poll_recv(cx)
                .map(|event| event.map(|event| Ok(Frame::data(event)))),
            Kind::Upstream(incoming, lease) => {
                // An answer that never pauses ends, too.
                let is_over = |lease: &Lease| lease.ended.token.is_cancelled();
                let frame = if lease.as_ref().is_some_and(is_over) {
                    Poll::Pending
                } else {
                    Pin::new(&mut *incoming).poll_frame(cx)
                };
                let Poll::Ready(frame) = frame else {
                    let closed = lease
                        .as_mut()
                        .map_or(Poll::Pending, |lease| lease.poll_closed(cx));
                    return closed.map(|error| Some(Err(error)));
                };
                let ended = matches!(&frame, None | Some(Err(_))) || incoming.is_end_stream();
                if ended
                    && let Some(lease) = lease.take()
                    && !matches!(&frame, Some(Err(_)))
                {
                    lease.release();
                }
                Poll::Ready(frame.and_then(|frame| {
                    frame
                        .map(without_forbidden_trailers)
                        .map_err(BodyError::from)
                        .transpose()
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Events(_) => false,
            Kind::Upstream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Events(_) => SizeHint::default(),
            Kind::Upstream(incoming, _) => incoming.size_hint(),
        }
    }
}

/// A frame as the client may have it; none if nothing is left of it.
fn without_forbidden_trailers(frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    match frame.into_trailers() {
        Ok(trailers) => {
            let allowed = trailers.iter().filter(|(name, _)| allowed_trailer(name));
            let allowed: HeaderMap = allowed
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            (!allowed.is_empty()).then(|| Frame::trailers(allowed))
        }
        Err(data) => Some(data),
    }
}
