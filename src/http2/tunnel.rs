//! A stream that carries bytes both ways (RFC 8441).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frame::ErrorCode,
    state::{Fault, Piece, Room, Shared},
};

/// A stream that carries bytes both ways (RFC 8441 5).
pub struct Tunnel {
    shared: Shared,
    id: u32,
    /// What was taken from the stream and not read yet.
    rest: Bytes,
}

impl Tunnel {
    fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Result<Piece, Fault>>> {
        self.shared.borrow_mut().take(self.id, cx)
    }

    pub(super) fn new(shared: Shared, id: u32) -> Self {
        let rest = Bytes::new();
        Self { shared, id, rest }
    }
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
            match ready!(self.poll_take(cx)) {
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
        let mut state = self.shared.borrow_mut();
        let room = state.room_for_body(self.id, cx);
        match room {
            // Nothing may follow its end.
            Room::Some(_) if !state.may_send(self.id) => {
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
            Room::Some(room) => {
                let now = bytes.len().min(room);
                state.data(self.id, &bytes[..now], false);
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
        let mut state = self.shared.borrow_mut();
        if state.may_send(self.id) {
            state.data(self.id, b"", true);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let mut state = self.shared.borrow_mut();
        if state.may_send(self.id) {
            // As a TCP connection that breaks off is told (RFC 8441 5).
            state.reset(self.id, ErrorCode::Cancel);
        } else {
            state.unwanted(self.id);
        }
    }
}
