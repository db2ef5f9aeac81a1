//! Cookies on their way to an upstream: ours stay behind, the app's secret comes along.
//!
//! Imports `http` and `text`. Promise: cookies that are neither ours nor set here arrive byte for
//! byte and in their order; values are never taken for text, since they may hold any byte.

use http::{HeaderMap, header};

use crate::text;

/// Whether a name, whatever guards a browser on it (RFC 6265bis 4.1.3), is one that only we
/// give cookies.
pub fn is_reserved(name: &[u8]) -> bool {
    let bare = unguarded(name);
    let ours = b"vestibule-";
    bare.len() >= ours.len() && bare[..ours.len()].eq_ignore_ascii_case(ours)
}

/// The name without a `__Host-`, `__Secure-` or `__Http-` in front.
pub fn unguarded(name: &[u8]) -> &[u8] {
    let guards: [&[u8]; 4] = [b"__host-http-", b"__host-", b"__secure-", b"__http-"];
    for guard in guards {
        if name.len() >= guard.len() && name[..guard.len()].eq_ignore_ascii_case(guard) {
            return &name[guard.len()..];
        }
    }
    name
}

/// The name of a `name=value`, without the blanks and quotes that lenient readers overlook.
pub fn name_of(pair: &[u8]) -> &[u8] {
    let overlooked = |byte: u8| byte == b'"' || byte <= b' ';
    let mut name = pair;
    // RFC 6265bis 5.6: a nameless cookie is sent as its value, with or without the `=`.
    while let [first, rest @ ..] = name
        && (overlooked(*first) || *first == b'=')
    {
        name = rest;
    }
    name = name.split(|byte| *byte == b'=').next().unwrap_or(name);
    while let [rest @ .., last] = name
        && overlooked(*last)
    {
        name = rest;
    }
    name
}

/// Writes to `out` the line of cookies that an upstream sees: the client's, without those named
/// in `own` and any other of our names, and those of `set` in place of the client's of the same
/// name. Nothing if there are none.
///
/// # Errors
/// If a cookie of `set` can't stand in a header.
pub fn write(
    headers: &HeaderMap,
    own: &[String],
    set: &[(String, String)],
    out: &mut Vec<u8>,
) -> Result<(), Unsayable> {
    let stays = |pair: &[u8]| {
        let name = name_of(pair);
        !(own.iter().any(|ours| ours.as_bytes() == name)
            || is_reserved(name)
            || set.iter().any(|(injected, _)| injected.as_bytes() == name))
    };
    let begun = out.len();
    out.extend_from_slice(b"cookie: ");
    let empty = out.len();
    // HTTP/2 may bring each cookie in a line of its own (RFC 9113 8.2.3).
    let mut lines = headers.get_all(header::COOKIE).into_iter();
    let (first, second) = (lines.next(), lines.next());
    if let (Some(only), None) = (first, second)
        && set.is_empty()
        && pairs(only.as_bytes()).all(stays)
    {
        out.extend_from_slice(only.as_bytes());
    } else {
        for field in headers.get_all(header::COOKIE) {
            let pieces = text::split(field.as_bytes(), b';');
            let kept =
                pieces.filter(|pair| !pair.trim_ascii().is_empty() && stays(pair.trim_ascii()));
            for (number, pair) in kept.enumerate() {
                // Byte for byte, as a quoted value may hold the separator and blanks of its own.
                if number == 0 {
                    separate(out, empty);
                    out.extend_from_slice(pair.trim_ascii_start());
                } else {
                    out.push(b';');
                    out.extend_from_slice(pair);
                }
            }
        }
        for (name, value) in set {
            // All of them, without an early end: so they are looked at many at a time.
            let plain = |text: &str| {
                let bytes = text.bytes();
                bytes.fold(true, |plain, byte| {
                    plain & matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
                })
            };
            if !(plain(name) && plain(value)) {
                return Err(Unsayable);
            }
            separate(out, empty);
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
    if out.len() == empty {
        out.truncate(begun);
    } else {
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}

/// A cookie would end the line it stands in.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsayable;

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    text::split(line, b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

fn separate(out: &mut Vec<u8>, empty: usize) {
    if out.len() > empty {
        out.extend_from_slice(b"; ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const SESSION: &str = "__Host-vestibule-session";

    fn own() -> Vec<String> {
        vec![SESSION.to_owned(), "site".to_owned()]
    }

    fn forwarded(lines: &[&[u8]], set: &[(String, String)]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("cookie", HeaderValue::from_bytes(line).unwrap());
        }
        let mut out = Vec::new();
        write(&headers, &own(), set, &mut out).unwrap();
        if out.is_empty() {
            return None;
        }
        let line = out.strip_prefix(b"cookie: ").unwrap();
        let line = line.strip_suffix(b"\r\n").unwrap();
        assert!(!line.contains(&b'\n'), "{lines:?}");
        Some(line.to_vec())
    }

    #[test]
    fn our_cookies_stay_behind_and_others_arrive_unchanged() {
        for (lines, left) in [
            (&[&b"a=1;b=2 ;  c=3"[..]][..], Some(&b"a=1;b=2 ;  c=3"[..])),
            (
                &[b"a=1; __Host-vestibule-session=t; b=2"],
                Some(b"a=1; b=2"),
            ),
            (&[b"__Host-vestibule-session=t"], None),
            (
                &[b"__Host-vestibule-session=t; __Host-vestibule-session=u"],
                None,
            ),
            (&[b"__host-VESTIBULE-session=t; vestibule-state=n"], None),
            (
                &[b"__Host-vestibule-anything=t;a=\xff\xfe"],
                Some(b"a=\xff\xfe"),
            ),
            (&[b" \"__Host-vestibule-session\" =t;a=1"], Some(b"a=1")),
            (&[b"=__Host-vestibule-session=t;a=1"], Some(b"a=1")),
            (&[b"__Host-vestibule-session"], None),
            (
                &[b"a=\"; __Host-vestibule-session=t; b=\""],
                Some(b"a=\"; b=\""),
            ),
            (
                &[b"site=t; Site=mine; siteb=x"],
                Some(b"Site=mine; siteb=x"),
            ),
            (&[b"a=1", b"site=t", b"b==2=;;"], Some(b"a=1; b==2=")),
            (&[b";;"], Some(b";;")),
            (&[], None),
        ] {
            let found = forwarded(lines, &[]);
            assert_eq!(found.as_deref(), left, "{lines:?}");
        }
    }

    #[test]
    fn an_injected_cookie_replaces_every_one_of_its_name() {
        let set = [("key".to_owned(), "secret".to_owned())];
        for (lines, left) in [
            (&[][..], &b"key=secret"[..]),
            (
                &[&b"a=1; key=guess; key=again; b=2"[..]][..],
                b"a=1; b=2; key=secret",
            ),
            (&[b"\"key\"=guess; Key=mine"], b"Key=mine; key=secret"),
        ] {
            let found = forwarded(lines, &set);
            assert_eq!(found.as_deref(), Some(left), "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_that_would_break_the_head_is_an_error() {
        let set = [("key".to_owned(), "a\r\nhost: b".to_owned())];
        let written = write(&HeaderMap::new(), &own(), &set, &mut Vec::new());
        assert_eq!(written, Err(Unsayable));
    }

    proptest! {
        #[test]
        fn no_cookie_of_ours_ever_leaves(
            lines in proptest::collection::vec(
                "([\"= ;\t]|__Host-vestibule-session|__host-|vestibule-|site|=t|a=1|\u{e9}){0,12}",
                0..4,
            ),
        ) {
            let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            let line = forwarded(&lines, &[]).unwrap_or_default();
            for pair in line.split(|byte| *byte == b';') {
                let name = pair.trim_ascii().split(|byte| *byte == b'=').next().unwrap_or(pair);
                let name = String::from_utf8_lossy(name).to_lowercase();
                prop_assert!(name != "site" && !name.starts_with("__host-vestibule-"), "{name}");
            }
        }

        #[test]
        fn cookies_of_others_are_never_changed(
            pairs in proptest::collection::vec("[a-r]{1,4}=[!-:<-~]{0,8}", 1..6),
            separator in ";|; ",
        ) {
            let clean = pairs.join(&separator);
            let mut mixed = pairs.clone();
            mixed.insert(pairs.len() / 2, format!("{SESSION}=token"));
            let line = forwarded(&[mixed.join(&separator).as_bytes()], &[]);
            prop_assert_eq!(line, Some(clean.into_bytes()));
        }
    }
}
