//! Whether browsers can bring the cookies that sessions hang on.

use http::Uri;

use super::{Finding, Running};
use crate::{
    config::Config,
    symptoms::{Seen, Symptom},
};

pub fn examine(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let loops = running.map(|running| running.symptoms.recent(Symptom::LoginLoop));
    let loops = loops.unwrap_or_default();
    let ours = host_of(&config.site.origin);
    let theirs = host_of(&config.site.login_url);
    let cookie = config.session.shared_cookie.as_deref();
    vec![match cookie {
        Some(cookie) => shared(cookie, &ours, &theirs, &loops),
        None => handed_off(&loops),
    }]
}

fn shared(cookie: &str, ours: &str, theirs: &str, loops: &[Seen]) -> Finding {
    let Some(domain) = domain(ours, theirs) else {
        return Finding::fail(
            "cookies",
            format!("no cookie of {theirs} reaches {ours}: they share no domain"),
            "take `session.shared_cookie` away and use the hand-off, or put both under one domain",
        );
    };
    if cookie.to_ascii_lowercase().starts_with("__host-") && ours != theirs {
        return Finding::fail(
            "cookies",
            format!(
                "{cookie:?} stays on {theirs}: a browser lets no `__Host-` cookie have a domain"
            ),
            "name the cookie `__Secure-...` in both places, or use the hand-off",
        );
    }
    let attribute = if ours == theirs {
        "without `Domain`".to_owned()
    } else {
        format!("with `Domain={domain}`")
    };
    match loops.first() {
        Some(seen) => Finding::fail(
            "cookies",
            format!(
                "browsers come back from {theirs} without a good {cookie:?}, again and again: {}",
                told(seen)
            ),
            format!(
                "set the cookie {attribute}; `Path=/; Secure; HttpOnly; SameSite=Lax` (the Django \
                     example: `VESTIBULE_COOKIE_DOMAIN`)"
            ),
        ),
        None => Finding::ok(
            "cookies",
            format!("{cookie:?} of {theirs} can reach {ours}, if it is set {attribute}"),
        ),
    }
}

fn handed_off(loops: &[Seen]) -> Finding {
    match loops.first() {
        Some(seen) => Finding::warn(
            "cookies",
            format!(
                "browsers are sent to log in again and again: {}",
                told(seen)
            ),
            "do they reach us by HTTPS at `public_url`? Our cookies are kept there alone. If a \
             hand-off was refused, the audit log says why; a clock that is wrong does the same",
        ),
        None => Finding::ok("cookies", "they stay on our host; none is known to be lost"),
    }
}

/// How often, when, and what was wrong.
fn told(seen: &Seen) -> String {
    let minutes = seen.ago.as_secs() / 60;
    format!(
        "{} times, last {minutes} min ago ({})",
        seen.count, seen.what
    )
}

/// The longest domain that both hosts are in, if a cookie may have it: not an address, and at
/// least two labels, since browsers take none for a whole top-level domain (RFC 6265 5.3).
fn domain<'h>(ours: &'h str, theirs: &str) -> Option<&'h str> {
    if ours == theirs {
        return Some(ours);
    }
    let is_address = |host: &str| {
        host.trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok()
    };
    if is_address(ours) || is_address(theirs) {
        return None;
    }
    let starts = ours.match_indices('.').map(|(at, _)| at + 1);
    let mut ends = std::iter::once(0).chain(starts).map(|at| &ours[at..]);
    ends.find(|end| {
        let below = theirs.strip_suffix(end);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.')) && end.contains('.')
    })
}

/// The host of a URL, without its port; the configuration has none without a host.
fn host_of(url: &str) -> String {
    let url = url.parse::<Uri>().ok();
    url.and_then(|url| Some(url.host()?.to_owned()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_shared_where_browsers_share_it() {
        for (ours, theirs, expected) in [
            ("ide.example.org", "www.example.org", Some("example.org")),
            ("ide.example.org", "example.org", Some("example.org")),
            (
                "ide.example.org",
                "ide.example.org",
                Some("ide.example.org"),
            ),
            ("a.b.example.org", "c.b.example.org", Some("b.example.org")),
            ("localhost", "localhost", Some("localhost")),
            ("localhost", "127.0.0.1", None),
            ("ide.example.org", "www.example.net", None),
            ("ide.example.org", "www.other.org", None),
            ("ide.example.org", "notexample.org", None),
            ("10.0.0.1", "11.0.0.1", None),
            ("[::1]", "[::2]", None),
        ] {
            assert_eq!(domain(ours, theirs), expected, "{ours} {theirs}");
        }
    }
}
