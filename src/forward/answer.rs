//! The head of an upstream's answer, read strictly (RFC 9112 4 and 6.3). Pure: no I/O.
//!
//! Imports `http` and what this room knows of lines and fields. Promise: an answer has one length
//! that every reader agrees on, or it is none; what it says of its connection ends here.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header, response::Parts,
};

use crate::text::{self, Uncertain};

use super::{
    AnswerError, fields,
    lines::{self, Known, LINE_END, StatusLine},
};

/// Most fields in an answer's head.
const MOST_FIELDS: usize = 100;
/// Most bytes that are read of a head without its end.
const MOST_BYTES: usize = 256 * 1024;

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

/// Reads the head that `bytes` begin with: the head and how many of them it takes, or nothing if not
/// all of it is there. `seen` is how many were read in vain before; `bodiless`, whether the request
/// was one for a head alone; `known`, the lines of this connection's last answer.
///
/// # Errors
/// [`AnswerError`].
pub fn read(
    bytes: &[u8],
    seen: &mut usize,
    bodiless: bool,
    known: &mut Known,
) -> Result<Option<(Head, usize)>, AnswerError> {
    // Most come whole, and are read at once. Of one that didn't, the end is awaited first, so that
    // what comes byte by byte is read twice and not each time.
    let ready = match *seen {
        0 => !bytes.is_empty(),
        seen => lines::end(bytes, seen).is_some(),
    };
    if ready && let Some(found) = whole(bytes, bodiless, known)? {
        *seen = 0;
        return Ok(Some(found));
    }
    if bytes.len() > MOST_BYTES {
        return Err(AnswerError::TooLarge);
    }
    *seen = bytes.len();
    Ok(None)
}

/// Reads a head line by line; nothing if its end is not there.
fn whole(
    bytes: &[u8],
    bodiless: bool,
    known: &mut Known,
) -> Result<Option<(Head, usize)>, AnswerError> {
    // With room for what is added on the way.
    let room = known.len() + 4;
    let Some((&status, mut at)) = known.status(bytes)? else {
        return Ok(None);
    };
    let (mut headers, mut said) = (HeaderMap::with_capacity(room), Said::default());
    let mut place = 0;
    while !bytes[at..].starts_with(LINE_END) {
        if place == MOST_FIELDS {
            return Err(AnswerError::TooLarge);
        }
        let Some((field, length)) = known.field(place, &bytes[at..])? else {
            return Ok(None);
        };
        if !field.hop_by_hop {
            headers.append(field.name.clone(), field.value.clone());
        } else if field.name == header::CONNECTION {
            said.read_connection(field.value.as_bytes());
        } else if field.name == header::TRANSFER_ENCODING {
            said.codings.push(field.value.clone());
        }
        at += length;
        place += 1;
    }
    at += LINE_END.len();
    known.settle(place, at);
    let head = head(status, bodiless, headers, &said)?;
    Ok(Some((head, at)))
}

/// A head of what was read of it.
fn head(
    StatusLine { status, http10 }: StatusLine,
    bodiless: bool,
    mut headers: HeaderMap,
    said: &Said,
) -> Result<Head, AnswerError> {
    for name in &said.named {
        // Framing is not the sender's to take away (RFC 9110 7.6.1, "MUST NOT").
        if *name != header::CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    // Such an answer never has content, nor a length.
    let never = status.is_informational() || status == StatusCode::NO_CONTENT;
    let none = bodiless || never || status == StatusCode::NOT_MODIFIED;
    let declared = text::content_length(&headers);
    let (length, certain) = length(&declared, said, none)?;
    if length == Length::Chunked && http10 {
        return Err(AnswerError::NotHttp);
    }
    let keep = certain && !http10 && length != Length::UntilClose && !said.close;
    // Beside a coding it isn't the length of what was read (RFC 9112 6.3).
    let fits = declared.is_ok() && said.codings.is_empty() && !never;
    limit_length(&mut headers, fits);
    let mut parts = Response::new(()).into_parts().0;
    parts.status = status;
    // Every step has its own version (RFC 9110 2.5).
    parts.version = Version::HTTP_11;
    parts.headers = headers;
    Ok(Head {
        parts,
        length,
        keep,
    })
}

/// Leaves `Content-Length` once (RFC 9110 8.6), and only where `fits` says that it is the length of
/// what is sent.
fn limit_length(headers: &mut HeaderMap, fits: bool) {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = lines.next().filter(|_| fits).cloned();
    match first {
        Some(_) if lines.next().is_none() => {}
        Some(first) => drop(headers.insert(header::CONTENT_LENGTH, first)),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
}

/// What a head says of its connection alone (RFC 9110 7.6.1).
#[derive(Default)]
struct Said {
    /// The lines of `Transfer-Encoding`.
    codings: Vec<HeaderValue>,
    /// The fields that `Connection` names, besides those that always end with it.
    named: Vec<HeaderName>,
    /// Whether there is no other answer behind this one.
    close: bool,
}

impl Said {
    fn read_connection(&mut self, value: &[u8]) {
        for token in fields::tokens_of(value) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            if fields::names_field(token) {
                self.named.extend(HeaderName::from_bytes(token));
            }
        }
    }
}

/// How the body follows, and whether that was said in one way only.
fn length(
    declared: &Result<Option<u64>, Uncertain>,
    said: &Said,
    none: bool,
) -> Result<(Length, bool), AnswerError> {
    if none {
        return Ok((Length::Exact(0), said.codings.is_empty()));
    }
    match (&said.codings[..], declared) {
        ([], Ok(Some(length))) => Ok((Length::Exact(*length), true)),
        ([], Ok(None)) => Ok((Length::UntilClose, true)),
        ([only], declared) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok((Length::Chunked, *declared == Ok(None)))
        }
        // Any other coding would have to be undone here, and none is ever asked for.
        _ => Err(AnswerError::NotHttp),
    }
}

#[cfg(test)]
mod tests;
