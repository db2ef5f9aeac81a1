//! What a request's head alone tells: whether it is whole, where it was sent to, who sent
//! it, and whether a person is navigating. Pure.

use std::net::{IpAddr, SocketAddr};

use http::{
    Extensions, HeaderMap, HeaderName, Method, Uri, Version, header, request::Parts,
    uri::PathAndQuery,
};

use crate::{
    config::{Network, same_host},
    forward,
    http2::Protocol,
    listener::Door,
};

/// What a browser says of a request (Fetch Metadata).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A head that is refused before it is looked at any further. hyper lets all of these pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// No `Host`, two of them, or one that doesn't agree with the address (RFC 9112 3.2).
    #[error("the request must name its host exactly once")]
    Host,
    /// A host that isn't ours (RFC 9110 15.5.20).
    #[error("this server does not answer for that host")]
    Misdirected,
    /// `Transfer-Encoding` beside `Content-Length`, or not exactly `chunked` (RFC 9112 6.1).
    #[error("the length of the request's body is ambiguous")]
    Framing,
    /// A longer address than anybody needs (RFC 9110 15.5.15). Answers may repeat it, and over
    /// HTTP/2 it may cost a client a few bytes to send.
    #[error("the request's address has more than {LONGEST_TARGET} bytes")]
    Long,
    /// Neither http nor https (RFC 9110 4.2).
    #[error("the request's address must be one of http or https")]
    Scheme,
    /// A larger head than we read (RFC 6585 5).
    #[error("the request's head has more than {MOST_FIELDS} fields or {MOST_BYTES} bytes")]
    TooLarge,
    /// `CONNECT` without a protocol: we are nobody's forward proxy.
    #[error("this server is not a forward proxy")]
    Connect,
}

/// Longest path and query in bytes: twice what nginx takes by default.
const LONGEST_TARGET: usize = 16 * 1024;
/// Most fields in a head, also over HTTP/2, where hyper counts bytes alone.
const MOST_FIELDS: usize = 100;
/// Most bytes in a head's fields; hyper's own bound is a little above it.
const MOST_BYTES: usize = 64 * 1024;

/// Checks size, address, framing and host of a request that came to `authority` (`host` or
/// `host:port`).
///
/// # Errors
/// [`HeadError`].
pub fn check(head: &Parts, authority: &str) -> Result<(), HeadError> {
    let fields = head.headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if head.headers.len() > MOST_FIELDS || bytes > MOST_BYTES {
        return Err(HeadError::TooLarge);
    }
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > LONGEST_TARGET {
        return Err(HeadError::Long);
    }
    if !matches!(head.uri.scheme_str(), None | Some("http" | "https")) {
        return Err(HeadError::Scheme);
    }
    check_framing(&head.headers)?;
    let websocket = head.extensions.get::<Protocol>().is_some();
    if head.method == Method::CONNECT && !websocket {
        return Err(HeadError::Connect);
    }
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(HeadError::Host);
    }
    let field = field
        .map(|value| value.to_str().map_err(|_| HeadError::Host))
        .transpose()?;
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    // HTTP/1.1 needs the field even beside an absolute target; HTTP/2 may leave it out.
    let host = match (field, target, head.version) {
        (Some(field), None, _) => field,
        (None, Some(target), Version::HTTP_2) => target,
        (Some(field), Some(target), _) if same_host(field, target) => field,
        (Some(_), Some(_), Version::HTTP_2) | (None, _, _) => return Err(HeadError::Host),
        (Some(_), Some(_), _) => return Err(HeadError::Misdirected),
    };
    if host.is_empty() {
        Err(HeadError::Host)
    } else if same_host(host, authority) {
        Ok(())
    } else {
        Err(HeadError::Misdirected)
    }
}

fn check_framing(headers: &HeaderMap) -> Result<(), HeadError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    let alone = codings.next().is_none() && !headers.contains_key(header::CONTENT_LENGTH);
    if alone && coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        Ok(())
    } else {
        Err(HeadError::Framing)
    }
}

/// What a request says its host is, for a note of what went wrong.
pub fn host(head: &Parts) -> String {
    let field = head.headers.get(header::HOST);
    let field = field.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let target = head.uri.authority().map(ToString::to_string);
    target.or(field).unwrap_or_default()
}

/// Whether a person is going somewhere with this request, so that a page, a redirect or a
/// start is what they expect (Fetch Metadata; `Accept` for browsers without it). A socket, a
/// poll, a frame, a prefetch is none.
pub fn is_navigation(head: &Parts) -> bool {
    let headers = &head.headers;
    if head.method != Method::GET || headers.contains_key(header::UPGRADE) {
        return false;
    }
    match headers.get(&SEC_FETCH_MODE) {
        Some(mode) => {
            let dest = headers.get(&SEC_FETCH_DEST);
            mode == "navigate"
                && dest.is_none_or(|dest| dest == "document")
                && !is_prefetch(headers)
        }
        None => accepts_html(headers),
    }
}

/// Whether a browser asks ahead of its user (Fetch, `Sec-Purpose`; its forerunners).
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-moz"].iter().any(|name| {
        let value = headers.get(*name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.starts_with("prefetch"))
    })
}

/// Whether an answer may be a page for a person.
pub fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|value| value.contains("text/html")) && !is_prefetch(headers)
}

/// Whether the request may open a WebSocket, by HTTP/1.1 (RFC 6455) or HTTP/2 (RFC 8441).
pub fn is_websocket(headers: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<Protocol>().is_some() || forward::names_websocket(headers)
}

/// Whether another site may be behind this request; then it gets nothing.
///
/// A browser can't be made to lie in `Origin` and `Sec-Fetch-Site`. `bearer`: the credential
/// was a header that no other site can make a browser send, so a missing `Origin` is fine.
pub fn is_cross_site(head: &Parts, ours: &str, trusted: &[String], bearer: bool) -> bool {
    let mut origins = head.headers.get_all(header::ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some() {
        return true;
    }
    let known = |origin: &http::HeaderValue| {
        origin == ours || trusted.iter().any(|trusted| origin == trusted.as_str())
    };
    let websocket = || is_websocket(&head.headers, &head.extensions);
    let safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    match origin {
        Some(origin) if known(origin) => return false,
        // A page that hides its origin may still be left by a plain link.
        Some(_) if !safe || websocket() || !is_navigation(head) => return true,
        None if !bearer && (!safe || websocket()) => return true,
        _ => {}
    }
    let site = head.headers.get(&SEC_FETCH_SITE);
    match site.map(http::HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => false,
        Some(_) => !is_navigation(head),
    }
}

/// The client's own address, and the chain of addresses trusted proxies vouch for before it.
///
/// `X-Forwarded-For` is read from the right, as far as the trusted proxies go.
pub fn client(headers: &HeaderMap, peer: SocketAddr, trusted: &[Network]) -> IpAddr {
    let is_trusted = |addr: IpAddr| trusted.iter().any(|network| network.contains(addr));
    let mut client = peer.ip().to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let fields = headers.get_all("x-forwarded-for").iter();
    let text: Vec<&str> = fields.filter_map(|value| value.to_str().ok()).collect();
    for hop in text.iter().flat_map(|value| value.split(',')).rev() {
        if !is_trusted(client) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(addr) => client = addr.to_canonical(),
            Err(_) => break,
        }
    }
    client
}

/// Whether a plain listener may serve this peer at all.
pub fn may_use(door: Door, peer: SocketAddr, trusted: &[Network]) -> bool {
    door != Door::Plain || trusted.iter().any(|network| network.contains(peer.ip()))
}

/// The value of `name` in the query of `uri`, form-decoded; the first one counts.
pub fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let value = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?
        .1;
    let value = value.replace('+', " ");
    let value = percent_encoding::percent_decode_str(&value).decode_utf8();
    value.ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
