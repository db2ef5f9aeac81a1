//! What header fields mean to a proxy: which concern one connection, which say who the client
//! is, which may follow a body.
//!
//! Imports `http` alone. Promise: a name that a request may bring is judged the same with dashes and
//! with underscores, because upstreams that hand fields on as environment variables (RFC 3875
//! 4.1.18) can't tell the two apart.

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
pub fn dashed(name: &str) -> Cow<'_, str> {
    if name.contains('_') {
        Cow::Owned(name.replace('_', "-"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether two names are one to a reader that can't tell dashes from underscores.
pub fn same_dashed(a: &str, b: &str) -> bool {
    let dash = |byte: u8| if byte == b'_' { b'-' } else { byte };
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| dash(a) == dash(b))
}

/// Whether a field, with dashes, claims to say where a request came from or as whom.
pub fn is_forwarding(dashed: &str) -> bool {
    // Most names are told apart by their first letter.
    matches!(
        dashed.as_bytes().first(),
        Some(b'c' | b'f' | b'p' | b'r' | b't' | b'x')
    ) && (FORWARDING.contains(&dashed) || starts_with_any(dashed, &FORWARDING_PREFIXES))
}

/// Whether a field, with dashes, concerns one connection alone, whatever `Connection` says.
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name.as_bytes().first(),
        Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u')
    ) && HOP_BY_HOP.contains(&name)
}

/// Whether a token of `Connection` names a field to be removed that is not removed anyway.
pub fn names_field(token: &[u8]) -> bool {
    let is = |known: &str| token.eq_ignore_ascii_case(known.as_bytes());
    !is("close") && !HOP_BY_HOP.iter().any(|name| is(name))
}

/// Whether a field may follow a body, in either direction. What an app has us add to requests
/// is for the caller to refuse besides.
pub fn allowed_trailer(name: &str) -> bool {
    let name = &*dashed(name);
    // RFC 9530 3: a digest is known only at the end.
    if matches!(name, "content-digest" | "content-md5") {
        return true;
    }
    !(is_hop_by_hop(name)
        || NEVER_TRAILING.contains(&name)
        || is_forwarding(name)
        || starts_with_any(name, &NEVER_TRAILING_PREFIXES))
}

/// Removes from `Trailer` the names that may not trail.
pub fn limit_trailer(headers: &mut HeaderMap) {
    let announced = announced(headers, |_| true);
    // A list of header names is a header value; an empty one is nothing to announce.
    match HeaderValue::try_from(announced) {
        Ok(list) if !list.is_empty() => drop(headers.insert(header::TRAILER, list)),
        _ => drop(headers.remove(header::TRAILER)),
    }
}

/// The names in `Trailer` that may trail and are `allowed`, as a list.
pub fn announced(headers: &HeaderMap, allowed: impl Fn(&str) -> bool) -> String {
    let names = tokens(headers, &header::TRAILER)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| allowed_trailer(name.as_str()) && allowed(name.as_str()));
    names.fold(String::new(), |mut list, name| {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(name.as_str());
        list
    })
}

/// Removes the fields whose names are `unwanted`, in one pass over those that are there.
pub fn remove_if(headers: &mut HeaderMap, mut unwanted: impl FnMut(&HeaderName) -> bool) {
    let names = headers.keys().filter(|name| unwanted(name));
    let unwanted: Vec<HeaderName> = names.cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// The tokens of a list field, over all its lines (RFC 9110 5.6.1), parameters aside.
pub fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| tokens_of(line.as_bytes()))
}

/// The same of one line.
pub fn tokens_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',')
        .filter_map(|element| element.split(|byte| *byte == b';').next())
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Whether a list field has `token`, in any case.
pub fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|listed| listed.eq_ignore_ascii_case(token.as_bytes()))
}

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_first_letter_is_missing() {
        for name in HOP_BY_HOP {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in FORWARDING.iter().chain(&FORWARDING_PREFIXES) {
            assert!(is_forwarding(name), "{name}");
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
            limit_trailer(&mut given);
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
            assert_eq!(allowed_trailer(name), allowed, "{name}");
        }
    }
}
