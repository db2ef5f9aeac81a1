//! Writes a request's head for the upstream it goes to. Pure: no I/O, no clock.
//!
//! Imports `http`, `text` and what this room knows of fields and cookies. Promise: an upstream sees of
//! the client, its address and its credentials what we say, and nothing that a client could
//! have said in our place; a head whose body has no one certain length goes nowhere.

use std::{net::IpAddr, ops::Range};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header, request::Parts};

use super::{cookies, fields};
use crate::text;

/// What is known of the client, for the headers that say so.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// Its own address, as far as we believe those between it and us.
    pub addr: IpAddr,
    /// Host, or host and port, that the browser used and that was found to be ours.
    pub authority: &'a str,
    /// Whether the browser used HTTPS.
    pub https: bool,
    /// Names this request in every log.
    pub request_id: &'a str,
}

/// What a request needs to become an upstream's.
#[derive(Clone, Copy)]
pub struct ForRequest<'a> {
    /// What is asked for, in the one spelling that was judged.
    pub uri: &'a Uri,
    /// Who asks.
    pub client: ClientInfo<'a>,
    /// `/<app>/<user>`, without a slash at the end.
    pub prefix: &'a str,
    /// Whether the upstream sees the path without the prefix.
    pub strip: bool,
    /// Set in place of whatever the client sent of the same name.
    pub set_headers: &'a [(HeaderName, HeaderValue)],
    /// The same for cookies: name and value.
    pub set_cookies: &'a [(String, String)],
    /// Names of cookies that are never forwarded.
    pub own_cookies: &'a [String],
    /// Whether `Authorization` was meant for us.
    pub strip_authorization: bool,
}

/// A request head that can't be forwarded safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// CONNECT asks for a tunnel we don't dig, TRACE for an echo of the secrets we add
    /// (RFC 9110 9.3.8).
    #[error("the method can't be forwarded")]
    Method,
    /// Two readers could find two ends of the body (RFC 9112 6.3).
    #[error("the length of the body is ambiguous")]
    Framing,
    /// The path isn't this workspace's.
    #[error("the path is outside of the workspace")]
    OutsidePrefix,
    /// What we would set can't stand in a header.
    #[error("what {0} would say can't stand in a header")]
    Unsayable(&'static str),
}

/// Whether this is an HTTP/1.1 WebSocket handshake (RFC 6455 4.1) without a body. One with a
/// body is no handshake but a plain request: nothing may follow it to an upstream before 101.
pub fn is_websocket(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let empty = || {
        let length = headers.get(header::CONTENT_LENGTH);
        length.is_none_or(|length| length.as_bytes() == b"0")
    };
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && fields::lists(headers, &header::CONNECTION, "upgrade")
        && names_websocket(headers)
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && empty()
}

/// Whether a head asks for the protocol, whatever else it says. The one judge of that: who may open
/// a WebSocket is asked about all that could become one.
pub fn names_websocket(headers: &HeaderMap) -> bool {
    fields::lists(headers, &header::UPGRADE, "websocket")
}

/// Makes a cleaned head of an answer that of a WebSocket's handshake.
pub fn agree_to_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// What a head asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// An answer; `body` says whether anything follows the head.
    Answer {
        /// Whether the client sends a body, be it empty in the end.
        body: bool,
    },
    /// A WebSocket, with a key of our own if the client had none to bring (RFC 8441 5).
    WebSocket {
        /// The value of `Sec-WebSocket-Key`.
        key: Option<&'a str>,
    },
}

/// How the end of a body is known (RFC 9112 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// By its length in bytes.
    Length(u64),
    /// By its last chunk.
    Chunked,
}

/// A head as it is sent to an app. It stays with the connection, for the memory and for what is
/// the same in each of the app's.
#[derive(Default)]
pub struct Draft {
    /// The head.
    pub text: Vec<u8>,
    /// The lines that all of them have, as long as the app runs; none before the first is written.
    standing: Vec<u8>,
}

/// Writes the head that an HTTP/1.1 upstream sees, and says how the body must follow. What was in
/// `draft` before was another head for the same upstream, or nothing.
/// An extended CONNECT (RFC 8441) has become a GET before. `Expect: 100-continue` passes.
///
/// # Errors
/// [`HeadError`]; what was written is then of no use.
pub fn write(
    parts: &Parts,
    to: &ForRequest<'_>,
    ask: Ask<'_>,
    draft: &mut Draft,
) -> Result<Framing, HeadError> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(HeadError::Method);
    }
    if draft.standing.is_empty() {
        draft.standing = standing(to)?;
    }
    debug_assert!(standing(to).as_ref() == Ok(&draft.standing));
    let out = &mut draft.text;
    out.clear();
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    write_path(to, out)?;
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(&draft.standing);
    write_client(to, out)?;
    let said = write_fields(&parts.headers, to, out);
    cookies::write(&parts.headers, to.own_cookies, to.set_cookies, out)
        .map_err(|_| HeadError::Unsayable("cookie"))?;
    let declared = said.length.then(|| declared(&parts.headers)).transpose()?;
    let framing = framing(declared.flatten(), &parts.method, ask);
    match framing {
        Framing::Empty => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            text::push_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => line(out, "transfer-encoding", b"chunked"),
    }
    match ask {
        Ask::WebSocket { key } => {
            // `TE` is left out: it would need naming in `Connection` too, and no trailer ends a
            // WebSocket.
            line(out, "connection", b"upgrade");
            line(out, "upgrade", b"websocket");
            if let Some(key) = key {
                line(out, "sec-websocket-key", key.as_bytes());
            }
        }
        Ask::Answer { .. } => {
            if said.te && fields::lists(&parts.headers, &header::TE, "trailers") {
                // RFC 9110 10.1.4: who sends `TE` names it in `Connection`.
                line(out, "te", b"trailers");
                line(out, "connection", b"te");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

/// A field's line. Name and value are known to hold nothing that would end it.
fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The path and query as the upstream sees them.
fn write_path(to: &ForRequest<'_>, out: &mut Vec<u8>) -> Result<(), HeadError> {
    let seen = to.uri.path_and_query().ok_or(HeadError::OutsidePrefix)?;
    let rest = seen.path().strip_prefix(to.prefix);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(HeadError::OutsidePrefix);
    }
    if to.strip {
        let rest = &seen.as_str()[to.prefix.len()..];
        if !rest.starts_with('/') {
            out.push(b'/');
        }
        out.extend_from_slice(rest.as_bytes());
    } else {
        out.extend_from_slice(seen.as_str().as_bytes());
    }
    Ok(())
}

/// What the client says of the body's length, in the one way that every reader agrees on.
fn declared(headers: &HeaderMap) -> Result<Option<Framing>, HeadError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).into_iter();
    if let Some(coding) = codings.next() {
        let certain = coding.as_bytes().eq_ignore_ascii_case(b"chunked")
            && codings.next().is_none()
            && !headers.contains_key(header::CONTENT_LENGTH);
        return certain
            .then_some(Some(Framing::Chunked))
            .ok_or(HeadError::Framing);
    }
    match text::content_length(headers) {
        Ok(length) => Ok(length.map(Framing::Length)),
        Err(text::Uncertain) => Err(HeadError::Framing),
    }
}

/// How the body follows: as the client framed it, or in chunks if only we know its end
/// (HTTP/2 needs no length).
fn framing(declared: Option<Framing>, method: &Method, ask: Ask<'_>) -> Framing {
    // RFC 9110 8.6: a method that has a use for content says that there is none.
    let may_follow = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    match (declared, ask) {
        (Some(Framing::Chunked), _) | (None, Ask::Answer { body: true }) => Framing::Chunked,
        (Some(framing), Ask::Answer { .. }) => framing,
        (None, Ask::Answer { body: false }) if may_follow => Framing::Length(0),
        (_, Ask::WebSocket { .. }) | (None, Ask::Answer { body: false }) => Framing::Empty,
    }
}

/// What was said of the rest of a message: whoever finds it here need not search for it.
struct Said {
    /// A length, or a coding in its place.
    length: bool,
    /// Whether trailers may follow the answer.
    te: bool,
}

/// What the client says and may say: nothing of one connection alone, of where it comes from, or
/// of what we set ourselves, in no spelling that an upstream could take for it.
fn write_fields(headers: &HeaderMap, to: &ForRequest<'_>, out: &mut Vec<u8>) -> Said {
    let named = fields::tokens(headers, &header::CONNECTION).any(fields::names_field);
    let ours = |name: &str| {
        let mut set = to.set_headers.iter();
        set.any(|(ours, _)| fields::same_dashed(ours.as_str(), name))
    };
    let mut trails = false;
    let mut said = Said {
        length: false,
        te: false,
    };
    for (name, value) in headers {
        trails |= *name == header::TRAILER;
        said.te |= *name == header::TE;
        said.length |= *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING;
        let own = *name == header::HOST
            || *name == header::COOKIE
            || *name == header::CONTENT_LENGTH
            || *name == header::TRAILER
            || (*name == header::AUTHORIZATION && to.strip_authorization);
        let name = name.as_str();
        if own
            || fields::is_hop_by_hop(name)
            || fields::is_forwarding(&fields::dashed(name))
            // What may not even trail decides something: its double may not come in front.
            || (name.contains('_') && !fields::allowed_trailer(name))
            || ours(name)
            || (named && fields::lists(headers, &header::CONNECTION, name))
        {
            continue;
        }
        line(out, name, value.as_bytes());
    }
    if trails {
        // What we set in front is not said again behind.
        let announced = fields::announced(headers, |name| !ours(name));
        if !announced.is_empty() {
            line(out, "trailer", announced.as_bytes());
        }
    }
    said
}

/// A line of ours, if what it says can stand in one (RFC 9110 5.5, less what is no use to us).
fn say(out: &mut Vec<u8>, name: &'static str, text: &str) -> Result<(), HeadError> {
    // Without an early end, so that many bytes are looked at at a time.
    let bytes = text.bytes();
    if !bytes.fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte)) {
        return Err(HeadError::Unsayable(name));
    }
    line(out, name, text.as_bytes());
    Ok(())
}

/// The lines that all requests to one app have: the address it is reached by, and what is set.
fn standing(to: &ForRequest<'_>) -> Result<Vec<u8>, HeadError> {
    let ClientInfo {
        authority, https, ..
    } = to.client;
    let mut out = Vec::new();
    say(&mut out, "host", authority)?;
    say(&mut out, "x-forwarded-host", authority)?;
    say(&mut out, "x-forwarded-port", port(authority, https))?;
    say(&mut out, "x-forwarded-proto", scheme(https))?;
    say(&mut out, "x-forwarded-prefix", to.prefix)?;
    for (name, value) in to.set_headers {
        line(&mut out, name.as_str(), value.as_bytes());
    }
    Ok(out)
}

fn scheme(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

/// Says who the client is.
fn write_client(to: &ForRequest<'_>, out: &mut Vec<u8>) -> Result<(), HeadError> {
    let ClientInfo {
        addr,
        authority,
        https,
        request_id,
    } = to.client;
    // One spelling for one client: an IPv4 address may have come by an IPv6 socket.
    let addr = addr.to_canonical();
    say(out, "x-request-id", request_id)?;
    // What these hold can't break a line: an address, and an authority that was said before.
    out.extend_from_slice(b"x-forwarded-for: ");
    let from = out.len();
    text::push_address(out, addr);
    let address = from..out.len();
    out.extend_from_slice(b"\r\nforwarded: for=");
    write_forwarded(address, addr.is_ipv6(), authority, scheme(https), out);
    Ok(())
}

/// The value of the `Forwarded` of one step (RFC 7239 4), behind its `for=`. `address` is where in
/// `out` the client's is written.
fn write_forwarded(
    address: Range<usize>,
    quoted: bool,
    authority: &str,
    scheme: &str,
    out: &mut Vec<u8>,
) {
    if quoted {
        out.extend_from_slice(b"\"[");
        out.extend_from_within(address);
        out.extend_from_slice(b"]\"");
    } else {
        out.extend_from_within(address);
    }
    // A host with a port would have to be quoted, and code-server (4.139.1, getHost in
    // out/node/http.js) takes the quotes for part of it and refuses its own origin. `Host` and
    // `X-Forwarded-Host` say it anyway.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if authority.bytes().all(plain) {
        out.extend_from_slice(b";host=");
        out.extend_from_slice(authority.as_bytes());
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The port the browser used, written or not.
fn port(authority: &str, https: bool) -> &str {
    match authority.rsplit_once(':') {
        // The last colon of an IPv6 address without a port stands inside its brackets.
        Some((_, port)) if !port.is_empty() && !port.ends_with(']') => port,
        _ if https => "443",
        _ => "80",
    }
}

#[cfg(test)]
mod tests;
