//! One HTTP/1.1 connection to an app. Nothing runs beside the request that holds it: whoever
//! waits for the answer does the reading, so a request costs two socket calls here and no task.
//!
//! Of hyper we keep the server's side. Its client hands each message to a task of its own by two
//! channels, and keeps a second map of the head.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use futures_util::poll;
use http::StatusCode;
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};
use tokio_util::{io::poll_read_buf, sync::CancellationToken};

use super::{
    AnswerError, ForwardError,
    answer::{self, Head, Length},
    lines::Known,
    request::Draft,
    upload::{Upload, UploadError},
};
use crate::tcp;

/// Longest an app may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Most interim answers to one request.
const MOST_INTERIM: usize = 100;
/// How much room is made for a read once there is little, at least and at most: most answers come
/// whole, a large body in few calls.
const SMALL_READ: usize = 4 * 1024;
const LARGE_READ: usize = 256 * 1024;
/// The same at most where the answer shares its client's connection with others: what a client
/// doesn't take stays here, for each of them.
const SHARED_READ: usize = 32 * 1024;
/// Up to which length in bytes a body is worth a moment's wait, to go with its head; and the moment.
const SHORT: u64 = 4 * 1024;
const GATHER: Duration = Duration::from_millis(1);

/// A connection to an app.
pub struct Connection {
    read: OwnedReadHalf,
    /// Gone once something else writes on.
    write: Option<OwnedWriteHalf>,
    /// What was read and not taken yet.
    pub buffer: BytesMut,
    /// The head that is sent.
    pub draft: Draft,
    /// The lines of the last answer.
    known: Known,
    /// Whether the answer shares its client's connection with others.
    pub shares: bool,
}

/// An exchange went wrong.
pub enum Failure {
    /// Before the app had the whole head: it can't have acted on it.
    Unsent,
    /// Before the final answer began; interim ones may have come.
    Unanswered(AnswerError),
    /// Otherwise; there is no second try.
    Final(ForwardError),
}

impl Connection {
    /// Connects to an app that is there until `closed`.
    ///
    /// # Errors
    /// [`ForwardError`] if it can't be reached or is no more.
    pub async fn open(addr: SocketAddr, closed: &CancellationToken) -> Result<Self, ForwardError> {
        let stream = match timeout(CONNECT, tcp::connect_local(addr)).await {
            Ok(connected) => connected.map_err(ForwardError::Connect)?,
            Err(_) => return Err(ForwardError::ConnectTimeout),
        };
        if closed.is_cancelled() {
            // Its address may be another's by now, who must not be sent its secret.
            return Err(ForwardError::Closed);
        }
        let (read, write) = stream.into_split();
        Ok(Self {
            read,
            write: Some(write),
            buffer: BytesMut::new(),
            draft: Draft::default(),
            known: Known::default(),
            shares: false,
        })
    }

    /// Whether the request was sent whole and nothing more is to be read.
    pub fn is_done(&self) -> bool {
        self.write.is_some() && self.buffer.is_empty()
    }

    /// Whether it may be used again, as far as is known: the app neither closed it nor said
    /// anything unasked. Costs no socket call unless something did happen.
    pub fn is_idle(&self) -> bool {
        let unasked = self.read.try_read(&mut [0]);
        let quiet = matches!(unasked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        quiet && self.is_done()
    }

    /// Sends the head in `self.draft` and what there is of the body, and waits for the answer's
    /// head. What is left in `upload` then is still to be sent.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn exchange(
        &mut self,
        upload: &mut Option<Box<Upload>>,
        bodiless: bool,
    ) -> Result<Head, Failure> {
        let Some(write) = &mut self.write else {
            return Err(Failure::Unsent);
        };
        if write.write_all(&self.draft.text).await.is_err() {
            return Err(Failure::Unsent);
        }
        let (mut seen, mut interim) = (0, 0);
        poll_fn(|cx| {
            if let (Some(body), Some(write)) = (upload.as_mut(), self.write.as_mut()) {
                match body.poll(cx, write) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => *upload = None,
                    Poll::Ready(Err(UploadError::Client)) => {
                        return Poll::Ready(Err(Failure::Final(ForwardError::Body)));
                    }
                    Poll::Ready(Err(UploadError::App)) => {
                        // It may have answered before it hung up.
                        (*upload, self.write) = (None, None);
                    }
                }
            }
            loop {
                let head = match self.poll_head(cx, &mut seen, bodiless) {
                    Poll::Ready(head) => head?,
                    Poll::Pending => return Poll::Pending,
                };
                let status = head.parts.status;
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(head));
                }
                interim += 1;
                if interim > MOST_INTERIM {
                    return Poll::Ready(Err(Failure::Final(ForwardError::Informational)));
                }
                if status == StatusCode::CONTINUE
                    && let Some(body) = upload
                {
                    body.may_go(cx);
                }
            }
        })
        .await
    }

    /// Lets a short body catch up with its head, if it is about to: many apps write one after the
    /// other, and what is passed on together costs one packet and one wake-up of the client less.
    pub async fn gather(&mut self, length: Length) {
        let Length::Exact(length @ 1..=SHORT) = length else {
            return;
        };
        if self.buffer.len() as u64 >= length {
            return;
        }
        // Mostly it is there by the thread's next look at its sockets, and needs no timer.
        tokio::task::yield_now().await;
        let mut whole = pin!(poll_fn(|cx| {
            while (self.buffer.len() as u64) < length {
                // Whatever went wrong goes wrong again for the body.
                if !matches!(ready!(self.poll_fill(cx, length)), Ok(1..)) {
                    break;
                }
            }
            Poll::Ready(())
        }));
        if poll!(&mut whole).is_pending() {
            let _ = timeout(GATHER, whole).await;
        }
    }

    /// The way to the app, for the rest of a body: this connection serves no other request.
    pub fn take_write(&mut self) -> Option<OwnedWriteHalf> {
        self.write.take()
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        seen: &mut usize,
        bodiless: bool,
    ) -> Poll<Result<Head, Failure>> {
        let broken = |error| Failure::Final(ForwardError::Broken(error));
        loop {
            let read = answer::read(&self.buffer, seen, bodiless, &mut self.known);
            if let Some((head, end)) = read.map_err(broken)? {
                self.buffer.advance(end);
                return Poll::Ready(Ok(head));
            }
            let error = match ready!(self.poll_fill(cx, 0)) {
                Ok(0) => AnswerError::Ended,
                Ok(_) => continue,
                Err(error) => AnswerError::Connection(error),
            };
            return Poll::Ready(Err(if self.buffer.is_empty() {
                Failure::Unanswered(error)
            } else {
                broken(error)
            }));
        }
    }

    /// Reads more into the buffer, of which about `left` bytes are to come, 0 if that is not known.
    /// Ready with 0 at the connection's end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, left: u64) -> Poll<io::Result<usize>> {
        let most = if self.shares { SHARED_READ } else { LARGE_READ };
        if self.buffer.capacity() - self.buffer.len() < SMALL_READ / 4 {
            let left = usize::try_from(left).unwrap_or(most);
            self.buffer.reserve(left.clamp(SMALL_READ, most));
        }
        // Also where an earlier answer has left more room.
        let mut room = (&mut self.buffer).limit(most);
        poll_read_buf(Pin::new(&mut self.read), cx, &mut room)
    }

    /// The bare stream, and what was read of it beyond the head.
    pub fn into_stream(self) -> Option<(TcpStream, BytesMut)> {
        let stream = self.read.reunite(self.write?).ok()?;
        Some((stream, self.buffer))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A connection with a head to send, and the app's end of it.
    async fn connected() -> (Connection, TcpStream) {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, closed) = (app.local_addr().unwrap(), CancellationToken::new());
        let mut connection = Connection::open(addr, &closed).await.unwrap();
        connection.draft.text = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        (connection, app.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_head_waits_for_a_short_body_and_only_for_a_moment() {
        for body in ["whole", ""] {
            let (mut connection, mut app) = connected().await;
            let answer = async {
                app.read_u8().await.unwrap();
                app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
                    .await
                    .unwrap();
            };
            let mut none = None;
            let (head, ()) = tokio::join!(connection.exchange(&mut none, false), answer);
            let Ok(head) = head else {
                panic!("no answer");
            };
            app.write_all(body.as_bytes()).await.unwrap();
            connection.gather(head.length).await;
            assert_eq!(connection.buffer, body);
        }
    }

    #[tokio::test]
    async fn interim_answers_are_passed_over_and_have_an_end() {
        const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        for (hints, expected) in [(1, true), (MOST_INTERIM, true), (MOST_INTERIM + 1, false)] {
            let (mut connection, mut app) = connected().await;
            let text = HINT.repeat(hints) + "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n";
            app.write_all(text.as_bytes()).await.unwrap();
            let found = connection.exchange(&mut None, false).await;
            if expected {
                let head = found.ok().unwrap();
                assert_eq!(head.parts.status, StatusCode::NOT_FOUND);
                assert!(!head.parts.headers.contains_key("link"));
            } else {
                assert!(matches!(
                    found,
                    Err(Failure::Final(ForwardError::Informational))
                ));
            }
        }
    }

    #[tokio::test]
    async fn nobody_is_spoken_to_in_place_of_an_app_that_is_no_more() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = CancellationToken::new();
        closed.cancel();
        let opened = Connection::open(other.local_addr().unwrap(), &closed).await;
        assert!(matches!(opened, Err(ForwardError::Closed)));
    }
}
