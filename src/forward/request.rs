//! A request's head, made fit for an app: what is of the hop, ours or forged goes; what the app
//! may rely on is set by us alone. Pure.

use std::net::IpAddr;

use bytes::{BufMut as _, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version, header, request::Parts, uri::PathAndQuery,
};

/// What is known of the client.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// Its own address.
    pub addr: IpAddr,
    /// Our authority, as the browser spells it: `host` or `host:port`.
    pub authority: &'a str,
    /// Whether it came by HTTPS.
    pub https: bool,
    /// Names the request in the log.
    pub request_id: &'a str,
}

/// What an app is to see.
#[derive(Clone, Copy, Debug)]
pub struct ForRequest<'a> {
    /// Who asks.
    pub client: ClientInfo<'a>,
    /// The path's part that leads here: `/codespace/alice`.
    pub prefix: &'a str,
    /// Whether the app sees the path without it.
    pub strip: bool,
    /// Set in place of the client's.
    pub set_headers: &'a [(HeaderName, HeaderValue)],
    /// Added in place of the client's of the same name.
    pub set_cookies: &'a [(String, String)],
    /// Cookies that are ours and never leave.
    pub own_cookies: &'a [String],
    /// Whether `Authorization` is ours and never leaves.
    pub strip_authorization: bool,
}

/// A head that can't be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The path does not begin as it was judged to.
    #[error("the path is not one of this app's")]
    Path,
    /// A header of ours can't hold what it must.
    #[error("the request's host or path can't be written as a header")]
    Value,
}

/// Of the hop, not of the request (RFC 9110 7.6.1, RFC 7230 A.1.2, RFC 9113 8.2.2).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// What clients claim about themselves or about the way here, beside `x-forwarded-*` and
/// `x-vestibule-*`. `proxy` becomes `HTTP_PROXY` in CGI programs (CVE-2016-5385).
const CLAIMS: [&str; 14] = [
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "proxy",
];

/// Makes a head fit for the app.
///
/// # Errors
/// [`HeadError`].
pub fn clean(parts: &mut Parts, to: &ForRequest<'_>) -> Result<(), HeadError> {
    let trailers = wants_trailers(&parts.headers);
    // First of all, so that a client can't name something in `Connection` that we set later.
    remove_hop_by_hop(&mut parts.headers);
    if trailers {
        parts
            .headers
            .insert(header::TE, HeaderValue::from_static("trailers"));
    }
    remove_claims(&mut parts.headers, to);
    set_cookies(&mut parts.headers, to);
    set_claims(&mut parts.headers, to)?;
    for (name, value) in to.set_headers {
        parts.headers.insert(name, value.clone());
    }
    parts.uri = upstream_uri(&parts.uri, to)?;
    parts.version = Version::HTTP_11;
    Ok(())
}

/// Removes what is of the hop, from a request or an answer.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter();
    let named = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let named = named.filter_map(|name| HeaderName::try_from(name.trim()).ok());
    // These say where the message ends and whose it is: never of the hop, whatever is claimed.
    let kept = [header::HOST, header::CONTENT_LENGTH, header::SET_COOKIE];
    let named: Vec<HeaderName> = named.filter(|name| !kept.contains(name)).collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether a field may come as a trailer: not one that frames, routes, authenticates or sets
/// something (RFC 9110 6.5.1).
pub fn allowed_trailer(name: &HeaderName) -> bool {
    const NEVER: [&str; 24] = [
        "age",
        "authorization",
        "cache-control",
        "clear-site-data",
        "content-encoding",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "cookie",
        "expect",
        "expires",
        "host",
        "location",
        "max-forwards",
        "origin",
        "range",
        "service-worker-allowed",
        "set-cookie",
        "strict-transport-security",
        "trailer",
        "vary",
        "www-authenticate",
        "alt-svc",
    ];
    let name = name.as_str();
    let of_the_way = is_claim(name) || HOP_BY_HOP.contains(&name);
    !of_the_way
        && !NEVER.contains(&name)
        && !name.starts_with("sec-")
        && !name.starts_with("access-control-")
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::TE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case("trailers"))
}

/// A claim in any spelling: some servers take `_` for `-` (WSGI, RFC 3875 4.1.18).
fn is_claim(name: &str) -> bool {
    let name = name.replace('_', "-");
    name.starts_with("x-forwarded")
        || name.starts_with("x-vestibule")
        || CLAIMS.contains(&name.as_str())
}

fn remove_claims(headers: &mut HeaderMap, to: &ForRequest<'_>) {
    let ours = |name: &str| {
        let dashed = name.replace('_', "-");
        let set = to
            .set_headers
            .iter()
            .any(|(set, _)| *set == dashed.as_str());
        // With an underscore it is none of these, but an app may take it for one.
        let mistaken =
            dashed != name && ["cookie", "authorization", "host"].contains(&dashed.as_str());
        set || mistaken || is_claim(name)
    };
    let forged = headers.keys().filter(|name| ours(name.as_str()));
    let forged: Vec<HeaderName> = forged.cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    if to.strip_authorization {
        headers.remove(header::AUTHORIZATION);
    }
}

/// Leaves the client's own cookies as they are, byte for byte, in one field (HTTP/2 may have
/// split them, RFC 9113 8.2.3).
fn set_cookies(headers: &mut HeaderMap, to: &ForRequest<'_>) {
    let mut line = BytesMut::new();
    for field in headers.get_all(header::COOKIE) {
        // Pieces keep the blanks they came with, also within quotes.
        let pieces = field.as_bytes().split(|byte| *byte == b';');
        let kept =
            pieces.filter(|pair| !pair.trim_ascii().is_empty() && !is_own(cookie_name(pair), to));
        for (number, pair) in kept.enumerate() {
            if number == 0 {
                push_pair(&mut line, pair.trim_ascii_start());
            } else {
                line.put_u8(b';');
                line.put_slice(pair);
            }
        }
    }
    for (name, value) in to.set_cookies {
        push_pair(&mut line, format!("{name}={value}").as_bytes());
    }
    headers.remove(header::COOKIE);
    // Made of checked values and what was one before.
    if let (false, Ok(mut line)) = (
        line.is_empty(),
        HeaderValue::from_maybe_shared(line.freeze()),
    ) {
        line.set_sensitive(true);
        headers.insert(header::COOKIE, line);
    }
}

fn push_pair(line: &mut BytesMut, pair: &[u8]) {
    if !line.is_empty() {
        line.put_slice(b"; ");
    }
    line.put_slice(pair);
}

fn cookie_name(pair: &[u8]) -> &[u8] {
    let name = pair.split(|byte| *byte == b'=').next();
    name.unwrap_or_default().trim_ascii()
}

/// Whether a cookie is ours, or one that only we may set. Case is ignored: it costs nobody a
/// cookie, and some app may ignore it.
fn is_own(name: &[u8], to: &ForRequest<'_>) -> bool {
    let own = to.own_cookies.iter().map(String::as_str);
    let set = to.set_cookies.iter().map(|(name, _)| name.as_str());
    own.chain(set)
        .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

fn set_claims(headers: &mut HeaderMap, to: &ForRequest<'_>) -> Result<(), HeadError> {
    let ClientInfo {
        addr,
        authority,
        https,
        request_id,
    } = to.client;
    let addr = addr.to_canonical();
    let proto = if https { "https" } else { "http" };
    let port = authority
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| !port.ends_with(']'));
    let port = port.unwrap_or(if https { "443" } else { "80" });
    let node = if addr.is_ipv6() {
        format!("\"[{addr}]\"")
    } else {
        addr.to_string()
    };
    // Without `host`, which would have to be in quotes because of its port (RFC 7239 6):
    // code-server takes them for a part of the name and refuses every socket.
    let forwarded = format!("for={node};proto={proto}");
    let set = [
        (header::HOST, authority),
        (
            HeaderName::from_static("x-forwarded-for"),
            &addr.to_string(),
        ),
        (HeaderName::from_static("x-forwarded-proto"), proto),
        (HeaderName::from_static("x-forwarded-host"), authority),
        (HeaderName::from_static("x-forwarded-port"), port),
        (HeaderName::from_static("x-forwarded-prefix"), to.prefix),
        (header::FORWARDED, &forwarded),
        (HeaderName::from_static("x-request-id"), request_id),
    ];
    for (name, value) in set {
        headers.insert(
            name,
            HeaderValue::from_str(value).map_err(|_| HeadError::Value)?,
        );
    }
    Ok(())
}

/// The address as the app sees it: origin-form, without the prefix if it is to be stripped.
fn upstream_uri(uri: &Uri, to: &ForRequest<'_>) -> Result<Uri, HeadError> {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = whole
        .strip_prefix(to.prefix)
        .filter(|rest| rest.starts_with('/'));
    let rest = rest.ok_or(HeadError::Path)?;
    let seen = if to.strip { rest } else { whole };
    seen.parse::<PathAndQuery>()
        .map(Uri::from)
        .map_err(|_| HeadError::Path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn cleaned(request: http::request::Builder, edit: impl FnOnce(&mut ForRequest<'_>)) -> Parts {
        let own = [
            "__Host-vestibule-session".to_owned(),
            "sessionid".to_owned(),
        ];
        let secret = [(
            header::AUTHORIZATION,
            HeaderValue::from_static("token ours"),
        )];
        let cookies = [("code-server-session".to_owned(), "secret".to_owned())];
        let mut to = ForRequest {
            client: ClientInfo {
                addr: "192.0.2.7".parse().unwrap(),
                authority: "ide.test:8443",
                https: true,
                request_id: "r1",
            },
            prefix: "/codespace/alice",
            strip: true,
            set_headers: &secret,
            set_cookies: &cookies,
            own_cookies: &own,
            strip_authorization: true,
        };
        edit(&mut to);
        let mut parts = request.body(()).unwrap().into_parts().0;
        clean(&mut parts, &to).unwrap();
        parts
    }

    fn get() -> http::request::Builder {
        Request::get("/codespace/alice/x?y=1")
    }

    #[test]
    fn an_app_sees_our_word_for_the_client_and_not_the_clients() {
        let mut request = get().header(
            "connection",
            "close, x-forwarded-for, cookie, authorization, host",
        );
        for name in [
            "x-forwarded-for",
            "X-Forwarded-Host",
            "x_forwarded_user",
            "x-forwarded-anything",
            "forwarded",
            "x-real-ip",
            "x_real_ip",
            "x-vestibule-user",
            "x-request-id",
            "proxy",
            "x_authorization",
            "true-client-ip",
        ] {
            request = request.header(name, "forged");
        }
        let parts = cleaned(
            request
                .header("host", "ide.test:8443")
                .header("authorization", "Bearer mine"),
            |_| {},
        );
        let seen: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        for expected in [
            ("host", "ide.test:8443"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "ide.test:8443"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/codespace/alice"),
            ("forwarded", "for=192.0.2.7;proto=https"),
            ("x-request-id", "r1"),
            ("authorization", "token ours"),
            ("cookie", "code-server-session=secret"),
        ] {
            assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
        }
        let forged: Vec<_> = seen
            .iter()
            .filter(|(name, value)| *value == "forged" && *name != "x_authorization")
            .collect();
        assert!(forged.is_empty(), "{forged:?}");
        assert!(!parts.headers.contains_key("connection"));
    }

    #[test]
    fn a_path_is_stripped_or_kept_and_nothing_else() {
        for (path, strip, seen) in [
            ("/codespace/alice/", true, "/"),
            ("/codespace/alice/a%20b?c=/d", true, "/a%20b?c=/d"),
            ("/codespace/alice//x", true, "//x"),
            ("/codespace/alice/x", false, "/codespace/alice/x"),
        ] {
            let parts = cleaned(Request::get(path), |to| to.strip = strip);
            assert_eq!(parts.uri.to_string(), seen, "{path}");
        }
    }

    #[test]
    fn cookies_that_are_not_ours_arrive_as_they_were() {
        for (cookies, seen) in [
            (
                &["a=1; __Host-vestibule-session=x; b=\"2 3\""][..],
                "a=1; b=\"2 3\"; code-server-session=secret",
            ),
            (
                &["__Host-vestibule-session=x", "a=1"],
                "a=1; code-server-session=secret",
            ),
            (
                &["__host-VESTIBULE-session =x;sessionid=y; c"],
                "c; code-server-session=secret",
            ),
            (
                &["code-server-session=mine; code-server-sessions=1"],
                "code-server-sessions=1; code-server-session=secret",
            ),
        ] {
            let request = cookies
                .iter()
                .fold(get(), |request, cookie| request.header("cookie", *cookie));
            let parts = cleaned(request, |_| {});
            let all: Vec<_> = parts.headers.get_all("cookie").iter().collect();
            assert_eq!(all, [seen], "{cookies:?}");
        }
        let odd = HeaderValue::from_bytes(b"a=\xff\xfe; sessionid=1").unwrap();
        let parts = cleaned(get().header("cookie", odd), |to| to.set_cookies = &[]);
        assert_eq!(parts.headers["cookie"].as_bytes(), b"a=\xff\xfe");
    }

    #[test]
    fn what_is_of_the_hop_stays_behind() {
        let request = get()
            .header("connection", "keep-alive, x-hop")
            .header("x-hop", "1")
            .header("te", "gzip, trailers")
            .header("keep-alive", "1")
            .header("transfer-encoding", "chunked")
            .header("accept", "*/*");
        let parts = cleaned(request, |_| {});
        for name in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
        assert_eq!(parts.headers["te"], "trailers");
        assert_eq!(parts.headers["accept"], "*/*");
    }

    #[test]
    fn a_trailer_can_not_say_what_a_head_may() {
        for (name, allowed) in [
            ("x-checksum", true),
            ("server-timing", true),
            ("grpc-status", true),
            ("authorization", false),
            ("cookie", false),
            ("host", false),
            ("x-forwarded-for", false),
            ("set-cookie", false),
            ("content-length", false),
            ("transfer-encoding", false),
        ] {
            assert_eq!(
                allowed_trailer(&HeaderName::from_static(name)),
                allowed,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_cookie_of_ours_reaches_an_app(line in "(sessionid|SESSIONID|__Host-vestibule-session|a)?( |;|=|\"|,|b|sessionid=1){0,8}") {
            if let Ok(value) = HeaderValue::try_from(line) {
                let parts = cleaned(get().header("cookie", value), |to| to.set_cookies = &[]);
                let left = parts.headers.get("cookie").map(|value| value.to_str().unwrap().to_lowercase());
                for pair in left.iter().flat_map(|left| left.split(';')) {
                    let name = pair.split('=').next().unwrap_or_default().trim();
                    prop_assert!(name != "sessionid" && name != "__host-vestibule-session");
                }
            }
        }
    }
}
