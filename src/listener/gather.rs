//! Gathers what an HTTP/2 connection writes, and sends it once it has nothing more to say for
//! now. The `h2` crate flushes behind each DATA frame, so that each answer would be a TLS record
//! and a system call of its own; gathered, the answers of one wake-up share them.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes are sent without waiting for more.
const ENOUGH: usize = 64 * 1024;

/// The stream as the connection sees it.
pub struct Gathered<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    stream: S,
    waiting: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// How much waited last time.
    usual: usize,
    /// Whether the stream may hold something back.
    dirty: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathered<S> {
    /// Two handles of one stream: one to read and write, one to send what was written.
    pub fn new(stream: S) -> (Self, Self) {
        let inner = Rc::new(RefCell::new(Inner {
            stream,
            waiting: Vec::new(),
            sent: 0,
            usual: 0,
            dirty: false,
        }));
        (Self(Rc::clone(&inner)), Self(inner))
    }

    /// Sends what was written.
    pub fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_send(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        if self.dirty {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            let left = &self.waiting[self.sent..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
            self.dirty = true;
        }
        if self.sent > 0 {
            // An idle connection holds no memory for it.
            (self.usual, self.sent, self.waiting) = (self.sent, 0, Vec::new());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        if inner.waiting.len() >= ENOUGH {
            ready!(inner.poll_waiting(cx))?;
        }
        let before = inner.waiting.len();
        if before == 0 {
            let usual = inner.usual;
            inner.waiting.reserve(usual);
        }
        for slice in slices {
            inner.waiting.extend_from_slice(slice);
        }
        Poll::Ready(Ok(inner.waiting.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever polls the connection sends afterwards.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}
