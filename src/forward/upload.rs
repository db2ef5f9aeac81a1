//! The client's body on its way to the app.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::{
    io::AsyncWrite,
    net::tcp::OwnedWriteHalf,
    time::{Sleep, sleep, timeout},
};

use crate::incoming::Incoming;

use super::{
    fields::{allowed_trailer, same_dashed},
    request::Framing,
};

/// How long a client that asked waits for the app's leave to send its body; an app that knows
/// nothing of this gives none (RFC 9110 10.1.1).
const LEAVE: Duration = Duration::from_secs(1);
/// How long a client is listened to whose body nobody wants.
const LINGER: Duration = Duration::from_secs(5);
/// How much is written at once, in bytes and in pieces: over HTTP/2 a body comes in frames of
/// 16 KiB, and each would be a system call of its own.
const MOST_BYTES: usize = 256 * 1024;
const MOST_PIECES: usize = 64;

/// The client's body on its way to the app.
pub struct Upload {
    /// Gone once it was read to its end.
    incoming: Option<Incoming>,
    framing: Framing,
    /// What is to be written, and how much that is in bytes.
    waiting: VecDeque<Bytes>,
    size: usize,
    /// How long the app's leave is still waited for.
    patience: Option<Pin<Box<Sleep>>>,
    /// Whether the client must be listened to although nobody wants the rest.
    linger: bool,
    /// What we said in front, and the client may not say again behind.
    ours: Vec<HeaderName>,
}

/// A body broke off.
pub enum UploadError {
    /// The client's side: it ended early, or had trailers that it may not have.
    Client,
    /// The app's side: it takes no more.
    App,
}

impl Upload {
    /// A body that follows a head by `framing`. `asks`: whether the client waits for leave;
    /// `linger`: whether it can't be told to stop, as over HTTP/1; `set`: what we say in front.
    pub fn new(
        incoming: Incoming,
        framing: Framing,
        asks: bool,
        linger: bool,
        set: &[(HeaderName, HeaderValue)],
    ) -> Self {
        let may_trail = framing == Framing::Chunked;
        let ours = set.iter().filter(|_| may_trail);
        Self {
            incoming: Some(incoming),
            framing,
            waiting: VecDeque::new(),
            size: 0,
            patience: asks.then(|| Box::pin(sleep(LEAVE))),
            linger,
            ours: ours.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The app lets the client send.
    pub fn may_go(&mut self, cx: &Context<'_>) {
        if self.patience.take().is_some() {
            // It was polled before, when it could not go.
            cx.waker().wake_by_ref();
        }
    }

    /// Sends what there is. Ready once all of it was sent.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        write: &mut OwnedWriteHalf,
    ) -> Poll<Result<(), UploadError>> {
        if let Some(patience) = &mut self.patience {
            ready!(patience.as_mut().poll(cx));
            self.patience = None;
        }
        loop {
            while self.size < MOST_BYTES
                && self.waiting.len() < MOST_PIECES
                && let Some(incoming) = &mut self.incoming
            {
                match Pin::new(incoming).poll_frame(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => self.load(data)?,
                        Err(frame) => self.end(frame.trailers_ref())?,
                    },
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(UploadError::Client)),
                    Poll::Ready(None) => self.end(None)?,
                }
            }
            if self.waiting.is_empty() {
                return if self.incoming.is_none() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            ready!(self.poll_write(cx, write)).map_err(|_| UploadError::App)?;
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        write: &mut OwnedWriteHalf,
    ) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let slices: Vec<_> = self
                .waiting
                .iter()
                .map(|piece| IoSlice::new(piece))
                .collect();
            let mut written = ready!(Pin::new(&mut *write).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.size -= written;
            while let Some(piece) = self.waiting.front_mut() {
                let step = written.min(piece.len());
                piece.advance(step);
                if !piece.is_empty() {
                    break;
                }
                written -= step;
                self.waiting.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, piece: impl Into<Bytes>) {
        let piece = piece.into();
        // An empty one would look like a connection that takes nothing.
        if !piece.is_empty() {
            self.size += piece.len();
            self.waiting.push_back(piece);
        }
    }

    /// The next piece of the body, framed.
    fn load(&mut self, data: Bytes) -> Result<(), UploadError> {
        match &mut self.framing {
            Framing::Empty => {
                return if data.is_empty() {
                    Ok(())
                } else {
                    Err(UploadError::Client)
                };
            }
            Framing::Length(left) => {
                let length = data.len() as u64;
                *left = left.checked_sub(length).ok_or(UploadError::Client)?;
                self.push(data);
            }
            // An empty chunk would be the last.
            Framing::Chunked if data.is_empty() => {}
            Framing::Chunked => {
                self.push(format!("{:x}\r\n", data.len()));
                self.push(data);
                self.push(&b"\r\n"[..]);
            }
        }
        Ok(())
    }

    /// The end of the body.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), UploadError> {
        self.incoming = None;
        let none = HeaderMap::new();
        let trailers = trailers.unwrap_or(&none);
        let is_ours = |name: &HeaderName| {
            let mut ours = self.ours.iter();
            ours.any(|ours| same_dashed(ours.as_str(), name.as_str()))
        };
        if !trailers
            .keys()
            .all(|name| allowed_trailer(name.as_str()) && !is_ours(name))
        {
            return Err(UploadError::Client);
        }
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(UploadError::Client),
            // A body without chunks has no place for trailers (RFC 9110 6.5.1).
            Framing::Empty | Framing::Length(_) => {}
            Framing::Chunked => {
                let mut end = b"0\r\n".to_vec();
                for (name, value) in trailers {
                    // A vector takes any text.
                    let _ = write!(end, "{name}: ");
                    end.extend_from_slice(value.as_bytes());
                    end.extend_from_slice(b"\r\n");
                }
                end.extend_from_slice(b"\r\n");
                self.push(end);
            }
        }
        Ok(())
    }

    /// Sends the rest, of which the answer did not wait for the end.
    pub async fn finish(mut self: Box<Self>, mut write: OwnedWriteHalf) {
        // Either side may break it off: then there is nobody left to tell.
        let _ = std::future::poll_fn(|cx| self.poll(cx, &mut write)).await;
    }
}

impl Drop for Upload {
    /// An app may answer and want no more of the body. Were the connection closed with bytes
    /// unread, the client would be reset before it could read the answer (RFC 9112 9.6).
    fn drop(&mut self) {
        let rest = self
            .incoming
            .take()
            .filter(|rest| self.linger && !rest.is_end_stream());
        let Some(mut rest) = rest else { return };
        tokio::task::spawn_local(async move {
            let all = async { while let Some(Ok(_)) = rest.frame().await {} };
            // Who sends for longer has had time to read the answer.
            let _ = timeout(LINGER, all).await;
        });
    }
}
