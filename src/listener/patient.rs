//! Asks TLS for more only when there may be more. hyper and tokio-rustls together ask four times in
//! vain for each request, and each time all the way down.

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
pub trait Source {
    /// Waits until a read may find something, be it the end or an error.
    fn poll_source(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Source for TcpStream {
    fn poll_source(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }
}

impl<S: Source> Source for Metered<S> {
    fn poll_source(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.get_ref().poll_source(cx)
    }
}

impl<S: Source> Source for Ahead<S> {
    fn poll_source(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_some() {
            Poll::Ready(())
        } else {
            self.get_ref().poll_source(cx)
        }
    }
}

impl<S: Source> Source for TlsStream<S> {
    fn poll_source(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (stream, session) = self.get_ref();
        // Whole records are decrypted as they come: it wants no more while it has any of them, and
        // once it was told that none will follow.
        if session.wants_read() {
            stream.poll_source(cx)
        } else {
            Poll::Ready(())
        }
    }
}

/// A stream that is read only when there may be more.
pub struct Patient<S> {
    stream: S,
    /// Whether it was read before.
    read: bool,
}

impl<S> Patient<S> {
    /// Wraps `stream`, which is read once in any case.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            read: false,
        }
    }
}

impl<S: AsyncBufRead + Source + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let got = |buffer: &ReadBuf<'_>| buffer.filled().len() > before;
        while buffer.remaining() > 0 {
            let may_have = !self.read || self.stream.poll_source(cx).is_ready();
            self.read = true;
            let mut stream = Pin::new(&mut self.stream);
            let polled = if may_have {
                stream.as_mut().poll_fill_buf(cx)
            } else {
                Poll::Pending
            };
            let data = match polled {
                Poll::Ready(Ok([])) => break,
                Poll::Ready(Ok(data)) => data,
                // Whatever went wrong goes wrong again.
                _ if got(buffer) => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            let taken = data.len().min(buffer.remaining());
            buffer.put_slice(&data[..taken]);
            stream.consume(taken);
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(Patient);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Holds bytes, and counts how often it was asked for them in vain.
    #[derive(Default)]
    struct Fake {
        bytes: Vec<u8>,
        ended: bool,
        vain: usize,
    }

    impl Source for Fake {
        fn poll_source(&self, _: &mut Context<'_>) -> Poll<()> {
            if self.ended || !self.bytes.is_empty() {
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
            match this.bytes.get(..this.bytes.len().min(2)) {
                Some([]) | None if this.ended => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Some([]) | None => {
                    this.vain += 1;
                    Poll::Pending
                }
                Some(record) => Poll::Ready(Ok(record)),
            }
        }

        fn consume(mut self: Pin<&mut Self>, count: usize) {
            self.bytes.drain(..count);
        }
    }

    #[tokio::test]
    async fn what_has_nothing_is_asked_once() {
        let mut stream = Patient::new(Fake::default());
        let mut read = async |more: &[u8], ended: bool| {
            stream.stream.bytes.extend_from_slice(more);
            stream.stream.ended = ended;
            let mut bytes = [0; 5];
            let mut buffer = ReadBuf::new(&mut bytes);
            let got = poll_fn(|cx| {
                let polled = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                Poll::Ready(match polled {
                    Poll::Ready(Ok(())) => Some(Ok(buffer.filled().to_vec())),
                    Poll::Ready(Err(error)) => Some(Err(error.kind())),
                    Poll::Pending => None,
                })
            });
            (got.await, stream.stream.vain)
        };
        let some = |bytes: &[u8]| Some(Ok(bytes.to_vec()));
        // Whatever the socket says: what came with a handshake is there already.
        assert_eq!(read(b"", false).await, (None, 1));
        assert_eq!(read(b"", false).await, (None, 1));
        // Several records at once, as far as there is room, and the rest of one.
        assert_eq!(read(b"1234567", false).await, (some(b"12345"), 1));
        assert_eq!(read(b"", false).await, (some(b"67"), 1));
        assert_eq!(read(b"", false).await, (None, 1));
        // What goes wrong behind something is told after it.
        assert_eq!(read(b"8", true).await, (some(b"8"), 1));
        assert_eq!(
            read(b"", true).await,
            (Some(Err(io::ErrorKind::BrokenPipe)), 1)
        );
    }
}
