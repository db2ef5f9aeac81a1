//! The head of an upstream's answer, read strictly (RFC 9112 4 and 6.3). Pure: no I/O.
//!
//! Imports `http`, `httparse` and what this room knows of fields. Promise: an answer has one length
//! that every reader agrees on, or it is none; what it says of its connection ends here.

use std::mem::MaybeUninit;

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header, response::Parts,
};
use httparse::{ParserConfig, Status};

use super::{AnswerError, fields};

/// Most fields in an answer's head.
const MOST_FIELDS: usize = 100;
/// Most bytes in one.
pub const MOST_BYTES: usize = 256 * 1024;
/// The end of a head.
const END: &[u8] = b"\r\n\r\n";
/// How many fields are remembered of an answer, of up to how many bytes each.
const MOST_KNOWN: usize = 32;
const LONGEST_KNOWN: usize = 512;

/// How the end of an answer's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// By its length in bytes.
    Exact(u64),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Status and end-to-end fields; no length where a coding framed the body.
    pub parts: Parts,
    /// How the body follows.
    pub length: Length,
    /// Whether the connection may serve another request after the body.
    pub keep: bool,
}

/// The fields of a connection's last answer, in order. Most answers of an app say the same in most of
/// theirs, and what stands in its place again need not be checked and made again.
#[derive(Default)]
pub struct Known(Vec<(HeaderName, HeaderValue)>);

impl Known {
    /// The field that is read next; `place` is how many before it are remembered.
    fn field(
        &mut self,
        place: &mut usize,
        read: &httparse::Header<'_>,
    ) -> Result<(HeaderName, HeaderValue), AnswerError> {
        if read.value.len() > LONGEST_KNOWN || *place == MOST_KNOWN {
            return field(read);
        }
        let here = *place;
        *place += 1;
        let known = self.0.get_mut(here);
        if let Some((name, value)) = &known
            && value.as_bytes() == read.value
            && name.as_str().eq_ignore_ascii_case(read.name)
        {
            return Ok((name.clone(), value.clone()));
        }
        let new = field(read)?;
        match known {
            Some(known) => known.clone_from(&new),
            None => self.0.push(new.clone()),
        }
        Ok(new)
    }
}

/// How many bytes the head takes that `read` begins with, if all of it is there. `seen` is how many
/// were searched before, so that one that comes byte by byte is searched once.
///
/// # Errors
/// [`AnswerError::TooLarge`].
pub fn end(read: &[u8], seen: &mut usize) -> Result<Option<usize>, AnswerError> {
    // It may have come in two pieces.
    let from = seen.saturating_sub(END.len() - 1);
    match memchr::memmem::find(&read[from..], END) {
        Some(end) => {
            *seen = 0;
            Ok(Some(from + end + END.len()))
        }
        None if read.len() > MOST_BYTES => Err(AnswerError::TooLarge),
        None => {
            *seen = read.len();
            Ok(None)
        }
    }
}

/// Reads a whole head. `bodiless`: whether the request was one for a head alone. `known` is of the
/// answer before it on this connection.
///
/// # Errors
/// [`AnswerError::NotHttp`].
pub fn parse(bytes: &[u8], bodiless: bool, known: &mut Known) -> Result<Head, AnswerError> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let read =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields);
    if read != Ok(Status::Complete(bytes.len())) {
        return Err(AnswerError::NotHttp);
    }
    let code = parsed.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| AnswerError::NotHttp)?;
    let mut parts = Response::new(()).into_parts().0;
    parts.status = status;
    // Every step has its own version (RFC 9110 2.5).
    parts.version = Version::HTTP_11;
    let (headers, said) = end_to_end(parsed.headers, known)?;
    parts.headers = headers;
    let old = parsed.version != Some(1);
    let none = bodiless
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let (length, certain) = length(&parts.headers, &said, none)?;
    if length == Length::Chunked && old {
        return Err(AnswerError::NotHttp);
    }
    let keep = certain && !old && length != Length::UntilClose && !said.close;
    if !said.codings.is_empty() {
        // Not the length of what was read (RFC 9112 6.3), so not of what we send.
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    Ok(Head {
        parts,
        length,
        keep,
    })
}

/// What a head says of its connection alone.
#[derive(Default)]
struct Said<'a> {
    /// The lines of `Transfer-Encoding`.
    codings: Vec<&'a [u8]>,
    /// Whether there is no other answer behind this one.
    close: bool,
}

/// The fields that don't end with the connection (RFC 9110 7.6.1), and what those said that do.
fn end_to_end<'a>(
    fields: &[httparse::Header<'a>],
    known: &mut Known,
) -> Result<(HeaderMap, Said<'a>), AnswerError> {
    let mut said = Said::default();
    let mut named = Vec::new();
    // With room for what is added on the way.
    let mut map = HeaderMap::with_capacity(fields.len() + 4);
    let mut place = 0;
    for field in fields {
        let (name, value) = known.field(&mut place, field)?;
        if name == header::CONNECTION {
            for token in fields::tokens_of(field.value) {
                said.close |= token.eq_ignore_ascii_case(b"close");
                if fields::names_field(token) {
                    named.extend(HeaderName::from_bytes(token));
                }
            }
        } else if name == header::TRANSFER_ENCODING {
            said.codings.push(field.value);
        } else if !fields::is_hop_by_hop(name.as_str()) {
            map.append(name, value);
        }
    }
    for name in named {
        // Framing is not the sender's to take away (RFC 9110 7.6.1, "MUST NOT").
        if name != header::CONTENT_LENGTH {
            map.remove(name);
        }
    }
    Ok((map, said))
}

/// The fields of trailers.
///
/// # Errors
/// [`AnswerError::NotHttp`].
pub fn trailers(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, AnswerError> {
    fields.iter().map(field).collect()
}

/// A field with bytes of its own, so that it doesn't hold on to all that was read with it.
fn field(read: &httparse::Header<'_>) -> Result<(HeaderName, HeaderValue), AnswerError> {
    let name = HeaderName::from_bytes(read.name.as_bytes());
    let value = HeaderValue::from_bytes(read.value);
    name.ok().zip(value.ok()).ok_or(AnswerError::NotHttp)
}

/// How the body follows, and whether that was said in one way only.
fn length(headers: &HeaderMap, said: &Said<'_>, none: bool) -> Result<(Length, bool), AnswerError> {
    if none {
        return Ok((Length::Exact(0), said.codings.is_empty()));
    }
    match &said.codings[..] {
        [] => {}
        [only] if only.eq_ignore_ascii_case(b"chunked") => {
            let certain = !headers.contains_key(header::CONTENT_LENGTH);
            return Ok((Length::Chunked, certain));
        }
        // Any other coding would have to be undone here, and none is ever asked for.
        _ => return Err(AnswerError::NotHttp),
    }
    match fields::content_length(headers) {
        Ok(Some(length)) => Ok((Length::Exact(length), true)),
        Ok(None) => Ok((Length::UntilClose, true)),
        Err(fields::Uncertain) => Err(AnswerError::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8], bodiless: bool) -> Result<Head, AnswerError> {
        match end(text, &mut 0)? {
            Some(end) => parse(&text[..end], bodiless, &mut Known::default()),
            None => Err(AnswerError::Ended),
        }
    }

    #[test]
    fn an_answer_has_one_length_or_is_none() {
        use Length::{Chunked, Exact, UntilClose};
        for (head, expected) in [
            ("200 OK\r\nContent-Length: 3", Some((Exact(3), true))),
            (
                "200\r\ncontent-length: 3\r\ncontent-length: 3",
                Some((Exact(3), true)),
            ),
            (
                "200 OK\r\ncontent-length: 3\r\nConnection: x, Close",
                Some((Exact(3), false)),
            ),
            (
                "200 OK\r\ntransfer-encoding: Chunked",
                Some((Chunked, true)),
            ),
            // RFC 9112 6.3: believed, but never again on this connection.
            (
                "200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3",
                Some((Chunked, false)),
            ),
            ("200 OK\r\nserver: x", Some((UntilClose, false))),
            ("204 No\r\ncontent-length: 3", Some((Exact(0), true))),
            ("304 No\r\ncontent-length: 3", Some((Exact(0), true))),
            (
                "304 No\r\ntransfer-encoding: chunked",
                Some((Exact(0), false)),
            ),
            ("100 Continue\r\nx: y", Some((Exact(0), true))),
            ("200 OK\r\ncontent-length: 3\r\ncontent-length: 4", None),
            ("200 OK\r\ncontent-length: 3, 3", None),
            ("200 OK\r\ncontent-length: +3", None),
            ("200 OK\r\ncontent-length: 18446744073709551616", None),
            ("200 OK\r\ncontent-length:", None),
            ("200 OK\r\ntransfer-encoding: gzip, chunked", None),
            (
                "200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
                None,
            ),
            ("200 OK\r\ntransfer-encoding: identity", None),
            ("200 OK\r\nx : y", None),
            ("200 OK\r\nx: y\r\n z", None),
            ("200 OK\r\nx: a\0b", None),
            ("99 OK", None),
        ] {
            let text = format!("HTTP/1.1 {head}\r\n\r\n");
            let found = read(text.as_bytes(), false)
                .ok()
                .map(|head| (head.length, head.keep));
            assert_eq!(found, expected, "{head:?}");
        }
        let old = read(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n", false).unwrap();
        assert!(!old.keep);
        assert!(
            read(
                b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                false
            )
            .is_err()
        );
        assert!(read(b"HTTP/2.0 200 OK\r\n\r\n", false).is_err());
        let head = read(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", true).unwrap();
        assert_eq!((head.length, head.keep), (Length::Exact(0), true));
    }

    #[test]
    fn what_concerns_the_connection_alone_ends_with_it_and_what_frames_a_message_stays() {
        for (connection, left) in [
            ("close", &["a", "b", "content-length", "server"][..]),
            ("A , b", &["content-length", "server"]),
            ("a\r\nConnection: b", &["content-length", "server"]),
            (
                "content-length, SERVER,, ,a, keep-alive",
                &["b", "content-length"],
            ),
            ("a;q=1", &["b", "content-length", "server"]),
            ("bad name, \"a\"", &["a", "b", "content-length", "server"]),
        ] {
            let text = format!(
                "HTTP/1.1 200 OK\r\nb: 1\r\nserver: x\r\ncontent-length: 3\r\n\
                 connection: {connection}\r\na: 1\r\nA: 2\r\nKeep-Alive: timeout=5\r\n\
                 proxy-connection: keep-alive\r\nproxy-authenticate: Basic\r\n\
                 upgrade: h2c\r\nte: gzip\r\n\r\n"
            );
            let head = read(text.as_bytes(), false).unwrap();
            let mut names: Vec<_> = head.parts.headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, left, "{connection:?}");
            assert_eq!(head.keep, connection != "close");
        }
        let both = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
        for bodiless in [false, true] {
            let head = read(both, bodiless).unwrap();
            // Not what is sent, so not what is said.
            assert!(head.parts.headers.is_empty());
            assert!(!head.keep);
        }
    }

    #[test]
    fn little_is_remembered_whatever_an_app_says() {
        let long = format!("long: {}", "x".repeat(LONGEST_KNOWN + 1));
        let fields = |first: &str| format!("{first}\r\n{}", "a: 1\r\n".repeat(MOST_FIELDS - 1));
        let mut known = Known::default();
        for first in [&long[..], "a: 1", &long] {
            let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", fields(first));
            let head = parse(text.as_bytes(), false, &mut known).unwrap();
            assert_eq!(head.parts.headers.len(), MOST_FIELDS);
            assert_eq!(known.0.len(), MOST_KNOWN);
            assert!(
                known
                    .0
                    .iter()
                    .all(|(_, value)| value.len() <= LONGEST_KNOWN)
            );
        }
    }

    proptest! {
        #[test]
        fn a_head_is_the_same_however_it_is_cut(cut in 1..60_usize) {
            let text = b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 3\r\n\r\nabc";
            let (mut read, mut seen) = (Vec::new(), 0);
            let mut found = None;
            for piece in text.chunks(cut) {
                read.extend_from_slice(piece);
                if found.is_none() {
                    found = end(&read, &mut seen).unwrap();
                }
            }
            let (head, body) = read.split_at(found.unwrap());
            let head = parse(head, false, &mut Known::default()).unwrap();
            prop_assert_eq!(head.length, Length::Exact(3));
            prop_assert_eq!(body, b"abc");
        }

        #[test]
        fn what_came_before_on_a_connection_changes_nothing(
            heads in proptest::collection::vec(
                proptest::collection::vec(
                    prop::sample::select(&[
                        "a: 1", "A: 1", "a: 2", "b: 1", "a:", "server: x", "Server: X",
                        "content-length: 3", "connection: b", "keep-alive: 1",
                    ][..]),
                    0..5,
                ),
                1..5,
            ),
        ) {
            let mut known = Known::default();
            for lines in heads {
                let fields: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
                let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
                let all = |head: Head| {
                    let fields = head.parts.headers.iter();
                    let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
                    (fields.collect::<Vec<_>>(), head.length, head.keep)
                };
                let again = parse(text.as_bytes(), false, &mut known).map(all);
                let alone = parse(text.as_bytes(), false, &mut Known::default()).map(all);
                prop_assert_eq!(again.ok(), alone.ok());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[b"HTTP/1.1 200 OK\r\n", &text[..], b"\r\n\r\n"].concat(), false);
            let _ = read(&text, true);
        }
    }
}
