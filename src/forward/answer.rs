//! The head of an upstream's answer, read strictly (RFC 9112 4 and 6.3). Pure: no I/O.
//!
//! Imports `http`, `httparse` and what this room knows of fields. Promise: an answer has one length
//! that every reader agrees on, or it is none; what it says of its connection ends here.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
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

/// The bytes of a head, if `buffer` holds a whole one. `seen` is how many bytes were searched
/// before, so that one that comes byte by byte is searched once.
///
/// # Errors
/// [`AnswerError::TooLarge`].
pub fn take(buffer: &mut BytesMut, seen: &mut usize) -> Result<Option<Bytes>, AnswerError> {
    // Its end may have come in two pieces.
    let from = seen.saturating_sub(END.len() - 1);
    match memchr::memmem::find(&buffer[from..], END) {
        Some(end) => {
            *seen = 0;
            Ok(Some(buffer.split_to(from + end + END.len()).freeze()))
        }
        None if buffer.len() > MOST_BYTES => Err(AnswerError::TooLarge),
        None => {
            *seen = buffer.len();
            Ok(None)
        }
    }
}

/// Reads a whole head. `bodiless`: whether the request was one for a head alone.
///
/// # Errors
/// [`AnswerError::NotHttp`].
pub fn parse(bytes: &Bytes, bodiless: bool) -> Result<Head, AnswerError> {
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
    let (headers, said) = end_to_end(bytes, parsed.headers)?;
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
    bytes: &Bytes,
    fields: &[httparse::Header<'a>],
) -> Result<(HeaderMap, Said<'a>), AnswerError> {
    let mut said = Said::default();
    let mut named = Vec::new();
    // With room for what is added on the way.
    let mut map = HeaderMap::with_capacity(fields.len() + 4);
    for field in fields {
        let name = name(field)?;
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
            map.append(name, value(bytes, field)?);
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

/// The fields of trailers, as slices of the `bytes` they were read from.
///
/// # Errors
/// [`AnswerError::NotHttp`].
pub fn trailers(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, AnswerError> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        map.append(name(field)?, value(bytes, field)?);
    }
    Ok(map)
}

fn name(field: &httparse::Header<'_>) -> Result<HeaderName, AnswerError> {
    HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| AnswerError::NotHttp)
}

fn value(bytes: &Bytes, field: &httparse::Header<'_>) -> Result<HeaderValue, AnswerError> {
    let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
    value.map_err(|_| AnswerError::NotHttp)
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
        let (mut buffer, mut seen) = (BytesMut::from(text), 0);
        match take(&mut buffer, &mut seen)? {
            Some(head) => parse(&head, bodiless),
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

    proptest! {
        #[test]
        fn a_head_is_the_same_however_it_is_cut(cut in 1..60_usize) {
            let text = b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 3\r\n\r\nabc";
            let (mut buffer, mut seen) = (BytesMut::new(), 0);
            let mut found = None;
            for piece in text.chunks(cut) {
                buffer.extend_from_slice(piece);
                if found.is_none() {
                    found = take(&mut buffer, &mut seen).unwrap();
                }
            }
            let head = parse(&found.unwrap(), false).unwrap();
            prop_assert_eq!(head.length, Length::Exact(3));
            prop_assert_eq!(&buffer[..], b"abc");
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[b"HTTP/1.1 200 OK\r\n", &text[..], b"\r\n\r\n"].concat(), false);
            let _ = read(&text, true);
        }
    }
}
