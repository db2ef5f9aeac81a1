//! What a client sends on a stream: a body, or one half of a tunnel.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frame::Reason,
    send::Room,
    state::Shared,
    stream::{Fault, Inbound, Outbound, Piece, Tunneled, remember},
};

/// A request's body. Whoever drops it wants no more of it.
pub struct Received(Option<Handle>);

/// One's own view of a stream.
struct Handle {
    shared: Shared,
    id: u32,
}

impl Received {
    /// Of a request without a body.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn new(shared: &Shared, id: u32) -> Self {
        Self(Some(Handle {
            shared: Rc::clone(shared),
            id,
        }))
    }

    /// Waits until an extended CONNECT was agreed to; then it is a tunnel.
    ///
    /// # Errors
    /// [`Fault`]: it was refused, was none, or is no more.
    pub async fn take_up(mut self) -> Result<Tunnel, Fault> {
        let handle = self.0.take().ok_or(Fault::Refused)?;
        let mut tunnel = Tunnel {
            handle,
            rest: Bytes::new(),
            refused: false,
        };
        let agreed = poll_fn(|cx| tunnel.handle.poll_agreed(cx)).await;
        tunnel.refused = agreed.is_err();
        agreed.map(|()| tunnel)
    }
}

impl Handle {
    fn poll_agreed(&self, cx: &Context<'_>) -> Poll<Result<(), Fault>> {
        let mut state = self.shared.borrow_mut();
        let Some(stream) = state.streams.get_mut(&self.id) else {
            return Poll::Ready(Err(Fault::Gone));
        };
        match stream.tunnel {
            Tunneled::Up => Poll::Ready(Ok(())),
            Tunneled::No => Poll::Ready(Err(Fault::Refused)),
            Tunneled::Asked => {
                remember(&mut stream.reader, cx);
                Poll::Pending
            }
        }
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Result<Piece, Fault>>> {
        self.shared.borrow_mut().take(self.id, cx)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(Handle { shared, id }) = &self.0 {
            shared.borrow_mut().unwanted(*id);
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Some(handle) = &self.0 else {
            return Poll::Ready(None);
        };
        let piece = ready!(handle.poll_take(cx));
        Poll::Ready(piece.map(|piece| {
            Ok(match piece? {
                Piece::Data(bytes) => Frame::data(bytes),
                Piece::Trailers(trailers) => Frame::trailers(trailers),
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        let Some(Handle { shared, id }) = &self.0 else {
            return true;
        };
        let state = shared.borrow();
        state.streams.get(id).is_some_and(|stream| {
            stream.inbound == Inbound::Ended
                && stream.pieces.is_empty()
                && stream.trailers.is_none()
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(_) => SizeHint::default(),
        }
    }
}

/// A stream that carries bytes both ways (RFC 8441 5).
pub struct Tunnel {
    handle: Handle,
    /// What was taken from the stream and not read yet.
    rest: Bytes,
    /// Whether it never was one; then its end is no business of ours.
    refused: bool,
}

fn gone(fault: Fault) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, fault)
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.handle.poll_take(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Piece::Data(bytes))) => self.rest = bytes,
                // They mean nothing here.
                Some(Ok(Piece::Trailers(_))) => {}
                Some(Err(fault)) => return Poll::Ready(Err(gone(fault))),
            }
        }
        let now = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..now]);
        self.rest.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Handle { shared, id } = &self.handle;
        let mut state = shared.borrow_mut();
        match state.room(*id, cx) {
            Room::Some(room) => {
                let now = bytes.len().min(room);
                state.data(*id, &bytes[..now], false);
                Poll::Ready(Ok(now))
            }
            Room::Wait => Poll::Pending,
            Room::Gone => Poll::Ready(Err(gone(Fault::Gone))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends what was written at the end of this turn.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Handle { shared, id } = &self.handle;
        let mut state = shared.borrow_mut();
        let stream = state.streams.get(id);
        if stream.is_some_and(|stream| stream.outbound != Outbound::Ended) {
            state.data(*id, b"", true);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let Handle { shared, id } = &self.handle;
        let mut state = shared.borrow_mut();
        let stream = state.streams.get(id);
        // As a TCP connection that breaks off is told (RFC 8441 5).
        if !self.refused && stream.is_some_and(|stream| stream.outbound != Outbound::Ended) {
            state.reset(*id, Reason::Cancel);
        } else {
            state.unwanted(*id);
        }
    }
}
