//! Edits a request's head for the upstream it goes to. Pure: no I/O, no clock.
//!
//! Imports `http` and what this room knows of fields and cookies. Promise: an upstream sees of
//! the client, its address and its credentials what we say, and nothing that a client could
//! have said in our place; a head whose body has no one certain length goes nowhere.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header, request::Parts,
    uri::PathAndQuery,
};

use super::{cookies, fields};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
    let length = headers.get(header::CONTENT_LENGTH);
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && fields::lists(headers, &header::CONNECTION, "upgrade")
        && fields::lists(headers, &header::UPGRADE, "websocket")
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && length.is_none_or(|length| length.as_bytes() == b"0")
}

/// Makes a cleaned head, of a request or an answer, one of a WebSocket's handshake.
pub fn ask_for_websocket(headers: &mut HeaderMap) {
    // `TE` would need naming in `Connection` too, and no trailer ends a WebSocket.
    headers.remove(header::TE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Edits a head in place for an HTTP/1.1 upstream. An extended CONNECT (RFC 8441) has become a
/// GET before. `Expect: 100-continue` passes.
///
/// # Errors
/// [`HeadError`]; the head is then half edited and of no further use.
pub fn clean(parts: &mut Parts, to: &ForRequest<'_>) -> Result<(), HeadError> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(HeadError::Method);
    }
    parts.uri = upstream_uri(&parts.uri, to)?;
    parts.version = Version::HTTP_11;

    let headers = &mut parts.headers;
    let chunked = is_chunked(headers)?;
    let trailers = fields::lists(headers, &header::TE, "trailers");
    // First of all, so that a client's `Connection` can't name what is set further below.
    fields::remove_hop_by_hop(headers);
    if chunked {
        // The client half of hyper takes a GET of unknown length for one without a body.
        let chunked = HeaderValue::from_static("chunked");
        headers.insert(header::TRANSFER_ENCODING, chunked);
    }
    if trailers {
        // RFC 9110 10.1.4: who sends `TE` names it in `Connection`.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }

    if to.strip_authorization {
        headers.remove(header::AUTHORIZATION);
    }
    cookies::replace(headers, to.own_cookies, to.set_cookies)
        .map_err(|_| HeadError::Unsayable("cookie"))?;
    remove_claims(headers, to.set_headers);
    tell_client(headers, to)?;
    if headers.contains_key(header::TRAILER) {
        // What we set in front is not said again behind.
        let ours = |name: &HeaderName| {
            let mut set = to.set_headers.iter();
            set.any(|(ours, _)| fields::dashed(ours) == fields::dashed(name))
        };
        fields::announce_only(headers, |name| !ours(name));
    }
    for (name, value) in to.set_headers {
        let mut value = value.clone();
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

/// The path and query as the upstream sees them.
fn upstream_uri(uri: &Uri, to: &ForRequest<'_>) -> Result<Uri, HeadError> {
    let seen = uri.path_and_query().ok_or(HeadError::OutsidePrefix)?;
    let rest = seen.path().strip_prefix(to.prefix);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(HeadError::OutsidePrefix);
    }
    if !to.strip {
        return Ok(Uri::from(seen.clone()));
    }
    let rest = &seen.as_str()[to.prefix.len()..];
    let rest = if rest.starts_with('/') {
        PathAndQuery::try_from(rest)
    } else {
        PathAndQuery::try_from(format!("/{rest}"))
    };
    rest.map(Uri::from).map_err(|_| HeadError::OutsidePrefix)
}

/// Whether the body comes in chunks; otherwise it is as long as the one `Content-Length` says,
/// if any.
fn is_chunked(headers: &mut HeaderMap) -> Result<bool, HeadError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).into_iter();
    if let Some(coding) = codings.next() {
        let certain = coding.as_bytes().eq_ignore_ascii_case(b"chunked")
            && codings.next().is_none()
            && !headers.contains_key(header::CONTENT_LENGTH);
        return certain.then_some(true).ok_or(HeadError::Framing);
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
    if let Some(length) = lengths.next() {
        let digits = length.to_str().unwrap_or_default();
        let certain = digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u64>().is_ok()
            && lengths.all(|other| other == length);
        if !certain {
            return Err(HeadError::Framing);
        }
        let length = length.clone();
        headers.insert(header::CONTENT_LENGTH, length);
    }
    Ok(false)
}

/// Removes what the client says in our place: where it comes from, and what we are about to
/// set; in every spelling that an upstream could take for it.
fn remove_claims(headers: &mut HeaderMap, set: &[(HeaderName, HeaderValue)]) {
    fields::remove_if(headers, |name| {
        let dashed = fields::dashed(name);
        let underscored = name.as_str().contains('_');
        fields::is_forwarding(&dashed)
            // What may not even trail decides something: its double may not come in front.
            || (underscored && !fields::allowed_trailer(name))
            || set.iter().any(|(ours, _)| fields::dashed(ours) == dashed)
    });
}

/// Says who the client is, and by which address it came.
fn tell_client(headers: &mut HeaderMap, to: &ForRequest<'_>) -> Result<(), HeadError> {
    let ClientInfo {
        addr,
        authority,
        https,
        request_id,
    } = to.client;
    // One spelling for one client: an IPv4 address may have come by an IPv6 socket.
    let addr = addr.to_canonical();
    let scheme = if https { "https" } else { "http" };
    let say = |name: &'static str, text: &str| {
        HeaderValue::from_str(text).map_err(|_| HeadError::Unsayable(name))
    };
    let host = say("host", authority)?;
    let forwarded = say("forwarded", &forwarded(addr, authority, scheme))?;
    headers.insert(X_FORWARDED_FOR, say("x-forwarded-for", &addr.to_string())?);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(X_FORWARDED_HOST, host.clone());
    let port = say("x-forwarded-port", port(authority, https))?;
    headers.insert(X_FORWARDED_PORT, port);
    let prefix = say("x-forwarded-prefix", to.prefix)?;
    headers.insert(X_FORWARDED_PREFIX, prefix);
    headers.insert(header::FORWARDED, forwarded);
    headers.insert(X_REQUEST_ID, say("x-request-id", request_id)?);
    headers.insert(header::HOST, host);
    Ok(())
}

/// The `Forwarded` of one step (RFC 7239 4).
fn forwarded(addr: IpAddr, authority: &str, scheme: &str) -> String {
    let by = match addr {
        IpAddr::V4(addr) => format!("for={addr}"),
        IpAddr::V6(addr) => format!("for=\"[{addr}]\""),
    };
    // A host with a port would have to be quoted, and code-server (4.139.1, getHost in
    // out/node/http.js) takes the quotes for part of it and refuses its own origin. `Host` and
    // `X-Forwarded-Host` say it anyway.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if authority.bytes().all(plain) {
        format!("{by};host={authority};proto={scheme}")
    } else {
        format!("{by};proto={scheme}")
    }
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
