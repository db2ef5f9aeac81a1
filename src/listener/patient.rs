//! Asks TLS for more only when there may be more. hyper and tokio-rustls together would ask four
//! times in vain for each request, and each time all the way down.
//!
//! Imports `metrics`. One question in vain is asked: after much was read, since rustls gives memory
//! back only when it is asked for the next record.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncBufRead, AsyncRead, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{ahead::Ahead, through::write_through};
use crate::metrics::Metered;

/// A stream that can tell whether there may be more, without being read.
pub trait ReadReady {
    /// Waits until a read may find something, be it the end or an error.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl ReadReady for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }
}

impl<S: ReadReady> ReadReady for Metered<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.get_ref().poll_readable(cx)
    }
}

impl<S: ReadReady> ReadReady for Ahead<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_some() {
            Poll::Ready(())
        } else {
            self.get_ref().poll_readable(cx)
        }
    }
}

impl<S: ReadReady> ReadReady for TlsStream<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (stream, session) = self.get_ref();
        // Whole records are decrypted as they come: it wants no more while it has any of them, and
        // once it was told that none will follow.
        if session.wants_read() {
            stream.poll_readable(cx)
        } else {
            Poll::Ready(())
        }
    }
}

/// Most bytes read at once after which rustls holds no more memory than it keeps for every
/// connection.
const SMALL: usize = 2 * 1024;

/// A stream that is read only when there may be more.
pub struct Patient<S> {
    stream: S,
    /// What went wrong behind the last that was read: TLS tells it once.
    failed: Option<io::Error>,
    /// Whether TLS may hold more memory than it needs.
    grown: bool,
}

impl<S> Patient<S> {
    /// Wraps `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            failed: None,
            grown: false,
        }
    }
}

impl<S: AsyncBufRead + ReadReady + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream,
            failed,
            grown,
        } = &mut *self;
        if let Some(error) = failed.take() {
            return Poll::Ready(Err(error));
        }
        let mut stream = Pin::new(stream);
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            let polled = match stream.poll_readable(cx) {
                Poll::Ready(()) => stream.as_mut().poll_fill_buf(cx),
                // In vain, but before it asks for more, rustls gives back what much of it took.
                Poll::Pending if std::mem::take(grown) => stream.as_mut().poll_fill_buf(cx),
                Poll::Pending => Poll::Pending,
            };
            let got = buffer.filled().len() > before;
            let data = match polled {
                Poll::Ready(Ok([])) => break,
                Poll::Ready(Ok(data)) => data,
                Poll::Ready(Err(error)) if got => {
                    *failed = Some(error);
                    break;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if got => break,
                Poll::Pending => return Poll::Pending,
            };
            let taken = data.len().min(buffer.remaining());
            buffer.put_slice(&data[..taken]);
            stream.as_mut().consume(taken);
            *grown |= buffer.filled().len() - before > SMALL;
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(Patient);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Holds bytes in records of two, and counts how often it was asked for them in vain.
    #[derive(Default)]
    struct Fake {
        bytes: Vec<u8>,
        error: Option<io::ErrorKind>,
        vain: usize,
    }

    impl ReadReady for Fake {
        fn poll_readable(&self, _: &mut Context<'_>) -> Poll<()> {
            if self.error.is_some() || !self.bytes.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }
    }

    impl AsyncRead for Fake {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            unreachable!("it is read as a buffer")
        }
    }

    impl AsyncBufRead for Fake {
        fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            let this = self.get_mut();
            if this.bytes.is_empty() {
                if let Some(error) = this.error.take() {
                    return Poll::Ready(Err(error.into()));
                }
                this.vain += 1;
                return Poll::Pending;
            }
            Poll::Ready(Ok(&this.bytes[..this.bytes.len().min(2)]))
        }

        fn consume(mut self: Pin<&mut Self>, count: usize) {
            self.bytes.drain(..count);
        }
    }

    /// One of the allocator's sizes: an idle WebSocket holds such a stream for as long as it is open.
    #[test]
    fn a_connection_takes_no_larger_size_of_the_allocator() {
        type Stream = TlsStream<Ahead<Metered<TcpStream>>>;
        assert!(size_of::<super::super::Witnessed<Patient<Stream>>>() <= 1280);
    }

    /// What a read with this much room comes to, once `more` has come.
    async fn read(stream: &mut Patient<Fake>, more: &[u8], room: usize) -> Poll<Option<Vec<u8>>> {
        stream.stream.bytes.extend_from_slice(more);
        let mut bytes = vec![0; room];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buffer)));
        let read = read.await;
        read.map(|read| read.ok().map(|()| buffer.filled().to_vec()))
    }

    #[tokio::test]
    async fn all_is_read_that_is_there_and_nothing_is_asked_for_in_vain() {
        let mut stream = Patient::new(Fake::default());
        let some = |bytes: &[u8]| Poll::Ready(Some(bytes.to_vec()));
        assert_eq!(read(&mut stream, b"", 5).await, Poll::Pending);
        // Several records at once, as far as there is room, and the rest of one.
        assert_eq!(read(&mut stream, b"1234567", 5).await, some(b"12345"));
        assert_eq!(read(&mut stream, b"", 5).await, some(b"67"));
        assert_eq!(read(&mut stream, b"", 5).await, Poll::Pending);
        // What goes wrong behind something is told after it, once.
        stream.stream.error = Some(io::ErrorKind::InvalidData);
        assert_eq!(read(&mut stream, b"8", 5).await, some(b"8"));
        assert_eq!(read(&mut stream, b"", 5).await, Poll::Ready(None));
        assert_eq!(read(&mut stream, b"", 5).await, Poll::Pending);
        assert_eq!(stream.stream.vain, 0);
    }

    #[tokio::test]
    async fn much_is_followed_by_one_more_question() {
        let much = [0; SMALL + 1];
        for room in [much.len(), much.len() + 1] {
            let mut stream = Patient::new(Fake::default());
            let all = Poll::Ready(Some(much.to_vec()));
            assert_eq!(read(&mut stream, &much, room).await, all);
            for _ in 0..2 {
                assert_eq!(read(&mut stream, b"", 5).await, Poll::Pending);
                assert_eq!(stream.stream.vain, 1, "{room}");
            }
        }
    }
}
