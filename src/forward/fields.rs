//! What header fields mean to a proxy: which concern one connection, which say who the client
//! is, which may follow a body.
//!
//! Imports `http` alone. Promise: a name is judged the same with dashes and with underscores,
//! because upstreams that hand fields on as environment variables (RFC 3875 4.1.18) can't tell
//! the two apart.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Fields of one connection (RFC 9110 7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Fields that tell an upstream where a request came from, by which address, or as whom. Some
/// framework believes each of them.
const FORWARDING: [&str; 26] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    // Becomes HTTP_PROXY in a CGI's environment (CVE-2016-5385).
    "proxy",
    "remote-user",
    "true-client-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-host",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-user",
    "x-request-id",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
];

/// Prefixes of whole families of such fields.
const FORWARDING_PREFIXES: [&str; 4] = [
    "x-appengine-",
    "x-auth-request-",
    "x-forwarded",
    "x-vestibule-",
];

/// Fields that a program reads before it reads a body, so that one after it could only
/// contradict what was decided (RFC 9110 6.5.1): framing, routing, conditions, credentials,
/// cookies, how to read the content, how long to keep it.
const NEVER_TRAILING: [&str; 26] = [
    "age",
    "alt-svc",
    "authentication-info",
    "authorization",
    "cache-control",
    "clear-site-data",
    "cookie",
    "expect",
    "expires",
    "host",
    "link",
    "location",
    "max-forwards",
    "nel",
    "origin",
    "pragma",
    "range",
    "referer",
    "refresh",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "vary",
    "www-authenticate",
    "x-content-type-options",
];

/// Prefixes of families that are read before a body as well. `if-` are conditions, `sec-` what
/// the browser says of itself, the rest rules that a page lives under.
const NEVER_TRAILING_PREFIXES: [&str; 8] = [
    "access-control-",
    "content-",
    "cross-origin-",
    "if-",
    "permissions-policy",
    "referrer-policy",
    "sec-",
    "x-frame-options",
];

/// The name with every underscore as a dash.
pub fn dashed(name: &HeaderName) -> Cow<'_, str> {
    if name.as_str().contains('_') {
        Cow::Owned(name.as_str().replace('_', "-"))
    } else {
        Cow::Borrowed(name.as_str())
    }
}

/// Whether a field, with dashes, claims to say where a request came from or as whom.
pub fn is_forwarding(dashed: &str) -> bool {
    FORWARDING.contains(&dashed) || starts_with_any(dashed, &FORWARDING_PREFIXES)
}

/// Whether a field may follow a body, in either direction. What an app has us add to requests
/// is for the caller to refuse besides.
pub fn allowed_trailer(name: &HeaderName) -> bool {
    let name = &*dashed(name);
    // RFC 9530 3: a digest is known only at the end.
    if matches!(name, "content-digest" | "content-md5") {
        return true;
    }
    !(HOP_BY_HOP.contains(&name)
        || NEVER_TRAILING.contains(&name)
        || is_forwarding(name)
        || starts_with_any(name, &NEVER_TRAILING_PREFIXES))
}

/// Removes what concerns one connection alone (RFC 9110 7.6.1), and from `Trailer` the names
/// that may not trail. To be done before any field of ours is set, so that a `Connection` that
/// names one of ours removes the sender's own and no more.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Framing and routing are not the sender's to take away (RFC 9110 7.6.1, "MUST NOT").
    let kept = [header::CONTENT_LENGTH, header::HOST];
    let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !kept.contains(name))
        .collect();
    remove_if(headers, |name| {
        HOP_BY_HOP.contains(&name.as_str()) || named.contains(name)
    });
    if headers.contains_key(header::TRAILER) {
        announce_only(headers, allowed_trailer);
    }
}

/// Takes out of `Trailer` what isn't `allowed`; hyper sends those trailers alone that it names.
pub fn announce_only(headers: &mut HeaderMap, allowed: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = tokens(headers, &header::TRAILER)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(allowed)
        .collect();
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    // A list of header names is a header value; an empty one is nothing to announce.
    match HeaderValue::try_from(names.join(", ")) {
        Ok(list) if !list.is_empty() => drop(headers.insert(header::TRAILER, list)),
        _ => drop(headers.remove(header::TRAILER)),
    }
}

/// Removes the fields whose names are `unwanted`, in one pass over those that are there.
pub fn remove_if(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|n| unwanted(n)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// The elements of a list field, over all its lines (RFC 9110 5.6.1).
pub fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Whether one of the elements of a list field is `token`, in any case, parameters aside.
pub fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|element| {
        let bare = element.split(|byte| *byte == b';').next();
        bare.is_some_and(|bare| bare.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_connection_names_goes_and_what_frames_a_message_stays() {
        for (connection, left) in [
            (&["close"][..], &["a", "b", "content-length", "host"][..]),
            (&["A , b"], &["content-length", "host"]),
            (&["a", "b"], &["content-length", "host"]),
            (
                &["content-length, HOST,, ,a"],
                &["b", "content-length", "host"],
            ),
            (&["bad name, \"a\""], &["a", "b", "content-length", "host"]),
        ] {
            let mut given = headers(&[
                ("host", "h"),
                ("content-length", "3"),
                ("a", "1"),
                ("a", "2"),
                ("b", "1"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic eDp5"),
                ("te", "gzip"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("http2-settings", "AAMAAABk"),
            ]);
            for line in connection {
                given.append("connection", line.parse().unwrap());
            }
            remove_hop_by_hop(&mut given);
            assert_eq!(names(&given), left, "{connection:?}");
        }
    }

    #[test]
    fn trailer_announces_only_what_may_trail() {
        for (announced, left) in [
            (
                &["X-Sum, Content-Digest"][..],
                Some("x-sum, content-digest"),
            ),
            (&["Authorization, X-Sum", "Set-Cookie"], Some("x-sum")),
            (&["Host"], None),
            (&["not a name"], None),
        ] {
            let mut given = HeaderMap::new();
            for line in announced {
                given.append("trailer", line.parse().unwrap());
            }
            remove_hop_by_hop(&mut given);
            let found = given.get("trailer").map(|value| value.to_str().unwrap());
            assert_eq!(found, left, "{announced:?}");
        }
    }

    #[test]
    fn a_trailer_never_frames_routes_or_authorises() {
        for (name, allowed) in [
            ("grpc-status", true),
            ("server-timing", true),
            ("etag", true),
            ("x-checksum", true),
            ("content-digest", true),
            ("content-length", false),
            ("content-type", false),
            ("content-security-policy", false),
            ("transfer-encoding", false),
            ("connection", false),
            ("host", false),
            ("authorization", false),
            ("proxy-authorization", false),
            ("cookie", false),
            ("set-cookie", false),
            ("set_cookie", false),
            ("x-forwarded-for", false),
            ("x_forwarded_user", false),
            ("x-vestibule-user", false),
            ("if-match", false),
            ("sec-fetch-site", false),
            ("access-control-allow-origin", false),
            ("strict-transport-security", false),
            ("location", false),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(allowed_trailer(&name), allowed, "{name}");
        }
    }
}
