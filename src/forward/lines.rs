//! The lines of what an app answers, read strictly (RFC 9112 2.2, 4 and 5). Pure: no I/O.
//!
//! Imports `http` and what this room knows of fields. Promise: a line ends where every reader ends
//! it, and a field has one name, or it is none.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{AnswerError, fields};

/// What ends a line.
pub const LINE_END: &[u8] = b"\r\n";
/// What ends a head or trailers: an empty line.
const END: &[u8] = b"\r\n\r\n";
/// Up to how many bytes of a head are remembered.
const MOST_KNOWN: usize = 8 * 1024;

/// How many bytes of `read` an empty line ends, if there is one. The first `seen` of them were
/// searched before, so that what comes byte by byte is searched once.
pub fn end(read: &[u8], seen: usize) -> Option<usize> {
    // It may have come in two pieces.
    let from = seen.saturating_sub(END.len() - 1);
    memchr::memmem::find(&read[from..], END).map(|end| from + end + END.len())
}

/// The first line with its end, if all of it is there.
pub fn first(read: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'\n', read).map(|end| &read[..=end])
}

/// A line without its end.
fn text(line: &[u8]) -> Result<&[u8], AnswerError> {
    line.strip_suffix(LINE_END).ok_or(AnswerError::NotHttp)
}

/// The first line of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub status: StatusCode,
    /// Whether it is of HTTP/1.0.
    pub old: bool,
}

impl Start {
    fn read(line: &[u8]) -> Result<Self, AnswerError> {
        let text = text(line)?;
        let (version, rest) = text.split_at_checked(9).ok_or(AnswerError::NotHttp)?;
        let (code, reason) = rest.split_at_checked(3).ok_or(AnswerError::NotHttp)?;
        let old = match version {
            b"HTTP/1.1 " => false,
            b"HTTP/1.0 " => true,
            _ => return Err(AnswerError::NotHttp),
        };
        // Nobody is told the reason, but it may not hide a line's end. Some leave out its blank.
        let plain = reason.is_empty() || reason.starts_with(b" ");
        if !plain || HeaderValue::from_bytes(reason).is_err() {
            return Err(AnswerError::NotHttp);
        }
        let status = StatusCode::from_bytes(code).map_err(|_| AnswerError::NotHttp)?;
        Ok(Self { status, old })
    }
}

/// A field.
#[derive(Debug)]
pub struct Field {
    pub name: HeaderName,
    pub value: HeaderValue,
    /// Whether it concerns one connection alone, whatever `Connection` says.
    pub hop_by_hop: bool,
}

impl Field {
    /// Reads a line; which characters may stand in it is `http`'s to say.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`], also for one that continues another (RFC 9112 5.2): it would
    /// begin with a blank, and no name does.
    pub fn read(line: &[u8]) -> Result<Self, AnswerError> {
        let text = text(line)?;
        let colon = memchr::memchr(b':', text).ok_or(AnswerError::NotHttp)?;
        let name = HeaderName::from_bytes(&text[..colon]).map_err(|_| AnswerError::NotHttp)?;
        // With bytes of its own, so that it doesn't hold on to all that was read with it.
        let value = Bytes::copy_from_slice(trim(&text[colon + 1..]));
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| AnswerError::NotHttp)?;
        let hop_by_hop = fields::is_hop_by_hop(name.as_str());
        Ok(Self {
            name,
            value,
            hop_by_hop,
        })
    }
}

/// What is between the blanks around a value (RFC 9110 5.5): spaces and tabs, nothing else.
fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let begin = value.iter().position(is_text).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(is_text)
        .map_or(begin, |last| last + 1);
    &value[begin..end]
}

/// The lines of a connection's last answer. Most answers of an app have most lines in common, and
/// what stands in its place again need not be read again.
#[derive(Default)]
pub struct Known {
    start: Option<Line<Start>>,
    fields: Vec<Line<Field>>,
}

/// What was read of a line.
struct Line<T> {
    text: Box<[u8]>,
    read: T,
}

impl<T> Line<T> {
    fn new(text: &[u8], read: T) -> Self {
        let text = text.into();
        Self { text, read }
    }

    /// What it says, and how many bytes it takes.
    fn said(&self) -> (&T, usize) {
        (&self.read, self.text.len())
    }
}

impl Known {
    /// The first line of an answer and how many bytes it takes; `None` if not all of it is there.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`].
    pub fn start(&mut self, read: &[u8]) -> Result<Option<(&Start, usize)>, AnswerError> {
        let known = self.start.as_ref();
        if !known.is_some_and(|known| read.starts_with(&known.text)) {
            let Some(line) = first(read) else {
                return Ok(None);
            };
            self.start = Some(Line::new(line, Start::read(line)?));
        }
        Ok(self.start.as_ref().map(Line::said))
    }

    /// The same of the field that has `place` others before it.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`].
    pub fn field(
        &mut self,
        place: usize,
        read: &[u8],
    ) -> Result<Option<(&Field, usize)>, AnswerError> {
        let known = self.fields.get(place);
        if !known.is_some_and(|known| read.starts_with(&known.text)) {
            let Some(line) = first(read) else {
                return Ok(None);
            };
            let new = Line::new(line, Field::read(line)?);
            match self.fields.get_mut(place) {
                Some(known) => *known = new,
                None => self.fields.push(new),
            }
        }
        Ok(self.fields.get(place).map(Line::said))
    }

    /// How many fields the last answer had.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// A head is read whole that had so many fields and bytes: little is remembered, whatever an
    /// app says.
    pub fn settle(&mut self, fields: usize, bytes: usize) {
        if bytes > MOST_KNOWN {
            *self = Self::default();
        } else {
            self.fields.truncate(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_first_line_is_of_http_1_and_has_a_status() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some((200, false))),
            ("HTTP/1.1 200\r\n", Some((200, false))),
            ("HTTP/1.1 404 \r\n", Some((404, false))),
            ("HTTP/1.0 304 Not \u{e9}\tModified\r\n", Some((304, true))),
            ("HTTP/1.1 200 OK\n", None),
            ("HTTP/1.1 200 O\rK\r\n", None),
            ("HTTP/1.1 200 OK\r\r\n", None),
            ("HTTP/1.1  200 OK\r\n", None),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 200OK\r\n", None),
            ("HTTP/1.1 099 OK\r\n", None),
            ("HTTP/1.1 20\r\n", None),
            ("HTTP/1.1\r\n", None),
            ("HTTP/2.0 200 OK\r\n", None),
            ("http/1.1 200 OK\r\n", None),
            (" HTTP/1.1 200 OK\r\n", None),
            ("\r\n", None),
        ] {
            let found = Start::read(line.as_bytes()).ok();
            let found = found.map(|start| (start.status.as_u16(), start.old));
            assert_eq!(found, expected, "{line:?}");
        }
    }

    #[test]
    fn a_field_has_a_name_and_a_value_and_nothing_hidden() {
        for (line, expected) in [
            ("Server: x\r\n", Some(("server", "x"))),
            ("server:x y\r\n", Some(("server", "x y"))),
            ("a: \t x \t\r\n", Some(("a", "x"))),
            ("a:\r\n", Some(("a", ""))),
            ("a: :b\r\n", Some(("a", ":b"))),
            ("a : x\r\n", None),
            (" a: x\r\n", None),
            ("\ta: x\r\n", None),
            (": x\r\n", None),
            ("a\r\n", None),
            ("a: x\n", None),
            ("a: x\r\r\n", None),
            ("a:\rx\r\n", None),
            ("a: x\0\r\n", None),
            ("a: \u{c}\r\n", None),
            ("a: \u{b}x\r\n", None),
            ("\u{e9}: x\r\n", None),
        ] {
            let found = Field::read(line.as_bytes()).ok();
            let found = found.as_ref();
            let found = found.map(|read| (read.name.as_str(), read.value.to_str().unwrap()));
            assert_eq!(found, expected, "{line:?}");
        }
    }

    proptest! {
        /// Whatever is read here, the library that reads our requests reads in the same way.
        #[test]
        fn nothing_is_read_as_others_would_not_read_it(line in "[a-c:\\- \t\r\n\0\u{e9}]{0,12}") {
            let line = line + "\r\n";
            if let Ok(field) = Field::read(line.as_bytes()) {
                let whole = line.clone() + "\r\n";
                let mut fields = [httparse::EMPTY_HEADER; 8];
                let read = httparse::parse_headers(whole.as_bytes(), &mut fields).unwrap();
                let httparse::Status::Complete((end, [only])) = read else {
                    panic!("{line:?} is {read:?} to others");
                };
                prop_assert_eq!(end, whole.len());
                prop_assert!(field.name.as_str().eq_ignore_ascii_case(only.name));
                prop_assert_eq!(field.value.as_bytes(), only.value);
            }
        }
    }
}
