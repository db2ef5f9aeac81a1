//! A client's connection, with its bytes counted.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Meter;

/// A stream whose bytes, and whose being open, are counted.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Counting,
}

/// Counted as open until dropped.
struct Counting(Arc<Meter>);

impl std::fmt::Debug for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counting")
    }
}

impl<S> Metered<S> {
    /// Counts `stream` with the counters of its thread.
    pub fn new(stream: S, meter: &Arc<Meter>) -> Self {
        meter.connections.fetch_add(1, Relaxed);
        Self {
            stream,
            meter: Counting(Arc::clone(meter)),
        }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    fn sent(&self, bytes: usize) -> usize {
        self.meter.0.sent.fetch_add(bytes as u64, Relaxed);
        bytes
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let bytes = (buffer.filled().len() - before) as u64;
        self.meter.0.received.fetch_add(bytes, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        Poll::Ready(Ok(self.sent(written)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The system takes one slice faster by `send` than by `writev`.
        if let [bytes] = slices {
            return self.poll_write(cx, bytes);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        Poll::Ready(Ok(self.sent(written)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn bytes_are_counted_each_way_and_an_open_stream_until_it_is_dropped() {
        let metrics = Metrics::new([]);
        let (client, server) = tokio::io::duplex(64);
        let mut server = Metered::new(server, &metrics.meter());
        let (mut from, mut to) = tokio::io::split(client);
        to.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        server.read_exact(&mut buffer).await.unwrap();
        server.write_all(b"ok").await.unwrap();
        from.read_exact(&mut buffer[..2]).await.unwrap();
        let seen = |line: &str| {
            assert!(
                metrics.encode().unwrap().contains(line),
                "{}",
                metrics.encode().unwrap()
            );
        };
        seen("vestibule_received_bytes_total 5\n");
        seen("vestibule_sent_bytes_total 2\n");
        seen("vestibule_connections_open 1\n");
        drop(server);
        seen("vestibule_connections_open 0\n");
    }
}
