//! Asks TLS for more only when there may be more. hyper and tokio-rustls together would ask four
//! times in vain for each request, and each time all the way down.

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
    /// What went wrong behind the last that was read: TLS tells it once.
    failed: Option<io::Error>,
}

impl<S> Patient<S> {
    /// Wraps `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            failed: None,
        }
    }
}

impl<S: AsyncBufRead + Source + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, failed } = &mut *self;
        if let Some(error) = failed.take() {
            return Poll::Ready(Err(error));
        }
        let mut stream = Pin::new(stream);
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            let polled = match stream.poll_source(cx) {
                Poll::Ready(()) => stream.as_mut().poll_fill_buf(cx),
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

    impl Source for Fake {
        fn poll_source(&self, _: &mut Context<'_>) -> Poll<()> {
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

    #[tokio::test]
    async fn all_is_read_that_is_there_and_nothing_is_asked_for_in_vain() {
        let mut stream = Patient::new(Fake::default());
        let mut read = async |more: &[u8], error: Option<io::ErrorKind>| {
            stream.stream.bytes.extend_from_slice(more);
            stream.stream.error = error;
            let mut bytes = [0; 5];
            let mut buffer = ReadBuf::new(&mut bytes);
            let polled = poll_fn(|cx| {
                let polled = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                Poll::Ready(polled.map_err(|error| error.kind()))
            });
            let polled = polled.await;
            assert_eq!(stream.stream.vain, 0);
            polled.map_ok(|()| buffer.filled().to_vec())
        };
        let some = |bytes: &[u8]| Poll::Ready(Ok(bytes.to_vec()));
        assert_eq!(read(b"", None).await, Poll::Pending);
        // Several records at once, as far as there is room, and the rest of one.
        assert_eq!(read(b"1234567", None).await, some(b"12345"));
        assert_eq!(read(b"", None).await, some(b"67"));
        assert_eq!(read(b"", None).await, Poll::Pending);
        // What goes wrong behind something is told after it, once.
        let broken = io::ErrorKind::InvalidData;
        assert_eq!(read(b"8", Some(broken)).await, some(b"8"));
        assert_eq!(read(b"", None).await, Poll::Ready(Err(broken)));
        assert_eq!(read(b"", None).await, Poll::Pending);
    }
}
