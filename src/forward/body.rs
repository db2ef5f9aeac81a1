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

use super::{fields::allowed_trailer, pool::Connection, upload::BodyError};

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
    closed: CancellationToken,
    /// Only made once there is something to wait for.
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _guard: Box<dyn Any>,
}

impl Lease {
    pub fn new(
        connection: Option<Connection>,
        closed: CancellationToken,
        guard: Box<dyn Any>,
    ) -> Self {
        Self {
            connection,
            closed,
            waiting: None,
            _guard: guard,
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let closed = &self.closed;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(closed.clone().cancelled_owned()));
        waiting.as_mut().poll(cx)
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
                let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
                    let closed = lease
                        .as_mut()
                        .map_or(Poll::Pending, |lease| lease.poll_closed(cx));
                    return closed.map(|()| Some(Err(BodyError::Closed)));
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
