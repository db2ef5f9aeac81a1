//! Cookies that an upstream sets, held within its workspace.
//!
//! Imports `http` and what this room knows of cookies. Promise: what leaves here has no Domain,
//! exactly one Path, within the prefix, and no name that we or the web application use. All
//! users share one host, so a cookie of one workspace must never reach another, nor us.

use http::{HeaderMap, HeaderValue, header};

use super::{cookies, location};

/// Where an upstream's cookies may live, and what they may not be called.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// `/<app>/<user>`, without a slash at the end.
    pub prefix: &'a str,
    /// Whether the upstream doesn't know of the prefix.
    pub strip: bool,
    /// Names of our cookies and of the web application's.
    pub own_cookies: &'a [String],
    /// Cookies that we add to requests; the browser has no use for one of that name.
    pub injected_cookies: &'a [(String, String)],
    /// Whether the browser came by HTTPS.
    pub https: bool,
}

/// Holds each `Set-Cookie` within the bounds, or drops it.
pub fn confine(headers: &mut HeaderMap, within: &Bounds<'_>) {
    let header::Entry::Occupied(lines) = headers.entry(header::SET_COOKIE) else {
        return;
    };
    let (_, lines) = lines.remove_entry_mult();
    let confined: Vec<HeaderValue> = lines.filter_map(|line| confined(&line, within)).collect();
    for line in confined {
        headers.append(header::SET_COOKIE, line);
    }
}

/// The cookie as it may leave, if at all.
fn confined(line: &HeaderValue, within: &Bounds<'_>) -> Option<HeaderValue> {
    let mut parts = line.as_bytes().split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default().trim_ascii();
    if !may_be_called(pair, within) {
        return None;
    }
    let mut out = pair.to_vec();
    let mut path = None;
    let mut secure = within.https;
    for attribute in parts {
        let attribute = attribute.trim_ascii();
        let mut halves = attribute.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"path") {
            // The last one counts (RFC 6265bis 5.7), so only one may be left.
            path = Some(halves.next().unwrap_or_default().trim_ascii());
        } else if name.eq_ignore_ascii_case(b"secure") {
            secure = true;
        } else if !name.eq_ignore_ascii_case(b"domain") && !attribute.is_empty() {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(attribute);
        }
    }
    out.extend_from_slice(b"; Path=");
    out.extend_from_slice(&confined_path(path.unwrap_or_default(), within));
    if secure {
        out.extend_from_slice(b"; Secure");
    }
    // Parts of a header value, and a prefix that came in as a path, make a header value.
    HeaderValue::from_bytes(&out).ok()
}

fn may_be_called(pair: &[u8], within: &Bounds<'_>) -> bool {
    // A nameless cookie is sent as its value alone, which may look like one of any name.
    let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    if pair[..equals].trim_ascii().is_empty() {
        return false;
    }
    let name = cookies::name_of(pair);
    // A `__Host-` cookie must have Path=/ (RFC 6265bis 4.1.3.2): it can't be confined, and
    // without that path no browser keeps it.
    let guard = b"__host-";
    let unconfinable = name.len() >= guard.len() && name[..guard.len()].eq_ignore_ascii_case(guard);
    let bare = cookies::unguarded(name);
    let same = |other: &str| cookies::unguarded(other.as_bytes()).eq_ignore_ascii_case(bare);
    !(name.is_empty()
        || unconfinable
        || cookies::is_reserved(name)
        || within.own_cookies.iter().any(|own| same(own))
        || within.injected_cookies.iter().any(|(set, _)| same(set)))
}

/// A path within the prefix: the one asked for, if it is one or maps to one.
fn confined_path(path: &[u8], within: &Bounds<'_>) -> Vec<u8> {
    let prefix = within.prefix.as_bytes();
    let plain = path.starts_with(b"/") && location::is_plain(path);
    if plain && location::is_within(path, prefix) {
        path.to_vec()
    } else if plain && within.strip {
        [prefix, path].concat()
    } else {
        [prefix, b"/"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PREFIX: &str = "/codespace/bob";

    fn left(lines: &[&[u8]], strip: bool, https: bool) -> Vec<Vec<u8>> {
        let own_cookies = ["__Host-vestibule-session".to_owned(), "site".to_owned()];
        let injected_cookies = [("app-key".to_owned(), "secret".to_owned())];
        let within = Bounds {
            prefix: PREFIX,
            strip,
            own_cookies: &own_cookies,
            injected_cookies: &injected_cookies,
            https,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line).unwrap();
            headers.append(header::SET_COOKIE, line);
        }
        confine(&mut headers, &within);
        let lines = headers.get_all(header::SET_COOKIE).into_iter();
        lines.map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_name_that_is_taken_is_never_set() {
        for line in [
            &b"__Host-vestibule-session=x"[..],
            b"__HOST-Vestibule-Session=x",
            b"__Secure-vestibule-session=x",
            b"vestibule-state=x",
            b" \"vestibule-session\"=x",
            b"site=x",
            b"SITE=x; Path=/codespace/bob/",
            b"__Secure-site=x",
            b"app-key=x",
            b"App-Key=; Max-Age=0",
            b"__Host-mine=x; Path=/; Secure",
            b"__Host-Http-mine=x; Path=/; Secure",
            b"=site=x",
            b" =__Host-vestibule-session=x",
            b"__Host-vestibule-session",
            b"site",
            b"",
            b"; Path=/",
            b"\"=__Host-vestibule-session=x",
        ] {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(left(&[line], true, true), [&b""[..]; 0], "{shown}");
        }
    }

    #[test]
    fn a_path_is_kept_mapped_or_confined() {
        for (asked, stripped, kept) in [
            ("", "/codespace/bob/", "/codespace/bob/"),
            ("; Path", "/codespace/bob/", "/codespace/bob/"),
            ("; Path=", "/codespace/bob/", "/codespace/bob/"),
            ("; Path=x", "/codespace/bob/", "/codespace/bob/"),
            ("; Path=\"/\"", "/codespace/bob/", "/codespace/bob/"),
            ("; Path=/", "/codespace/bob/", "/codespace/bob/"),
            ("; path = /a ", "/codespace/bob/a", "/codespace/bob/"),
            ("; Path=/codespace/bob", "/codespace/bob", "/codespace/bob"),
            (
                "; Path=/codespace/bob/",
                "/codespace/bob/",
                "/codespace/bob/",
            ),
            (
                "; Path=/codespace/bob/a",
                "/codespace/bob/a",
                "/codespace/bob/a",
            ),
            (
                "; Path=/codespace/bobby",
                "/codespace/bob/codespace/bobby",
                "/codespace/bob/",
            ),
            (
                "; Path=/codespace/bob/; Path=/",
                "/codespace/bob/",
                "/codespace/bob/",
            ),
            (
                "; Path=/codespace/bob/../",
                "/codespace/bob/",
                "/codespace/bob/",
            ),
            (
                "; Path=/codespace/bob/%2e%2e/",
                "/codespace/bob/",
                "/codespace/bob/",
            ),
            ("; Path=/..", "/codespace/bob/", "/codespace/bob/"),
            ("; Path=/a\\b", "/codespace/bob/", "/codespace/bob/"),
        ] {
            let line = format!("a=1{asked}");
            for (strip, path) in [(true, stripped), (false, kept)] {
                let expected = format!("a=1; Path={path}").into_bytes();
                assert_eq!(
                    left(&[line.as_bytes()], strip, false),
                    [expected],
                    "{asked}"
                );
            }
        }
    }

    #[test]
    fn domain_goes_secure_comes_and_the_rest_stays() {
        for (line, expected) in [
            (
                &b"a=\"x y\" ;Domain=example.test;domain=.test; HttpOnly;SameSite=Lax"[..],
                &b"a=\"x y\"; HttpOnly; SameSite=Lax; Path=/codespace/bob/; Secure"[..],
            ),
            (
                b"a==b=; Expires=Wed, 21 Oct 2015 07:28:00 GMT; SECURE; DOMAIN",
                b"a==b=; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/codespace/bob/; Secure",
            ),
            (
                b"a=\xff\xe9; Max-Age=0; Partitioned; ;",
                b"a=\xff\xe9; Max-Age=0; Partitioned; Path=/codespace/bob/; Secure",
            ),
            (b"__Secure-a=", b"__Secure-a=; Path=/codespace/bob/; Secure"),
        ] {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(left(&[line], true, true), [expected], "{shown}");
        }
        let plain = left(&[b"a=1; secure"], true, false);
        assert_eq!(plain, [b"a=1; Path=/codespace/bob/; Secure"]);
    }

    #[test]
    fn each_cookie_is_judged_alone_and_in_order() {
        let lines = [&b"a=1"[..], b"site=x", b"b=2", b"__Host-x=1", b"a=3"];
        let names: Vec<_> = left(&lines, true, true)
            .iter()
            .map(|line| line[..3].to_vec())
            .collect();
        assert_eq!(names, [b"a=1", b"b=2", b"a=3"]);
    }

    proptest! {
        #[test]
        fn no_cookie_ever_leaves_its_workspace(
            line in "([=; \t\"]|a=1|site|__Host-|vestibule-|[Dd]omain|[Pp]ATH|=/|/codespace/bob|\\.\\.|/|%2e|bby|x\\.test){0,14}",
            strip: bool,
        ) {
            for line in left(&[line.as_bytes()], strip, true) {
                let line = String::from_utf8(line).unwrap();
                let (pair, attributes) = line.split_once(';').unwrap();
                let name = pair.split('=').next().unwrap().trim().to_lowercase();
                prop_assert!(!name.is_empty() && name != "site", "{line:?}");
                prop_assert!(!name.contains("__host-") || !name.starts_with("__"), "{line:?}");
                prop_assert!(!name.starts_with("vestibule-"), "{line:?}");
                let mut paths = Vec::new();
                for attribute in attributes.split(';') {
                    let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                    let key = key.trim().to_lowercase();
                    prop_assert_ne!(&key, "domain");
                    if key == "path" {
                        paths.push(value.trim().to_owned());
                    }
                }
                prop_assert_eq!(paths.len(), 1, "{:?}", line);
                prop_assert!(format!("{}/", paths[0]).starts_with("/codespace/bob/"), "{line:?}");
                prop_assert!(!paths[0].contains("/../"), "{line:?}");
            }
        }
    }
}
