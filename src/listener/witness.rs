//! Sees a request head as it came, because hyper hides what we must refuse: a
//! `Content-Length` beside `Transfer-Encoding` is gone before a service is asked (RFC 9112
//! 6.1 calls such a request an attempt at smuggling).

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest head kept; hyper refuses longer ones.
const LONGEST: usize = super::HEAD_BYTES;

/// The bytes of the present request's head: those read since something was last written.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    head: Vec<u8>,
    whole: bool,
    answered: bool,
}

impl Witness {
    /// Puts the `Content-Length` back that hyper took out, so that the head can be judged.
    pub fn restore(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(header::TRANSFER_ENCODING) {
            return;
        }
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = seen.head.split(|byte| *byte == b'\n');
        let name = header::CONTENT_LENGTH.as_str().as_bytes();
        let mut is_length = |line: &[u8]| {
            let field = line.split(|byte| *byte == b':').next();
            field.is_some_and(|field| field.trim_ascii().eq_ignore_ascii_case(name))
        };
        if lines.any(&mut is_length) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }

    fn read(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.answered {
            *seen = Seen::default();
        }
        if seen.whole {
            return;
        }
        let room = LONGEST.saturating_sub(seen.head.len()).min(bytes.len());
        // The end may lie across two reads.
        let from = seen.head.len().saturating_sub(3);
        seen.head.extend_from_slice(&bytes[..room]);
        let end = seen.head[from..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            seen.head.truncate(from + end + 2);
            seen.whole = true;
        }
    }

    fn wrote(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answered = true;
    }
}

/// A connection whose reads a [`Witness`] sees.
pub struct Witnessed<S> {
    stream: S,
    witness: Witness,
}

impl<S> Witnessed<S> {
    /// Watches `stream`.
    pub fn new(stream: S) -> (Self, Witness) {
        let witness = Witness::default();
        let watched = Self {
            stream,
            witness: witness.clone(),
        };
        (watched, witness)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Witnessed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.witness.read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Witnessed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.witness.wrote();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.witness.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the witness of these reads calls a chunked request ambiguous.
    fn ambiguous(reads: &[&str]) -> bool {
        let witness = Witness::default();
        for read in reads {
            witness.read(read.as_bytes());
        }
        let mut headers = HeaderMap::new();
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
        witness.restore(&mut headers);
        headers.contains_key(header::CONTENT_LENGTH)
    }

    #[test]
    fn a_length_beside_chunked_is_seen_wherever_it_stands() {
        for (reads, expected) in [
            (
                &["POST / HTTP/1.1\r\nContent-LENGTH: 6\r\nTransfer-Encoding: chunked\r\n\r\n"][..],
                true,
            ),
            (
                &[
                    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConte",
                    "nt-Length: 6\r\n\r",
                    "\n0",
                ],
                true,
            ),
            (
                &["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 6\r\n"],
                false,
            ),
            (
                &[
                    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r",
                    "\n",
                    "Content-Length: 6\r\n",
                ],
                false,
            ),
        ] {
            assert_eq!(ambiguous(reads), expected, "{reads:?}");
        }
    }

    #[test]
    fn each_answer_begins_a_new_head() {
        let witness = Witness::default();
        witness.read(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        witness.wrote();
        witness.read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut headers = HeaderMap::new();
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
        witness.restore(&mut headers);
        assert!(!headers.contains_key(header::CONTENT_LENGTH));
    }
}
