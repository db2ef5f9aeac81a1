//! Reads ahead of TLS. rustls asks for no more than one record at a time, so that an upload would
//! take a system call, and have the kernel send an acknowledgement, for every few kilobytes.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once where much comes, in bytes.
const PIECE: usize = 256 * 1024;
/// A piece that brings less than this says that no more than that comes, in bytes.
const MUCH: usize = 4 * 1024;
/// Most pieces that a thread keeps for the next that need one.
const KEPT: usize = 2;

thread_local! {
    /// Pieces that nobody holds: a connection has one only while it has bytes in it.
    static PIECES: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is read in large pieces while much comes.
pub struct Ahead<S> {
    stream: S,
    /// What was read and not taken yet, from the first index to the second.
    piece: Option<(Box<[u8]>, usize, usize)>,
    much: bool,
}

impl<S> Ahead<S> {
    /// Reads `stream` as it is asked to until more comes than that.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            piece: None,
            much: false,
        }
    }

    /// Hands out what is there.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) {
        let Some((bytes, from, to)) = &mut self.piece else {
            return;
        };
        let there = (*to - *from).min(buffer.remaining());
        buffer.put_slice(&bytes[*from..*from + there]);
        *from += there;
        if from == to
            && let Some((bytes, ..)) = self.piece.take()
        {
            give_back(bytes);
        }
    }
}

fn give_back(bytes: Box<[u8]>) {
    PIECES.with_borrow_mut(|pieces| {
        if pieces.len() < KEPT {
            pieces.push(bytes);
        }
    });
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.piece.is_none() {
            if !this.much {
                ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
                this.much = buffer.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            let kept = PIECES.with_borrow_mut(Vec::pop);
            let mut bytes = kept.unwrap_or_else(|| vec![0; PIECE].into());
            let mut read = ReadBuf::new(&mut bytes);
            let polled = Pin::new(&mut this.stream).poll_read(cx, &mut read);
            let length = read.filled().len();
            if !matches!(polled, Poll::Ready(Ok(()))) || length == 0 {
                give_back(bytes);
                return polled;
            }
            this.much = length >= MUCH;
            this.piece = Some((bytes, 0, length));
        }
        this.take(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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

    /// Counts how often it is read.
    struct Counted<S>(S, usize);

    impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let polled = Pin::new(&mut self.0).poll_read(cx, buffer);
            self.1 += usize::from(polled.is_ready());
            polled
        }
    }

    #[tokio::test]
    async fn much_is_read_at_once_and_nothing_is_lost_or_held() {
        for (sent, most) in [(100, 1), (4096, 1), (60_000, 2), (300_000, 3)] {
            let text: Vec<u8> = (0..sent).map(|at: u32| at.to_le_bytes()[0]).collect();
            let (mut from, to) = tokio::io::duplex(1 << 20);
            from.write_all(&text).await.unwrap();
            let mut ahead = Ahead::new(Counted(to, 0));
            let (mut got, mut bytes) = (Vec::new(), [0; 4096]);
            while got.len() < text.len() {
                let count = ahead.read(&mut bytes).await.unwrap();
                got.extend_from_slice(&bytes[..count]);
            }
            assert_eq!(got, text);
            assert!(ahead.piece.is_none());
            assert!(ahead.stream.1 <= most, "{} reads of {sent}", ahead.stream.1);
            drop(from);
            assert_eq!(ahead.read(&mut bytes).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn who_waits_holds_no_piece() {
        let (mut from, to) = tokio::io::duplex(1 << 20);
        let mut ahead = Ahead::new(to);
        let mut bytes = [0; 4096];
        from.write_all(&[7; 4096]).await.unwrap();
        ahead.read_exact(&mut bytes).await.unwrap();
        assert!(ahead.much);
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, ahead.read(&mut bytes));
        assert!(waiting.await.is_err() && ahead.piece.is_none());
        from.write_all(&[8; 10]).await.unwrap();
        assert_eq!(ahead.read(&mut bytes).await.unwrap(), 10);
        assert!(!ahead.much);
    }
}
