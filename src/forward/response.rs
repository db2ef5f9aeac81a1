//! Edits an upstream's answer for the browser. Pure: no I/O, no clock.
//!
//! Imports `http` and what this room knows of fields, cookies and addresses. Promise: an answer
//! acts on its own workspace alone. All users share one origin (path mode), so whatever a field
//! would change for the whole origin, or for a proxy in front of us, is taken out or held
//! within the prefix.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response::Parts};

use super::{fields, location, set_cookie};

const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// Fields that speak for the whole origin, or to a server in front of us.
const REFUSED: [&str; 39] = [
    // What a browser is asked to tell with every request to the origin.
    "accept-ch",
    "alt-svc",
    "attribution-reporting-register-source",
    "attribution-reporting-register-trigger",
    "cdn-cache-control",
    "clear-site-data",
    "critical-ch",
    "critical-origin-trial",
    "expect-ct",
    "idp-signin-status",
    "nel",
    "observe-browsing-topics",
    "origin-agent-cluster",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    // Device-bound sessions sign requests of the whole origin, and may hold them up.
    "sec-session-challenge",
    "sec-session-googlechallenge",
    "sec-session-googlerefresh",
    "sec-session-id",
    "sec-session-registration",
    "secure-session-challenge",
    "secure-session-registration",
    "secure-session-skipped",
    "set-login",
    "shared-storage-write",
    // Rules may prefetch, and so log in or start, what nobody clicked.
    "speculation-rules",
    "strict-transport-security",
    // Orders to a cache in front of us, which would serve a workspace to anybody.
    "surrogate-control",
    // A dictionary may be offered for every path.
    "use-as-dictionary",
    // Orders to nginx, Apache, lighttpd, LiteSpeed or Perlbal in front of us to keep an answer, or
    // to serve a file of theirs.
    "x-accel-expires",
    "x-accel-redirect",
    "x-lighttpd-send-file",
    "x-litespeed-cache-control",
    "x-litespeed-location",
    "x-reproxy-url",
    "x-sendfile",
    "x-sendfile2",
];

/// Their lengths, a bit for each: most fields have another, and pass at one look.
const REFUSED_LENGTHS: u64 = {
    let (mut lengths, mut at) = (0, 0);
    while at < REFUSED.len() {
        lengths |= 1 << REFUSED[at].len();
        at += 1;
    }
    lengths
};

fn is_refused(name: &str) -> bool {
    name.len() < 64 && (REFUSED_LENGTHS >> name.len()) & 1 == 1 && REFUSED.contains(&name)
}

/// Fields that say for which addresses something is, or where it is.
const ADDRESSES: [&str; 5] = [
    "content-location",
    "location",
    "refresh",
    "service-worker-allowed",
    "set-cookie",
];

/// What an answer needs to become the browser's.
#[derive(Clone, Copy)]
pub struct ForResponse<'a> {
    /// `/<app>/<user>`, without a slash at the end.
    pub prefix: &'a str,
    /// Whether the upstream saw the path without the prefix.
    pub strip: bool,
    /// Host, or host and port, that the browser used.
    pub origin_authority: &'a str,
    /// The address and port that the upstream was reached by.
    pub upstream_authority: &'a str,
    /// Names of our cookies and of the web application's: no upstream sets these.
    pub own_cookies: &'a [String],
    /// Cookies that we add to requests: no upstream sets these either.
    pub injected_cookies: &'a [(String, String)],
    /// Origins, besides our own, whose pages may show the workspace in a frame.
    pub frame_ancestors: &'a [String],
    /// Whether the browser used HTTPS.
    pub https: bool,
}

/// Edits in place a head that [`answer`](super::answer) read, which ended what concerned its
/// connection alone.
pub fn clean(parts: &mut Parts, of: &ForResponse<'_>) {
    let headers = &mut parts.headers;
    let (mut addresses, mut trails) = (false, false);
    fields::remove_if(headers, |name| {
        trails |= *name == header::TRAILER;
        addresses |= ADDRESSES.contains(&name.as_str());
        is_refused(name.as_str())
    });
    if trails {
        fields::limit_trailer(headers);
    }
    if addresses {
        confine(headers, of);
    }
    limit_framing(headers, parts.status, of.frame_ancestors);
}

/// Holds cookies, addresses and service workers within the workspace.
fn confine(headers: &mut HeaderMap, of: &ForResponse<'_>) {
    let bounds = set_cookie::Bounds {
        prefix: of.prefix,
        strip: of.strip,
        own_cookies: of.own_cookies,
        injected_cookies: of.injected_cookies,
        https: of.https,
    };
    set_cookie::confine(headers, &bounds);
    let map = location::Map {
        prefix: of.prefix,
        strip: of.strip,
        origin_authority: of.origin_authority,
        https: of.https,
        upstream_authority: of.upstream_authority,
    };
    rewrite(headers, header::LOCATION, |value| map.path(value));
    rewrite(headers, header::CONTENT_LOCATION, |value| map.path(value));
    rewrite(headers, header::REFRESH, |value| {
        location::refresh(value, &map)
    });
    confine_service_worker(headers, &map);
}

/// Replaces the values of a field for which `new` has another.
fn rewrite(headers: &mut HeaderMap, name: HeaderName, new: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let header::Entry::Occupied(mut values) = headers.entry(name) else {
        return;
    };
    for value in values.iter_mut() {
        let new = new(value.as_bytes()).and_then(|new| HeaderValue::from_bytes(&new).ok());
        if let Some(new) = new {
            *value = new;
        }
    }
}

/// Lets a service worker have at most its whole workspace. What an app asks for that knows
/// nothing of its prefix isn't mapped: then a worker has its own script's folder, which is the
/// default (Service Workers 1, 4.3).
fn confine_service_worker(headers: &mut HeaderMap, map: &location::Map<'_>) {
    let Some(first) = headers.get(&SERVICE_WORKER_ALLOWED) else {
        return;
    };
    let scope = first.as_bytes().trim_ascii();
    // A scope is compared as text, so without its slash it would take in `/codespace/alice2`.
    let below = scope
        .strip_prefix(map.prefix.as_bytes())
        .is_some_and(|rest| rest.starts_with(b"/"));
    let only = headers.get_all(&SERVICE_WORKER_ALLOWED).iter().count() == 1;
    let scope = HeaderValue::from_bytes(scope);
    headers.remove(&SERVICE_WORKER_ALLOWED);
    if let Ok(scope) = scope
        && below
        && only
        && location::is_plain(scope.as_bytes())
    {
        headers.insert(SERVICE_WORKER_ALLOWED, scope);
    }
}

/// Adds a policy that says who may frame the workspace. The upstream's own policies stay: a
/// page must satisfy all of them (CSP 3, 8.1).
fn limit_framing(headers: &mut HeaderMap, status: StatusCode, ancestors: &[String]) {
    let name = header::CONTENT_SECURITY_POLICY;
    let replaces_stored = match status {
        StatusCode::SWITCHING_PROTOCOLS => return,
        // Its fields replace the stored ones (RFC 9111 3.2): ours alone would wipe out the
        // upstream's, which stand beside ours in what the browser has stored.
        StatusCode::NOT_MODIFIED => true,
        _ => false,
    };
    if replaces_stored && !headers.contains_key(&name) {
        return;
    }
    let only_us = HeaderValue::from_static("frame-ancestors 'self'");
    let policy = if ancestors.is_empty() {
        only_us
    } else {
        let policy = format!("frame-ancestors 'self' {}", ancestors.join(" "));
        HeaderValue::try_from(policy).unwrap_or(only_us)
    };
    headers.append(name, policy);
}

#[cfg(test)]
mod tests;
