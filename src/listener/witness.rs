//! Sees request heads as they came, because hyper hides what we must refuse: a `Content-Length`
//! beside `Transfer-Encoding` is gone before a service is asked (RFC 9112 6.1 calls such a
//! request an attempt at smuggling).
//!
//! It follows the framing of a connection (RFC 9112 6 and 7.1) and keeps one bit for each head.
//! What it can't follow it vouches for no longer: then chunked requests count as ambiguous.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, ReadBuf};

use super::{bounds::Place, through::write_through};

/// Longest line followed; hyper refuses longer heads.
const LONGEST_LINE: usize = super::HEAD_BYTES;
/// Most requests read ahead of their answers; hyper answers one after the other.
const MOST_AHEAD: usize = 1024;

/// What was seen of a connection.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    part: Part,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// For each head that was not asked for yet, whether it held both lengths.
    heads: VecDeque<bool>,
}

/// Which part of a request comes next.
enum Part {
    /// Lines of a head, and what they said so far.
    Head {
        begun: bool,
        length: Option<u64>,
        chunked: bool,
    },
    /// Bytes of a body.
    Body(u64),
    /// The line with a chunk's size.
    Size,
    /// Bytes of a chunk, with the end of its line.
    Chunk(u64),
    /// Lines of trailers.
    Trailers,
    /// Nothing we can follow: a tunnel, or what hyper refuses as well.
    Lost,
}

impl Default for Part {
    fn default() -> Self {
        Self::Head {
            begun: false,
            length: None,
            chunked: false,
        }
    }
}

impl Witness {
    /// Puts the `Content-Length` back that hyper took out, so that the head can be judged. To be
    /// called once for each request, in their order.
    pub fn restore(&self, headers: &mut HeaderMap) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ambiguous = seen.heads.pop_front().unwrap_or(true);
        if headers.contains_key(header::UPGRADE) {
            // What follows may be no HTTP any more.
            *seen = Seen {
                part: Part::Lost,
                ..Seen::default()
            };
        }
        if ambiguous && headers.contains_key(header::TRANSFER_ENCODING) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }

    fn read(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.read(bytes);
    }
}

/// Whether a line of a head that begins so may be one of the two that matter, or belong to it.
fn may_decide(first: u8) -> bool {
    matches!(first, b'c' | b'C' | b't' | b'T' | b' ' | b'\t')
}

/// Whether this is one whole head that says nothing of a body, as nearly all that is read is.
fn is_plain(head: &[u8]) -> bool {
    let Some(lines) = head.strip_suffix(b"\r\n\r\n") else {
        return false;
    };
    let decides = |line: &[u8]| match line {
        // Nor is it the end of the head.
        [first, ..] if !may_decide(*first) => matches!(first, b'\r' | b'\n'),
        // No cookie decides anything, though it begins as what does.
        [_, rest @ ..] => !rest.starts_with(b"ookie:"),
        [] => true,
    };
    !decides(lines) && !memchr::memchr_iter(b'\n', lines).any(|end| decides(&lines[end + 1..]))
}

impl Seen {
    fn read(&mut self, mut bytes: &[u8]) {
        if matches!(self.part, Part::Head { begun: false, .. })
            && self.line.is_empty()
            && self.heads.len() < MOST_AHEAD
            && is_plain(bytes)
        {
            self.heads.push_back(false);
            return;
        }
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Lost => return,
                Part::Body(left) | Part::Chunk(left) => {
                    let taken = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    bytes = &bytes[taken..];
                    match self.part {
                        Part::Body(0) => self.part = Part::default(),
                        Part::Chunk(0) => self.part = Part::Size,
                        _ => {}
                    }
                }
                Part::Head { .. } | Part::Size | Part::Trailers => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (now, later) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                    bytes = later;
                    if end.is_some() && self.line.is_empty() {
                        // Nearly always a line comes whole.
                        self.part = self.follow(now.trim_ascii_end());
                        continue;
                    }
                    self.line.extend_from_slice(now);
                    if end.is_some() {
                        let line = std::mem::take(&mut self.line);
                        self.part = self.follow(line.trim_ascii_end());
                    } else if self.line.len() > LONGEST_LINE {
                        self.part = Part::Lost;
                    }
                }
            }
        }
    }

    /// Takes in a whole line, and says what comes next.
    fn follow(&mut self, line: &[u8]) -> Part {
        match self.part {
            Part::Head {
                begun,
                length,
                chunked,
            } if line.is_empty() => {
                if !begun {
                    // Empty lines before a head are skipped (RFC 9112 2.2).
                    return Part::default();
                }
                self.heads.push_back(length.is_some() && chunked);
                match length {
                    _ if self.heads.len() > MOST_AHEAD => Part::Lost,
                    _ if chunked => Part::Size,
                    None | Some(0) => Part::default(),
                    Some(length) => Part::Body(length),
                }
            }
            // No other name begins like the two that matter.
            Part::Head {
                length, chunked, ..
            } if !may_decide(line[0]) => Part::Head {
                begun: true,
                length,
                chunked,
            },
            Part::Head {
                length, chunked, ..
            } => {
                let mut halves = line.splitn(2, |byte| *byte == b':');
                let name = halves.next().unwrap_or_default().trim_ascii();
                let value = halves.next().unwrap_or_default().trim_ascii();
                let is = |known: &header::HeaderName| {
                    name.eq_ignore_ascii_case(known.as_str().as_bytes())
                };
                let number = || {
                    str::from_utf8(value)
                        .ok()
                        .and_then(|value| value.parse().ok())
                };
                Part::Head {
                    begun: true,
                    // One that is no number is refused by hyper, whatever we make of it.
                    length: if is(&header::CONTENT_LENGTH) {
                        Some(number().unwrap_or(0))
                    } else {
                        length
                    },
                    chunked: chunked || is(&header::TRANSFER_ENCODING),
                }
            }
            Part::Size => {
                let digits = line
                    .split(|byte| *byte == b';')
                    .next()
                    .unwrap_or_default()
                    .trim_ascii();
                let digits = str::from_utf8(digits).unwrap_or_default();
                match u64::from_str_radix(digits, 16) {
                    Ok(0) => Part::Trailers,
                    Ok(size) => Part::Chunk(size.saturating_add(2)),
                    Err(_) => Part::Lost,
                }
            }
            Part::Trailers if line.is_empty() => Part::default(),
            Part::Trailers => Part::Trailers,
            Part::Body(_) | Part::Chunk(_) | Part::Lost => Part::Lost,
        }
    }
}

/// A connection whose reads a [`Witness`] sees.
pub struct Witnessed<S> {
    stream: S,
    witness: Witness,
    /// Given back with the stream.
    _place: Place,
}

impl<S> Witnessed<S> {
    /// Watches `stream`, which has this place.
    pub fn new(stream: S, place: Place) -> (Self, Witness) {
        let witness = Witness::default();
        let watched = Self {
            stream,
            witness: witness.clone(),
            _place: place,
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

write_through!(Witnessed);

#[cfg(test)]
mod tests;
