//! Two byte streams joined, untouched. Buffers exist only while bytes are in flight, so that
//! an idle socket costs next to nothing.

use std::{
    any::Any,
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

/// How much is read at once.
const CHUNK: usize = 32 * 1024;
/// How long one side may go on after the other has ended.
const LINGER: Duration = Duration::from_secs(30);

thread_local! {
    /// Shared by all tunnels of a thread: each holds it only between a read and the write
    /// that follows in the same poll.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and could not be written yet.
    left: Bytes,
    /// Whether something was written since the last flush.
    dirty: bool,
    ended: bool,
    shut: bool,
}

impl Way {
    /// Moves what there is. Ready once this direction has ended.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.left.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.left))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.left.advance(written);
                self.dirty = true;
            }
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let read = BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
                let mut bytes = read.filled();
                self.ended = bytes.is_empty();
                while !bytes.is_empty() {
                    match Pin::new(&mut *to).poll_write(cx, bytes) {
                        Poll::Ready(written) => {
                            let written = written?;
                            if written == 0 {
                                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                            }
                            self.dirty = true;
                            bytes = &bytes[written..];
                        }
                        Poll::Pending => {
                            self.left = Bytes::copy_from_slice(bytes);
                            bytes = &[];
                        }
                    }
                }
                Poll::Ready(io::Result::Ok(()))
            });
            if let Poll::Ready(read) = read {
                read?;
                continue;
            }
            if self.dirty {
                ready!(Pin::new(&mut *to).poll_flush(cx))?;
                self.dirty = false;
            }
            return Poll::Pending;
        }
    }
}

/// Joins `client` and `app` until both have ended, one broke, or `closed` is cancelled.
/// A plain function that returns its future: an async one would hold its arguments twice.
pub fn join<A, B>(
    mut client: A,
    mut app: B,
    closed: CancellationToken,
    guard: Box<dyn Any>,
) -> impl Future<Output = io::Result<()>>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Way::default(), Way::default());
    let mut closed = Box::pin(closed.cancelled_owned());
    let mut linger: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(move |cx| {
        let _held = &guard;
        if closed.as_mut().poll(cx).is_ready() {
            // The client is told; the app is gone.
            return Pin::new(&mut client).poll_shutdown(cx);
        }
        let up_ended = up.poll(cx, &mut client, &mut app)?.is_ready();
        let down_ended = down.poll(cx, &mut app, &mut client)?.is_ready();
        if up_ended && down_ended {
            return Poll::Ready(Ok(()));
        }
        if up_ended || down_ended {
            let linger = linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
            return linger.as_mut().poll(cx).map(Ok);
        }
        Poll::Pending
    })
}
