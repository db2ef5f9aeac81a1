use std::sync::LazyLock;

use super::*;
use proptest::prelude::*;

const PREFIX: &str = "/codespace/bob";

static OWN: LazyLock<[String; 2]> =
    LazyLock::new(|| ["__Host-vestibule-session", "site"].map(str::to_owned));
static INJECTED: LazyLock<[(String, String); 1]> =
    LazyLock::new(|| [("app-key".to_owned(), "secret".to_owned())]);

fn edited<'a>(
    fields: &[(&'static str, &[u8])],
    status: u16,
    edit: impl FnOnce(&mut ForResponse<'a>),
) -> Parts {
    let mut of = ForResponse {
        prefix: PREFIX,
        strip: true,
        origin_authority: "ide.example.test:8443",
        upstream_authority: "172.18.0.2:8080",
        own_cookies: &*OWN,
        injected_cookies: &*INJECTED,
        frame_ancestors: &[],
        https: true,
    };
    edit(&mut of);
    let response = http::Response::builder().status(status);
    let mut parts = response.body(()).unwrap().into_parts().0;
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value).unwrap();
        parts.headers.append(*name, value);
    }
    clean(&mut parts, &of);
    parts
}

/// The values of a field of an answer that had these.
fn left(name: &'static str, values: &[&[u8]], strip: bool) -> Vec<String> {
    let fields: Vec<_> = values.iter().map(|value| (name, *value)).collect();
    said(&edited(&fields, 200, |of| of.strip = strip), name)
}

fn said(parts: &Parts, name: &str) -> Vec<String> {
    let values = parts.headers.get_all(name).iter();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    values.map(text).collect()
}

#[test]
fn what_speaks_for_the_origin_is_gone() {
    let mut fields: Vec<(&'static str, &[u8])> = REFUSED.map(|name| (name, &b"x"[..])).into();
    fields.extend([
        ("content-length", &b"3"[..]),
        ("server", b"node"),
        ("x-frame-options", b"SAMEORIGIN"),
        ("trailer", b"server-timing, set-cookie"),
    ]);
    let parts = edited(&fields, 200, |_| ());
    let mut names: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let passed = [
        "content-length",
        "content-security-policy",
        "server",
        "trailer",
    ];
    assert_eq!(names, [&passed[..], &["x-frame-options"]].concat());
    assert_eq!(said(&parts, "trailer"), ["server-timing"]);
}

#[test]
fn an_address_leads_where_the_browser_finds_it() {
    for (given, stripped, kept) in [
        ("/", "/codespace/bob/", "/"),
        (
            "/login?to=/x#y",
            "/codespace/bob/login?to=/x#y",
            "/login?to=/x#y",
        ),
        ("/codespace/bob/x", "/codespace/bob/x", "/codespace/bob/x"),
        ("/codespace/bob?x", "/codespace/bob?x", "/codespace/bob?x"),
        (
            "/codespace/bobby",
            "/codespace/bob/codespace/bobby",
            "/codespace/bobby",
        ),
        ("./login", "./login", "./login"),
        ("../x", "../x", "../x"),
        ("?folder=/home", "?folder=/home", "?folder=/home"),
        ("", "", ""),
        ("https://ide.example.test:8443/x", "/codespace/bob/x", "/x"),
        ("HTTP://IDE.example.test:8443/x", "/codespace/bob/x", "/x"),
        ("https://ide.example.test:8443", "/codespace/bob/", "/"),
        (
            "https://ide.example.test:8443?a",
            "/codespace/bob/?a",
            "/?a",
        ),
        (
            "https://ide.example.test:8443/codespace/bob/x",
            "/codespace/bob/x",
            "/codespace/bob/x",
        ),
        ("http://172.18.0.2:8080/x", "/codespace/bob/x", "/x"),
        (
            "https://ide.example.test:8443//x",
            "/codespace/bob//x",
            "https://ide.example.test:8443//x",
        ),
        (
            "https://ide.example.test/x",
            "https://ide.example.test/x",
            "https://ide.example.test/x",
        ),
        (
            "https://ide.example.test:8443@evil/x",
            "https://ide.example.test:8443@evil/x",
            "https://ide.example.test:8443@evil/x",
        ),
        (
            "https://other.test/x",
            "https://other.test/x",
            "https://other.test/x",
        ),
        ("//other.test/x", "//other.test/x", "//other.test/x"),
        ("/\\other.test/x", "/\\other.test/x", "/\\other.test/x"),
        ("vscode://x/y", "vscode://x/y", "vscode://x/y"),
        ("/é", "/codespace/bob/é", "/é"),
    ] {
        for name in ["location", "content-location"] {
            assert_eq!(left(name, &[given.as_bytes()], true), [stripped], "{given}");
            assert_eq!(left(name, &[given.as_bytes()], false), [kept], "{given}");
        }
    }
}

#[test]
fn a_default_port_is_the_same_written_or_not() {
    for (ours, https, given, mapped) in [
        ("a.test", true, "https://a.test:443/x", true),
        ("a.test", true, "http://a.test:80/x", true),
        ("a.test:443", true, "https://a.test/x", true),
        ("a.test", false, "http://a.test/x", true),
        ("a.test", true, "https://a.test:80/x", false),
        ("a.test:8443", true, "https://a.test/x", false),
    ] {
        let parts = edited(&[("location", given.as_bytes())], 302, |of| {
            of.origin_authority = ours;
            of.https = https;
        });
        let expected = if mapped { "/codespace/bob/x" } else { given };
        assert_eq!(said(&parts, "location"), [expected], "{given} for {ours}");
    }
}

#[test]
fn a_refresh_leads_where_the_browser_finds_it() {
    for (given, expected) in [
        ("5", "5"),
        ("5; url=/x", "5; url=/codespace/bob/x"),
        ("0;URL = '/x'", "0; url=/codespace/bob/x"),
        ("0, \"/x\" junk", "0; url=/codespace/bob/x"),
        ("0; url=/codespace/bob/", "0; url=/codespace/bob/"),
        ("0; url=https://other.test/", "0; url=https://other.test/"),
        ("0; urls/x", "0; urls/x"),
        ("0;", "0;"),
    ] {
        assert_eq!(
            left("refresh", &[given.as_bytes()], true),
            [expected],
            "{given}"
        );
    }
}

#[test]
fn a_service_worker_has_its_workspace_at_most() {
    for (given, stripped, kept) in [
        (&["/"][..], None, None),
        (
            &["/codespace/bob/"],
            Some("/codespace/bob/"),
            Some("/codespace/bob/"),
        ),
        (
            &["/codespace/bob/a/"],
            Some("/codespace/bob/a/"),
            Some("/codespace/bob/a/"),
        ),
        (&["/codespace/bob"], None, None),
        (&["/codespace/"], None, None),
        (&["/../"], None, None),
        (&["/codespace/bob/../"], None, None),
        (&["/codespace/bob/%2e%2e/"], None, None),
        (&["/codespace/bob/.\t./"], None, None),
        (&["/codespace/bob\\..\\"], None, None),
        (&["/x", "/"], None, None),
        (&["./"], None, None),
        (&["//other.test/"], None, None),
        (&["https://other.test/codespace/bob/"], None, None),
        (&[""], None, None),
    ] {
        let values: Vec<_> = given.iter().map(|value| value.as_bytes()).collect();
        for (strip, expected) in [(true, stripped), (false, kept)] {
            let found = left("service-worker-allowed", &values, strip);
            assert_eq!(
                found.first().map(String::as_str),
                expected,
                "{given:?} {strip}"
            );
        }
    }
}

#[test]
fn nobody_else_frames_a_workspace_and_its_own_policy_stays() {
    let own = ("content-security-policy", &b"default-src 'self'"[..]);
    let us = "frame-ancestors 'self'".to_owned();
    let origins = ["https://site.test".to_owned(), "https://b.test".to_owned()];
    let broken = ["a\nb".to_owned()];
    let them = format!("{us} https://site.test https://b.test");
    for (fields, status, ancestors, expected) in [
        (&[][..], 200, &[][..], &[&us[..]][..]),
        (&[own], 200, &[], &["default-src 'self'", &us]),
        (&[own], 200, &origins, &["default-src 'self'", &them]),
        (&[], 404, &broken, &[&us]),
        (&[], 304, &[], &[]),
        (&[own], 304, &[], &["default-src 'self'", &us]),
        (&[], 101, &[], &[]),
    ] {
        let parts = edited(fields, status, |of| of.frame_ancestors = ancestors);
        assert_eq!(said(&parts, own.0), expected, "{status}");
    }
}

proptest! {
    #[test]
    fn no_service_worker_ever_reaches_beyond_its_workspace(
        asked in r"(/|\.|%2e|\\|\t|codespace|bob|bobby|https:|ide\.example\.test:8443|[?# ]){0,10}",
        strip: bool,
    ) {
        for scope in left("service-worker-allowed", &[asked.as_bytes()], strip) {
            prop_assert!(scope.starts_with("/codespace/bob/"), "{scope:?}");
            let climbs = scope.split('/').any(|segment| segment == "..");
            prop_assert!(!climbs, "{scope:?}");
        }
    }

    #[test]
    fn a_mapped_address_never_names_another_host(
        given in r"(/|\.|\\|evil|https?:|//|ide\.example\.test:8443|172\.18\.0\.2:8080|@|[?#]){0,8}",
        strip: bool,
    ) {
        let found = left("location", &[given.as_bytes()], strip);
        if found != [given.trim_ascii()] {
            prop_assert!(found[0].starts_with('/'), "{found:?}");
            prop_assert!(!found[0].starts_with("//") && !found[0].starts_with("/\\"), "{found:?}");
        }
    }
}
