//! A request's body, as whoever answers reads it.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::{
    state::{Fault, Inbound, Piece, Shared, Tunneled, remember},
    tunnel::Tunnel,
};

/// A request's body. Whoever drops it wants no more of it.
pub struct Received(Option<Handle>);

/// Which stream it is.
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
        let Some(Handle { shared, id }) = &self.0 else {
            return Err(Fault::Refused);
        };
        poll_fn(|cx| poll_agreed(shared, *id, cx)).await?;
        // From here on its end is the tunnel's to tell.
        let handle = self.0.take().ok_or(Fault::Refused)?;
        Ok(Tunnel::new(handle.shared, handle.id))
    }
}

fn poll_agreed(shared: &Shared, id: u32, cx: &Context<'_>) -> Poll<Result<(), Fault>> {
    let mut state = shared.borrow_mut();
    let Some(stream) = state.streams.get_mut(&id) else {
        return Poll::Ready(Err(Fault::Gone));
    };
    match stream.tunnel {
        Tunneled::Up => Poll::Ready(Ok(())),
        Tunneled::No => Poll::Ready(Err(Fault::Refused)),
        Tunneled::Wanted => {
            remember(&mut stream.reader, cx);
            Poll::Pending
        }
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
        let Some(Handle { shared, id }) = &self.0 else {
            return Poll::Ready(None);
        };
        let piece = ready!(shared.borrow_mut().take(*id, cx));
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
