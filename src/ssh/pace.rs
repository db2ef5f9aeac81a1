//! When a connection's bytes are left with the kernel, to hold its client back: what comes goes
//! to the disk only if it must.
//!
//! What is read can't wait for a process that takes nothing: other channels come the same way,
//! and so does the client's leave to send it more output, without which `ssh host cat < big`
//! would hang for ever. But while a process takes what waits for it, time is on its side.
//! Promise: only reading is ever held; it goes on once nothing was taken for a moment. And what is
//! cut ends, whatever russh waits for.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// How long a process may take nothing while others may need what comes after.
const SOON: Duration = Duration::from_millis(5);
/// The same if much waits already, and no output waits for the client's leave: a process that
/// reads 3 MB/s makes the kernel's buffers move once a second.
const LATER: Duration = Duration::from_secs(2);
/// From how many bytes on much waits.
const MUCH: u64 = 64 << 20;
/// Most bytes from whoever has not logged in: an agent with many keys sends some 10 KiB, and
/// messages that are ignored cost what others do.
const STRANGERS: u64 = 1 << 20;

/// What one connection's channels have waiting in files.
#[derive(Debug)]
pub struct Pace {
    zero: Instant,
    spilled: AtomicU64,
    /// When something of that was last taken, in microseconds.
    taken: AtomicU64,
    sending: AtomicUsize,
    /// Whether its client has logged in.
    known: AtomicBool,
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            zero: Instant::now(),
            spilled: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            sending: AtomicUsize::new(0),
            known: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        }
    }
}

impl Pace {
    /// So much more waits in a file.
    pub fn spilled(&self, bytes: u64) {
        self.spilled.fetch_add(bytes, Relaxed);
    }

    /// So much less does.
    pub fn unspilled(&self, bytes: u64) {
        if self.spilled.fetch_sub(bytes, Relaxed) == bytes {
            self.reader.wake();
        }
    }

    /// Its client has logged in.
    pub fn let_in(&self) {
        self.known.store(true, Relaxed);
    }

    /// Something that waits in a file, or before one, was taken.
    pub fn took(&self) {
        let now = u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.taken.store(now, Relaxed);
    }

    /// Ends the connection, whatever it is about: russh has no other end for one that says or
    /// takes nothing while keys are exchanged.
    fn cut(&self) {
        self.cut.store(true, SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// Whether it was ended. Whoever is told that it was not is woken by the end.
    fn is_cut(&self, side: &AtomicWaker, cx: &Context<'_>) -> bool {
        side.register(cx.waker());
        self.cut.load(SeqCst)
    }

    /// Output is on its way to the client, until this is dropped.
    pub fn sending(&self) -> Sending<'_> {
        self.sending.fetch_add(1, Relaxed);
        Sending(self)
    }

    /// Until when nothing should be read, if nothing more is taken.
    fn held_until(&self) -> Option<Instant> {
        let spilled = self.spilled.load(Relaxed);
        if spilled == 0 {
            return None;
        }
        let patience = if spilled < MUCH || self.sending.load(Relaxed) > 0 {
            SOON
        } else {
            LATER
        };
        let until = self.zero + Duration::from_micros(self.taken.load(Relaxed)) + patience;
        (until > Instant::now()).then_some(until)
    }
}

/// Output on its way.
#[derive(Debug)]
pub struct Sending<'a>(&'a Pace);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Relaxed);
    }
}

/// Cuts a connection when dropped.
#[derive(Debug)]
pub struct Cut(pub Arc<Pace>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// A connection that is read at its [`Pace`], until that is cut.
pub struct Paced {
    stream: TcpStream,
    pace: Arc<Pace>,
    wait: Pin<Box<Sleep>>,
    /// How many bytes came before a login.
    strange: u64,
}

impl Paced {
    /// Reads a connection at this pace.
    pub fn new(stream: TcpStream, pace: Arc<Pace>) -> Self {
        Self {
            stream,
            pace,
            wait: Box::pin(sleep_until(Instant::now())),
            strange: 0,
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.pace.is_cut(&this.pace.reader, cx) {
            return Poll::Ready(Ok(()));
        }
        while let Some(until) = this.pace.held_until() {
            this.wait.as_mut().reset(until);
            ready!(this.wait.as_mut().poll(cx));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if !this.pace.known.load(Relaxed) {
            this.strange += (buf.filled().len() - before) as u64;
            if this.strange > STRANGERS {
                tracing::debug!("an SSH client said too much before its login, and was cut");
                this.pace.cut();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.pace.is_cut(&self.pace.writer, cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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

    #[tokio::test(start_paused = true)]
    async fn reading_is_held_while_what_waits_is_taken_and_never_for_good() {
        let pace = Pace::default();
        pace.took();
        assert!(pace.held_until().is_none(), "nothing waits");
        tokio::time::advance(LATER).await;
        pace.spilled(MUCH);
        assert!(pace.held_until().is_none(), "nothing is taken");
        pace.took();
        assert_eq!(pace.held_until(), Some(Instant::now() + LATER));
        let sending = pace.sending();
        assert_eq!(pace.held_until(), Some(Instant::now() + SOON));
        tokio::time::advance(SOON).await;
        assert!(pace.held_until().is_none());
        drop(sending);
        assert!(pace.held_until().is_some());
        pace.unspilled(MUCH);
        assert!(pace.held_until().is_none(), "all was taken");
    }

    #[tokio::test]
    async fn a_cut_ends_whoever_reads_or_writes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let pace = Arc::<Pace>::default();
        let (mut reader, mut writer) =
            tokio::io::split(Paced::new(accepted.unwrap().0, Arc::clone(&pace)));
        let read = tokio::spawn(async move { reader.read(&mut [0; 9]).await });
        let write = tokio::spawn(async move {
            // Nobody reads it.
            while writer.write_all(&[0; 4096]).await.is_ok() {}
        });
        tokio::task::yield_now().await;
        drop(Cut(pace));
        assert_eq!(read.await.unwrap().unwrap(), 0);
        write.await.unwrap();
        drop(client);
    }

    #[tokio::test]
    async fn whoever_has_not_logged_in_is_not_read_for_ever() {
        for known in [false, true] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let (client, accepted) = tokio::join!(client, listener.accept());
            let (mut client, pace) = (client.unwrap(), Arc::<Pace>::default());
            if known {
                pace.let_in();
            }
            let mut read = Paced::new(accepted.unwrap().0, pace);
            let send = async {
                let _ = client.write_all(&vec![0; 3 << 20]).await;
                drop(client);
            };
            let ((), read) = tokio::join!(send, async {
                let (mut all, mut piece) = (0, vec![0; 64 << 10]);
                while let Ok(more @ 1..) = read.read(&mut piece).await {
                    all += more as u64;
                }
                drop(read);
                all
            });
            if known {
                assert_eq!(read, 3 << 20);
            } else {
                assert!(
                    (STRANGERS..STRANGERS + (65 << 10)).contains(&read),
                    "{read}"
                );
            }
        }
    }
}
