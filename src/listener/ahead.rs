//! Reads ahead of TLS. rustls asks for no more than one record at a time, so that an upload would
//! take a system call, and have the kernel send an acknowledgement, for every few kilobytes.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::through::write_through;

/// How much is read at once where much comes, in bytes.
const PIECE: usize = 256 * 1024;
/// A piece that brings less than this says that no more than that comes, in bytes.
const MUCH: usize = 4 * 1024;
/// Most pieces that a thread keeps for the next that need one, and most that connections hold: one
/// whose reader has stopped holds its own for as long as that lasts.
const KEPT: usize = 2;
const MOST_HELD: usize = 64;

thread_local! {
    static PIECES: RefCell<Pieces> = const { RefCell::new(Pieces { kept: Vec::new(), held: 0 }) };
}

/// The pieces of a thread: a connection has one only while it has bytes in it.
struct Pieces {
    kept: Vec<Box<[u8]>>,
    /// How many connections hold one.
    held: usize,
}

impl Pieces {
    /// One to read into, unless too many are held.
    fn get(&mut self) -> Option<Box<[u8]>> {
        if self.held == MOST_HELD {
            return None;
        }
        self.held += 1;
        let kept = self.kept.pop();
        Some(kept.unwrap_or_else(|| vec![0; PIECE].into()))
    }

    fn give_back(&mut self, piece: Box<[u8]>) {
        self.held -= 1;
        if self.kept.len() < KEPT {
            self.kept.push(piece);
        }
    }
}

/// A stream that is read in large pieces while much comes.
pub struct Ahead<S> {
    stream: S,
    /// There while much comes; boxed, since most connections are idle, and take no more room than
    /// this (an allocator has sizes for them, and the next larger one is a quarter more).
    bulk: Option<Box<Bulk>>,
}

/// What was read and not taken yet.
#[derive(Default)]
struct Bulk {
    /// Nothing while nothing is there.
    piece: Box<[u8]>,
    /// From where to where in it that stands.
    from: usize,
    to: usize,
}

impl Bulk {
    /// Hands out what is there; whether anything is left.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let there = (self.to - self.from).min(buffer.remaining());
        buffer.put_slice(&self.piece[self.from..self.from + there]);
        self.from += there;
        self.from < self.to
    }

    /// Gives the piece back, if it has one.
    fn drain(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        if !piece.is_empty() {
            // The thread itself may be ending.
            let _ = PIECES.try_with(|pieces| pieces.borrow_mut().give_back(piece));
        }
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.drain();
    }
}

impl<S> Ahead<S> {
    /// Reads `stream` as it is asked to until more comes than that.
    pub fn new(stream: S) -> Self {
        Self { stream, bulk: None }
    }

    /// Whether there is something that was read before.
    pub fn has_some(&self) -> bool {
        self.bulk
            .as_ref()
            .is_some_and(|bulk| !bulk.piece.is_empty())
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, bulk } = &mut *self;
        let Some(there) = bulk else {
            ready!(Pin::new(stream).poll_read(cx, buffer))?;
            if buffer.remaining() == 0 {
                *bulk = Some(Box::default());
            }
            return Poll::Ready(Ok(()));
        };
        if there.piece.is_empty() {
            let Some(piece) = PIECES.with_borrow_mut(Pieces::get) else {
                return Pin::new(stream).poll_read(cx, buffer);
            };
            there.piece = piece;
            let mut read = ReadBuf::new(&mut there.piece);
            let polled = Pin::new(stream).poll_read(cx, &mut read);
            (there.from, there.to) = (0, read.filled().len());
            if there.to == 0 {
                there.drain();
                return polled;
            }
        }
        if !there.take(buffer) {
            there.drain();
            if there.to < MUCH {
                *bulk = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(Ahead);

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
            assert!(ahead.bulk.as_ref().is_none_or(|bulk| bulk.piece.is_empty()));
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
        assert!(ahead.bulk.is_some());
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, ahead.read(&mut bytes));
        assert!(waiting.await.is_err());
        assert!(
            ahead
                .bulk
                .as_ref()
                .is_some_and(|bulk| bulk.piece.is_empty())
        );
        from.write_all(&[8; 10]).await.unwrap();
        assert_eq!(ahead.read(&mut bytes).await.unwrap(), 10);
        assert!(ahead.bulk.is_none());
    }

    #[tokio::test]
    async fn those_that_stop_reading_hold_so_many_pieces_and_the_rest_reads_on() {
        let text: Vec<u8> = (0..20_000).map(|at: u32| at.to_le_bytes()[0]).collect();
        let (mut stopped, mut bytes) = (Vec::new(), [0; 4096]);
        for _ in 0..MOST_HELD + 5 {
            let (mut from, to) = tokio::io::duplex(1 << 20);
            from.write_all(&text).await.unwrap();
            let mut ahead = Ahead::new(to);
            ahead.read_exact(&mut bytes).await.unwrap();
            ahead.read_exact(&mut bytes).await.unwrap();
            stopped.push((from, ahead));
        }
        assert_eq!(PIECES.with_borrow(|pieces| pieces.held), MOST_HELD);
        let (from, mut last) = stopped.pop().unwrap();
        drop((from, stopped));
        let mut rest = Vec::new();
        last.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, text[2 * 4096..]);
        drop(last);
        PIECES.with_borrow(|pieces| assert_eq!((pieces.held, pieces.kept.len()), (0, KEPT)));
    }
}
