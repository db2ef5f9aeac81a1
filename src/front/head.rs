//! What a request's head alone tells: whether it is whole, where it was sent to, who sent
//! it, and whether a person is navigating. Pure.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap, HeaderName, Method, Uri, Version, header, request::Parts};

use crate::{
    config::{Network, same_host},
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
    /// A larger head than we read (RFC 6585 5).
    #[error("the request's head has more than {MOST_FIELDS} fields or {MOST_BYTES} bytes")]
    TooLarge,
    /// `CONNECT` without a protocol: we are nobody's forward proxy.
    #[error("this server is not a forward proxy")]
    Connect,
}

/// Most fields in a head, also over HTTP/2, where hyper counts bytes alone.
const MOST_FIELDS: usize = 100;
/// Most bytes in a head's fields; hyper's own bound is a little above it.
const MOST_BYTES: usize = 64 * 1024;

/// Checks framing and host of a request that came to `authority` (`host` or `host:port`).
///
/// # Errors
/// [`HeadError`]; all but [`HeadError::Misdirected`] are malformed requests.
pub fn check(head: &Parts, authority: &str) -> Result<(), HeadError> {
    let fields = head.headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if head.headers.len() > MOST_FIELDS || bytes > MOST_BYTES {
        return Err(HeadError::TooLarge);
    }
    check_framing(&head.headers)?;
    let websocket = head.extensions.get::<hyper::ext::Protocol>().is_some();
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

/// Whether the request opens a WebSocket, by HTTP/1.1 (RFC 6455) or HTTP/2 (RFC 8441).
pub fn is_websocket(headers: &HeaderMap, extensions: &Extensions) -> bool {
    let upgrade = headers.get_all(header::UPGRADE).iter();
    let mut tokens = upgrade
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','));
    extensions.get::<hyper::ext::Protocol>().is_some()
        || tokens.any(|token| token.trim().eq_ignore_ascii_case("websocket"))
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
mod tests {
    use http::Request;

    use super::*;

    const OURS: &str = "https://ide.example.test";

    fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_host_is_named_once_and_is_ours() {
        use HeadError::{Framing, Host, Misdirected};
        let ours = ("host", "ide.example.test");
        for (uri, fields, expected) in [
            ("/", vec![ours], Ok(())),
            ("/", vec![("host", "IDE.example.test:443")], Ok(())),
            ("/", vec![], Err(Host)),
            ("/", vec![("host", "")], Err(Host)),
            ("/", vec![ours, ours], Err(Host)),
            ("/", vec![("host", "evil")], Err(Misdirected)),
            (
                "/",
                vec![("host", "ide.example.test:8443")],
                Err(Misdirected),
            ),
            ("http://evil/", vec![ours], Err(Misdirected)),
            ("https://ide.example.test/", vec![ours], Ok(())),
            ("/", vec![ours, ("transfer-encoding", "chunked")], Ok(())),
            (
                "/",
                vec![ours, ("transfer-encoding", "gzip, chunked")],
                Err(Framing),
            ),
            (
                "/",
                vec![
                    ours,
                    ("transfer-encoding", "chunked"),
                    ("content-length", "6"),
                ],
                Err(Framing),
            ),
        ] {
            let head = head("GET", uri, &fields);
            assert_eq!(
                check(&head, "ide.example.test"),
                expected,
                "{uri} {fields:?}"
            );
        }
    }

    #[test]
    fn only_a_person_going_somewhere_is_a_navigation() {
        for (method, fields, expected) in [
            ("GET", vec![("sec-fetch-mode", "navigate")], true),
            (
                "GET",
                vec![
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                true,
            ),
            (
                "GET",
                vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                false,
            ),
            (
                "GET",
                vec![("sec-fetch-mode", "cors"), ("accept", "text/html")],
                false,
            ),
            ("GET", vec![("accept", "text/html,*/*")], true),
            ("GET", vec![("accept", "*/*")], false),
            ("GET", vec![], false),
            ("HEAD", vec![("accept", "text/html")], false),
            ("POST", vec![("sec-fetch-mode", "navigate")], false),
            (
                "GET",
                vec![("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")],
                false,
            ),
            (
                "GET",
                vec![("accept", "text/html"), ("upgrade", "websocket")],
                false,
            ),
        ] {
            assert_eq!(
                is_navigation(&head(method, "/", &fields)),
                expected,
                "{method} {fields:?}"
            );
        }
    }

    #[test]
    fn another_site_may_only_link_to_us() {
        let nav = ("sec-fetch-mode", "navigate");
        let socket = ("upgrade", "websocket");
        for (method, fields, bearer, expected) in [
            ("GET", vec![], false, false),
            (
                "GET",
                vec![nav, ("sec-fetch-site", "cross-site")],
                false,
                false,
            ),
            ("GET", vec![("sec-fetch-site", "cross-site")], false, true),
            ("GET", vec![("sec-fetch-site", "same-site")], false, true),
            (
                "GET",
                vec![
                    nav,
                    ("sec-fetch-dest", "iframe"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
                true,
            ),
            ("POST", vec![("origin", OURS)], false, false),
            (
                "POST",
                vec![
                    nav,
                    ("origin", "https://evil.test"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
                true,
            ),
            ("POST", vec![], false, true),
            ("POST", vec![], true, false),
            ("POST", vec![("origin", "https://evil.test")], true, true),
            (
                "POST",
                vec![("origin", "https://friend.test")],
                false,
                false,
            ),
            ("GET", vec![socket, ("origin", OURS)], false, false),
            ("GET", vec![socket], false, true),
            ("GET", vec![socket], true, false),
            ("GET", vec![socket, ("origin", "null")], false, true),
            (
                "GET",
                vec![socket, ("origin", "https://ide.example.test.evil")],
                false,
                true,
            ),
            (
                "GET",
                vec![socket, ("origin", "http://ide.example.test")],
                false,
                true,
            ),
            (
                "GET",
                vec![socket, ("origin", "https://ide.example.test:444")],
                false,
                true,
            ),
        ] {
            let head = head(method, "/", &fields);
            let trusted = ["https://friend.test".to_owned()];
            let got = is_cross_site(&head, OURS, &trusted, bearer);
            assert_eq!(got, expected, "{method} {fields:?} bearer {bearer}");
        }
    }

    #[test]
    fn a_client_address_is_believed_as_far_as_trusted_proxies_vouch() {
        let trusted = [Network {
            address: "10.0.0.0".parse().unwrap(),
            prefix: 8,
        }];
        for (peer, forwarded, expected) in [
            ("192.0.2.7:1", "1.2.3.4", "192.0.2.7"),
            ("10.0.0.1:1", "1.2.3.4", "1.2.3.4"),
            ("10.0.0.1:1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.1:1", "nonsense", "10.0.0.1"),
        ] {
            let head = head("GET", "/", &[("x-forwarded-for", forwarded)]);
            let got = client(&head.headers, peer.parse().unwrap(), &trusted);
            assert_eq!(got.to_string(), expected, "{peer} {forwarded}");
        }
    }

    #[test]
    fn a_query_value_is_decoded_as_a_form_is() {
        let uri: Uri = "/x?next=%2Fcodespace%2Fa+b&token=t".parse().unwrap();
        assert_eq!(query_value(&uri, "next").as_deref(), Some("/codespace/a b"));
        assert_eq!(query_value(&uri, "none"), None);
    }
}
