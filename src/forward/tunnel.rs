//! Two byte streams joined, untouched. Buffers exist only while bytes are in flight, so that
//! an idle socket costs next to nothing. The frames in them are followed, never held.

use std::{
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

use super::{Direction, Guard, frames::Frames};

/// How much is read at once.
const CHUNK: usize = 32 * 1024;
/// How long one side may go on after the other has ended.
const LINGER: Duration = Duration::from_secs(30);
/// How long a proper end may take once the client's session has ended: for the frame that is
/// under way, the Close and the client's own.
const PARTING: Duration = Duration::from_millis(500);

/// A Close for the client: 1008, "session ended" (RFC 6455 5.5.1, 7.4.1).
const CLOSE: &[u8] = b"\x88\x0f\x03\xf0session ended";
/// The same for the app, masked as it must be. Its text is ours alone, so no key could hide or
/// reveal anything; zeros do.
const CLOSE_MASKED: &[u8] = b"\x88\x8f\0\0\0\0\x03\xf0session ended";

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
    stage: Stage,
    frames: Frames,
}

/// How far a direction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Whatever comes passes.
    #[default]
    Open,
    /// No further frame passes: a Close and the end come after this one.
    Parting,
    /// Nothing more comes.
    Ended,
    /// The other side was told so.
    Shut,
}

impl Way {
    /// Moves what there is, and lets `follow` see each piece that was read. Ready once this
    /// direction has ended.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        mut follow: impl FnMut(&mut Frames, &[u8]),
    ) -> Poll<io::Result<()>>
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
            let most = match self.stage {
                Stage::Open => CHUNK,
                Stage::Parting if self.frames.at_boundary() => {
                    self.left = Bytes::from_static(CLOSE);
                    self.stage = Stage::Ended;
                    continue;
                }
                Stage::Parting => usize::try_from(self.frames.surely_left()).unwrap_or(CHUNK),
                Stage::Ended => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.stage = Stage::Shut;
                    continue;
                }
                Stage::Shut => return Poll::Ready(Ok(())),
            };
            let read = BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(&mut buffer[..most.min(CHUNK)]);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
                let mut bytes = read.filled();
                if bytes.is_empty() {
                    self.stage = Stage::Ended;
                }
                follow(&mut self.frames, bytes);
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

/// Joins `client` and `app`, of which `early` was read already, until both have ended, one broke, `closed` is cancelled because the
/// app is no more, or `ended` because the client may have it no longer. `guard` is told what
/// passes, and dropped at the end.
/// A plain function that returns its future: an async one would hold its arguments twice.
pub fn join<A, B, G>(
    mut client: A,
    mut app: B,
    early: Bytes,
    closed: CancellationToken,
    ended: CancellationToken,
    mut guard: G,
) -> impl Future<Output = io::Result<()>>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
    G: Guard,
{
    let (mut up, mut down) = (Way::default(), Way::default());
    guard.passed(Direction::Down, early.len());
    down.frames.feed(&early, |_| {});
    down.left = early;
    let mut closed = Box::pin(closed.cancelled_owned());
    let mut ended = Box::pin(ended.cancelled_owned());
    let mut parting = false;
    let mut linger: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(move |cx| {
        if closed.as_mut().poll(cx).is_ready() {
            // The client is told; the app is gone.
            return Pin::new(&mut client).poll_shutdown(cx);
        }
        if !parting && ended.as_mut().poll(cx).is_ready() {
            parting = true;
            // Nothing more of the client's reaches the app, not even the rest of a frame.
            if up.stage == Stage::Open {
                if up.frames.at_boundary() {
                    up.left = [&up.left, CLOSE_MASKED].concat().into();
                }
                up.stage = Stage::Ended;
            }
            if down.stage == Stage::Open {
                down.stage = Stage::Parting;
            }
            linger = Some(Box::pin(sleep(PARTING)));
        }
        let from_client = |frames: &mut Frames, bytes: &[u8]| {
            guard.passed(Direction::Up, bytes.len());
            frames.feed(bytes, |frame| guard.client_frame(frame));
        };
        let up_ended = up.poll(cx, &mut client, &mut app, from_client);
        let from_app = |frames: &mut Frames, bytes: &[u8]| {
            guard.passed(Direction::Down, bytes.len());
            frames.feed(bytes, |_| {});
        };
        let down_ended = down.poll(cx, &mut app, &mut client, from_app)?.is_ready();
        if parting {
            // An app that is in the way of its own end doesn't keep the client from theirs.
            let client_ended = down_ended && poll_discard(cx, &mut client).is_ready();
            if client_ended {
                return Poll::Ready(Ok(()));
            }
        }
        let up_ended = up_ended?.is_ready();
        if up_ended && down_ended && !parting {
            return Poll::Ready(Ok(()));
        }
        if up_ended || down_ended || parting {
            let linger = linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
            return linger.as_mut().poll(cx).map(Ok);
        }
        Poll::Pending
    })
}

/// Reads on until the other side has ended: a connection closed with bytes unread is reset, and
/// takes with it what was written last.
fn poll_discard(cx: &mut Context<'_>, from: &mut (impl AsyncRead + Unpin)) -> Poll<()> {
    BUFFER.with_borrow_mut(|buffer| {
        loop {
            let mut read = ReadBuf::new(buffer);
            let done = ready!(Pin::new(&mut *from).poll_read(cx, &mut read));
            if done.is_err() || read.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::{Instant, timeout},
    };

    use super::*;
    use crate::forward::Frame;

    struct NoGuard;

    impl Guard for NoGuard {
        fn passed(&mut self, _: Direction, _: usize) {}
        fn client_frame(&mut self, _: Frame) {}
    }

    /// A tunnel, both its ends, and what ends its session.
    fn tunnel() -> (DuplexStream, DuplexStream, CancellationToken) {
        let (client, at_client) = duplex(1 << 16);
        let (app, at_app) = duplex(1 << 16);
        let ended = CancellationToken::new();
        let joined = join(
            client,
            app,
            Bytes::new(),
            CancellationToken::new(),
            ended.clone(),
            NoGuard,
        );
        tokio::spawn(joined);
        (at_client, at_app, ended)
    }

    async fn all(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        timeout(PARTING * 2, read).await.unwrap().unwrap();
        bytes
    }

    /// Waits until `bytes` have passed the tunnel.
    async fn pass(from: &mut DuplexStream, to: &mut DuplexStream, bytes: &[u8]) {
        from.write_all(bytes).await.unwrap();
        let mut got = vec![0; bytes.len()];
        to.read_exact(&mut got).await.unwrap();
        assert_eq!(got, bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_session_is_a_close_to_both_sides() {
        let (mut client, mut app, ended) = tunnel();
        pass(&mut client, &mut app, b"\x82\x81keyXa").await;
        pass(&mut app, &mut client, b"\x82\x01b").await;
        ended.cancel();
        assert_eq!(all(&mut client).await, CLOSE);
        assert_eq!(all(&mut app).await, CLOSE_MASKED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_on_its_way_to_the_client_is_finished_and_no_other_begun() {
        let (mut client, mut app, ended) = tunnel();
        pass(&mut app, &mut client, b"\x82\x7e").await;
        ended.cancel();
        app.write_all(b"\x00\x05hello\x82\x02no").await.unwrap();
        assert_eq!(all(&mut client).await, [b"\x00\x05hello", CLOSE].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_never_ends_does_not_keep_a_session() {
        let (mut client, mut app, ended) = tunnel();
        pass(&mut app, &mut client, b"\x82\x7e\xff\xff...").await;
        let began = Instant::now();
        ended.cancel();
        assert_eq!(all(&mut client).await, b"");
        assert!(began.elapsed() <= PARTING + Duration::from_millis(5));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_that_a_client_sends_afterwards_reaches_the_app() {
        let (mut client, mut app, ended) = tunnel();
        pass(&mut client, &mut app, b"\x82\x85keyX123").await;
        ended.cancel();
        client.write_all(b"45\x82\x81keyXa").await.unwrap();
        assert_eq!(all(&mut app).await, b"", "a broken frame gets no Close");
        assert_eq!(all(&mut client).await, CLOSE);
    }
}
