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
/// Largest head in bytes that is remembered; of a larger one, nothing is.
const MOST_KNOWN: usize = 8 * 1024;

/// How many of `bytes` an empty line ends, if there is one. The first `seen` of them were
/// searched before, so that what comes byte by byte is searched once.
pub fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    // It may have come in two pieces.
    let from = seen.saturating_sub(END.len() - 1);
    memchr::memmem::find(&bytes[from..], END).map(|end| from + end + END.len())
}

/// The first line with its end, if all of it is there.
pub fn first(bytes: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'\n', bytes).map(|end| &bytes[..=end])
}

/// A line without its end.
///
/// # Errors
/// [`AnswerError::NotHttp`] if it has none, or another.
pub fn without_end(line: &[u8]) -> Result<&[u8], AnswerError> {
    line.strip_suffix(LINE_END).ok_or(AnswerError::NotHttp)
}

/// The first line of an answer (RFC 9112 4).
#[derive(Clone, Copy, Debug)]
pub struct StatusLine {
    pub status: StatusCode,
    /// Whether it is of HTTP/1.0.
    pub http10: bool,
}

impl StatusLine {
    fn parse(line: &[u8]) -> Result<Self, AnswerError> {
        let text = without_end(line)?;
        let (version, rest) = text.split_at_checked(9).ok_or(AnswerError::NotHttp)?;
        let (code, reason) = rest.split_at_checked(3).ok_or(AnswerError::NotHttp)?;
        let http10 = match version {
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
        Ok(Self { status, http10 })
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
    /// Parses a line; which characters may stand in it is `http`'s to say.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`], also for one that continues another (RFC 9112 5.2): it would
    /// begin with a blank, and no name does.
    pub fn parse(line: &[u8]) -> Result<Self, AnswerError> {
        let text = without_end(line)?;
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

/// A line as it came, its end included, and what it says.
struct Line<T> {
    bytes: Box<[u8]>,
    says: T,
}

/// What the line that `bytes` begin with says, and how many of them it takes: as is known of it, or
/// parsed and known from now on. `None` if not all of it is there.
fn recall<'a, T>(
    known: &'a mut Option<Line<T>>,
    bytes: &[u8],
    parse: fn(&[u8]) -> Result<T, AnswerError>,
) -> Result<Option<(&'a T, usize)>, AnswerError> {
    let same = |known: &Line<T>| bytes.starts_with(&known.bytes);
    if !known.as_ref().is_some_and(same) {
        let Some(line) = first(bytes) else {
            return Ok(None);
        };
        *known = Some(Line {
            bytes: line.into(),
            says: parse(line)?,
        });
    }
    Ok(known.as_ref().map(|line| (&line.says, line.bytes.len())))
}

/// The lines of a connection's last answer. Most answers of an app have most lines in common, and
/// what stands in its place again need not be parsed again.
#[derive(Default)]
pub struct Known {
    status: Option<Line<StatusLine>>,
    fields: Vec<Option<Line<Field>>>,
}

impl Known {
    /// The status line that `bytes` begin with, and how many of them it takes; `None` if not all of
    /// it is there.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`].
    pub fn status(&mut self, bytes: &[u8]) -> Result<Option<(&StatusLine, usize)>, AnswerError> {
        recall(&mut self.status, bytes, StatusLine::parse)
    }

    /// The same of the field that has `place` others before it.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`].
    pub fn field(
        &mut self,
        place: usize,
        bytes: &[u8],
    ) -> Result<Option<(&Field, usize)>, AnswerError> {
        if place >= self.fields.len() {
            self.fields.resize_with(place + 1, || None);
        }
        recall(&mut self.fields[place], bytes, Field::parse)
    }

    /// How many fields are remembered: about as many as will come.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Ends a head of so many fields and bytes that was read whole: what stood behind it in the last
    /// one is forgotten, and all of a large one.
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
            let found = StatusLine::parse(line.as_bytes()).ok();
            let found = found.map(|line| (line.status.as_u16(), line.http10));
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
            ("a: \u{e9}\r\n", Some(("a", "\u{e9}"))),
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
            let found = Field::parse(line.as_bytes()).ok();
            let found = found.as_ref();
            let found = found.map(|field| (field.name.as_str(), field.value.as_bytes()));
            let expected = expected.map(|(name, value)| (name, value.as_bytes()));
            assert_eq!(found, expected, "{line:?}");
        }
    }

    #[test]
    fn little_is_remembered_whatever_an_app_says() {
        for (bytes, fields, left) in [
            (MOST_KNOWN, 2, 2),
            (MOST_KNOWN, 1, 1),
            (MOST_KNOWN + 1, 2, 0),
        ] {
            let mut known = Known::default();
            for place in 0..2 {
                known.field(place, b"a: 1\r\n").unwrap();
            }
            known.settle(fields, bytes);
            assert_eq!(known.len(), left, "{bytes} {fields}");
        }
    }

    // Whatever is parsed here, others parse in the same way.
    proptest! {
        #[test]
        fn a_field_is_the_same_to_others(line in "[a-c\\- \t]{0,3}:[a-c:\\- \t\r\n\0\u{e9}]{0,6}") {
            let line = line + "\r\n";
            if let Ok(field) = Field::parse(line.as_bytes()) {
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

        #[test]
        fn a_status_line_is_the_same_to_others(
            line in "HTTP/1[.][0-2] {1,2}[0-9]{2,4}[ a\t\r\n\0\u{e9}]{0,4}",
        ) {
            let line = line + "\r\n";
            if let Ok(found) = StatusLine::parse(line.as_bytes()) {
                let whole = line.clone() + "\r\n";
                let mut fields = [httparse::EMPTY_HEADER; 8];
                let mut others = httparse::Response::new(&mut fields);
                let end = others.parse(whole.as_bytes()).unwrap();
                prop_assert_eq!(end, httparse::Status::Complete(whole.len()));
                prop_assert_eq!(others.code, Some(found.status.as_u16()));
                prop_assert_eq!(others.version, Some(u8::from(!found.http10)));
            }
        }
    }
}
