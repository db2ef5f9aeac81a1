//! An answer's head, made fit for the browser: an app may speak for its own paths alone, not
//! for the site that all apps share. Pure.

use http::{HeaderName, HeaderValue, StatusCode, Version, header, response::Parts};

use super::{request::remove_hop_by_hop, set_cookie};

/// What a client is to see.
#[derive(Clone, Copy, Debug)]
pub struct ForResponse<'a> {
    /// The app's own part of the site: `/codespace/alice`.
    pub prefix: &'a str,
    /// Whether the app knows nothing of that part.
    pub strip: bool,
    /// Our origin: `https://host:port`.
    pub origin: &'a str,
    /// Cookies that are ours; an app can't set them.
    pub own_cookies: &'a [String],
    /// Cookies that only we tell the app; it can't tell the browser.
    pub set_cookies: &'a [(String, String)],
    /// Who may show this in a frame, beside ourselves.
    pub frame_ancestors: &'a [String],
}

/// Speaks for the whole site, or has the browser report elsewhere.
const SITE_WIDE: [&str; 13] = [
    "strict-transport-security",
    "clear-site-data",
    "alt-svc",
    "public-key-pins",
    "public-key-pins-report-only",
    "expect-ct",
    "report-to",
    "reporting-endpoints",
    "nel",
    "origin-agent-cluster",
    "set-login",
    "speculation-rules",
    "activate-storage-access",
];
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// Makes a head fit for the browser.
pub fn clean(parts: &mut Parts, of: &ForResponse<'_>) {
    let headers = &mut parts.headers;
    remove_hop_by_hop(headers);
    for name in SITE_WIDE {
        headers.remove(name);
    }
    if headers.contains_key(header::SET_COOKIE) {
        let cookies: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies
            .iter()
            .filter_map(|cookie| set_cookie::confine(cookie, of))
        {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(mapped) = headers.get(&name).and_then(|to| mapped(to, of)) {
            headers.insert(name, mapped);
        }
    }
    let scope = headers.remove(SERVICE_WORKER_ALLOWED);
    if let Some(scope) = scope.and_then(|scope| worker_scope(&scope, of)) {
        headers.insert(SERVICE_WORKER_ALLOWED, scope);
    }
    // A policy more, never in place of the app's: a browser obeys all of them (CSP 3, 8.1).
    let ancestors = of.frame_ancestors.join(" ");
    let policy = format!("frame-ancestors 'self' {ancestors}");
    if parts.status != StatusCode::SWITCHING_PROTOCOLS
        && let Ok(policy) = HeaderValue::try_from(policy.trim_end())
    {
        headers.append(header::CONTENT_SECURITY_POLICY, policy);
    }
    parts.version = Version::HTTP_11;
}

/// Maps an address the app sent the browser to: `None` if it can stay as it is.
fn mapped(to: &HeaderValue, of: &ForResponse<'_>) -> Option<HeaderValue> {
    let to = to.to_str().ok()?;
    let path = own_path(to, of.origin)?;
    let mapped = if of.strip && !within(path, of.prefix) {
        format!("{}{path}", of.prefix)
    } else {
        path.to_owned()
    };
    HeaderValue::try_from(mapped).ok()
}

/// The path of an address on our own site, by whichever scheme the app thinks it is reached;
/// `None` for relative ones, which need no mapping, and for other sites.
fn own_path<'a>(to: &'a str, origin: &str) -> Option<&'a str> {
    if to.starts_with('/') {
        return (!to.starts_with("//")).then_some(to);
    }
    let authority = origin
        .split_once("://")
        .map_or(origin, |(_, authority)| authority);
    let (scheme, rest) = to.split_once("://")?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if !rest[..end].eq_ignore_ascii_case(authority) {
        return None;
    }
    match &rest[end..] {
        "" => Some("/"),
        path if path.starts_with('/') && !path.starts_with("//") => Some(path),
        _ => None,
    }
}

/// Whether a path lies in the app's part of the site.
pub fn within(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// A path that a browser, or we, might read as another one.
pub fn is_crooked(path: &str) -> bool {
    path.contains("..") || path.contains('\\') || path.contains('%')
}

/// How far a service worker may reach: within the app's part, or no further than its own
/// script's directory, which is the default without the header (Service Workers 1, 4.3). What an
/// app that knows nothing of its part says is not mapped: nobody may ask for `/`.
fn worker_scope(scope: &HeaderValue, of: &ForResponse<'_>) -> Option<HeaderValue> {
    let scope = scope.to_str().ok()?.trim();
    if is_crooked(scope) {
        return None;
    }
    let inside = within(scope, of.prefix) && scope.len() > of.prefix.len();
    inside.then(|| HeaderValue::try_from(scope).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn cleaned(fields: &[(&str, &str)], strip: bool) -> Parts {
        let own = ["__Host-vestibule-session".to_owned()];
        let of = ForResponse {
            prefix: "/codespace/alice",
            strip,
            origin: "https://ide.test:8443",
            own_cookies: &own,
            set_cookies: &[],
            frame_ancestors: &["https://portal.test".to_owned()],
        };
        let response = fields
            .iter()
            .fold(Response::builder(), |response, (name, value)| {
                response.header(*name, *value)
            });
        let mut parts = response.body(()).unwrap().into_parts().0;
        clean(&mut parts, &of);
        parts
    }

    #[test]
    fn a_redirect_stays_in_the_workspace() {
        for (to, strip, expected) in [
            ("/login", true, "/codespace/alice/login"),
            ("./?folder=/home", true, "./?folder=/home"),
            ("/codespace/alice/x", true, "/codespace/alice/x"),
            (
                "/codespace/alicex",
                true,
                "/codespace/alice/codespace/alicex",
            ),
            ("/codespace/alice/lab", false, "/codespace/alice/lab"),
            ("/lab", false, "/lab"),
            ("http://ide.test:8443/a?b#c", true, "/codespace/alice/a?b#c"),
            ("https://IDE.test:8443", true, "/codespace/alice/"),
            ("https://elsewhere.test/a", true, "https://elsewhere.test/a"),
            ("//elsewhere.test/a", true, "//elsewhere.test/a"),
            (
                "https://ide.test:8443//elsewhere.test",
                true,
                "https://ide.test:8443//elsewhere.test",
            ),
        ] {
            let parts = cleaned(&[("location", to)], strip);
            assert_eq!(parts.headers["location"], expected, "{to}");
        }
    }

    #[test]
    fn an_app_does_not_speak_for_the_site() {
        let mut fields: Vec<(&str, &str)> = SITE_WIDE.iter().map(|name| (*name, "x")).collect();
        fields.extend([
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("etag", "\"1\""),
            ("content-length", "3"),
        ]);
        let parts = cleaned(&fields, true);
        let mut left: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "content-security-policy", "etag"]);
    }

    #[test]
    fn a_service_worker_reaches_no_further_than_its_workspace() {
        for (scope, strip, expected) in [
            ("/", true, None),
            ("/static/", true, None),
            ("/codespace/alice/", true, Some("/codespace/alice/")),
            ("/codespace/alice/x/", false, Some("/codespace/alice/x/")),
            ("/", false, None),
            ("/codespace/bob/", false, None),
            ("/codespace/alice/../bob/", true, None),
            ("//evil/", true, None),
            ("https://ide.test:8443/", true, None),
        ] {
            let parts = cleaned(&[("service-worker-allowed", scope)], strip);
            let left = parts
                .headers
                .get(SERVICE_WORKER_ALLOWED)
                .map(|value| value.to_str().unwrap());
            assert_eq!(left, expected, "{scope}");
        }
    }

    #[test]
    fn an_apps_own_policy_is_kept_and_ours_added() {
        let parts = cleaned(&[("content-security-policy", "default-src 'self'")], true);
        let all: Vec<_> = parts
            .headers
            .get_all("content-security-policy")
            .iter()
            .collect();
        assert_eq!(
            all,
            [
                "default-src 'self'",
                "frame-ancestors 'self' https://portal.test"
            ]
        );
    }
}
