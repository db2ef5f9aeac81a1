mod client;
mod framing;

use super::*;
use proptest::prelude::*;

const PREFIX: &str = "/codespace/alice";

fn parts(uri: &str, fields: &[(&'static str, &str)]) -> Parts {
    let mut request = http::Request::get(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Runs `clean` with what an app with a secret and a session of ours would have it do.
fn clean_with(parts: &mut Parts, edit: impl FnOnce(&mut ForRequest<'_>)) -> Result<(), HeadError> {
    let own_cookies = ["__Host-vestibule-session".to_owned()];
    let set_cookies = [("app-key".to_owned(), "secret".to_owned())];
    let set_headers = [
        (
            HeaderName::from_static("x-app-key"),
            HeaderValue::from_static("secret"),
        ),
        (
            HeaderName::from_static("remote-user"),
            HeaderValue::from_static("alice"),
        ),
    ];
    let uri = parts.uri.clone();
    let mut to = ForRequest {
        uri: &uri,
        client: ClientInfo {
            addr: [203, 0, 113, 7].into(),
            authority: "ide.example.test",
            https: true,
            request_id: "r1",
        },
        prefix: PREFIX,
        strip: true,
        set_headers: &set_headers,
        set_cookies: &set_cookies,
        own_cookies: &own_cookies,
        strip_authorization: true,
    };
    edit(&mut to);
    let mut draft = Draft::default();
    let body = parts.headers.contains_key("transfer-encoding");
    write(parts, &to, Ask::Answer { body }, &mut draft)?;
    *parts = read(&draft.text);
    Ok(())
}

/// The head that was written, as its reader sees it.
fn read(head: &[u8]) -> Parts {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut fields);
    let end = parsed.parse(head).unwrap();
    assert_eq!(end, httparse::Status::Complete(head.len()));
    assert_eq!(parsed.version, Some(1));
    let mut request = http::Request::builder()
        .method(parsed.method.unwrap())
        .uri(parsed.path.unwrap());
    for field in parsed.headers {
        request = request.header(field.name, field.value);
    }
    request.body(()).unwrap().into_parts().0
}

fn cleaned(fields: &[(&'static str, &str)]) -> Parts {
    let mut parts = parts("https://ide.example.test/codespace/alice/x?y", fields);
    clean_with(&mut parts, |_| ()).unwrap();
    parts
}

fn said(parts: &Parts, name: &str) -> Vec<String> {
    let values = parts.headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// Everything that we say, in the order of the alphabet.
fn ours() -> Vec<(String, String)> {
    [
        ("cookie", "app-key=secret"),
        (
            "forwarded",
            "for=203.0.113.7;host=ide.example.test;proto=https",
        ),
        ("host", "ide.example.test"),
        ("remote-user", "alice"),
        ("x-app-key", "secret"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-host", "ide.example.test"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", PREFIX),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "r1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn all(parts: &Parts) -> Vec<(String, String)> {
    let fields = parts.headers.iter();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut all: Vec<_> = fields
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    all.sort();
    all
}

#[test]
fn what_a_client_says_in_our_place_never_arrives() {
    for claim in [
        &[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
        ][..],
        &[("x_forwarded_for", "1.1.1.1"), ("x-forwarded_user", "bob")],
        &[
            ("x-forwarded", "for=1.1.1.1"),
            ("x-forwarded-proto", "http"),
        ],
        &[("x-forwarded-host", "evil"), ("x-forwarded-prefix", "/x")],
        &[
            ("forwarded", "for=1.1.1.1;host=evil"),
            ("via_", "x"),
            ("x-real-ip", "1.1.1.1"),
        ],
        &[("x-original-url", "/admin"), ("x-rewrite-url", "/admin")],
        &[
            ("true-client-ip", "1.1.1.1"),
            ("cf-connecting-ip", "1.1.1.1"),
        ],
        &[
            ("proxy", "http://evil"),
            ("x-vestibule-user", "bob"),
            ("x_vestibule_user", "bob"),
        ],
        &[("x-request-id", "other"), ("x-request-id", "another")],
        &[
            ("x-app-key", "guess"),
            ("x_app_key", "guess"),
            ("x_app-key", "guess"),
        ],
        &[("remote-user", "bob"), ("remote_user", "bob")],
        &[("host", "evil"), ("host", "evil2"), ("x-host", "evil")],
        &[
            ("cookie", "app-key=guess"),
            ("cookie", "__Host-vestibule-session=t"),
        ],
        &[
            ("cookie_", "x"),
            ("_cookie", "x"),
            ("authorization", "Bearer t"),
        ],
        &[
            ("authorization", "Basic eDp5"),
            ("proxy-authorization", "Basic eDp5"),
        ],
        &[
            ("proxy_authorization", "x"),
            ("content_length", "3"),
            ("transfer_encoding", "x"),
        ],
        &[(
            "connection",
            "close, x-forwarded-for, cookie, authorization, x-app-key, host",
        )],
        &[
            ("connection", "x-mine, remote-user"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
        ],
        &[
            ("upgrade", "h2c"),
            ("http2-settings", "AAMA"),
            ("connection", "upgrade"),
        ],
        &[("te", "gzip;q=0.5")],
    ] {
        let parts = cleaned(claim);
        let mut found = all(&parts);
        // These spell nothing that means anything, and may pass.
        found.retain(|(name, _)| !matches!(name.as_str(), "via_" | "cookie_" | "_cookie"));
        assert_eq!(found, ours(), "{claim:?}");
    }
}

#[test]
fn what_concerns_the_app_alone_arrives_unchanged() {
    let passes = [
        ("accept", "text/html"),
        ("expect", "100-continue"),
        ("if-none-match", "\"x\""),
        ("origin", "https://ide.example.test"),
        ("range", "bytes=0-1"),
        ("sec-websocket-protocol", "v1.kernel.websocket.jupyter.org"),
        ("x_custom", "1"),
        ("x-xsrftoken", "t"),
    ];
    let mut expected = ours();
    expected.extend(passes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    expected.sort();
    assert_eq!(all(&cleaned(&passes)), expected);
}

#[test]
fn an_authorization_for_the_app_arrives() {
    let mut head = parts("/codespace/alice/", &[("authorization", "token x")]);
    clean_with(&mut head, |to| to.strip_authorization = false).unwrap();
    assert_eq!(said(&head, "authorization"), ["token x"]);
}

#[test]
fn other_cookies_arrive_byte_for_byte() {
    let lines = [
        ("cookie", "a=\"1\"; __Host-vestibule-session=t"),
        ("cookie", "b=2=="),
    ];
    let parts = cleaned(&lines);
    assert_eq!(said(&parts, "cookie"), ["a=\"1\"; b=2==; app-key=secret"]);
}

#[test]
fn the_path_loses_its_prefix_only_where_asked_to() {
    for (uri, stripped, kept) in [
        ("/codespace/alice/", Some("/"), "/codespace/alice/"),
        ("/codespace/alice", Some("/"), "/codespace/alice"),
        (
            "/codespace/alice?x=/y",
            Some("/?x=/y"),
            "/codespace/alice?x=/y",
        ),
        (
            "/codespace/alice/a%20b/?q=%2e#f",
            Some("/a%20b/?q=%2e"),
            "/codespace/alice/a%20b/?q=%2e",
        ),
        (
            "https://ide.example.test/codespace/alice/a",
            Some("/a"),
            "/codespace/alice/a",
        ),
        (
            "/codespace/alice//evil/x",
            Some("//evil/x"),
            "/codespace/alice//evil/x",
        ),
        (
            "/codespace/alice/codespace/alice/",
            Some("/codespace/alice/"),
            "/codespace/alice/codespace/alice/",
        ),
        ("/codespace/alicent/", None, ""),
        ("/codespace/bob/", None, ""),
        ("/Codespace/alice/", None, ""),
        ("/", None, ""),
        ("*", None, ""),
    ] {
        for (strip, expected) in [(true, stripped), (false, stripped.and(Some(kept)))] {
            let mut head = parts(uri, &[]);
            head.version = Version::HTTP_2;
            let result = clean_with(&mut head, |to| to.strip = strip);
            assert_eq!(result.is_ok(), expected.is_some(), "{uri}");
            if let Some(expected) = expected {
                assert_eq!(head.uri.to_string(), expected, "{uri}");
                assert_eq!(head.version, Version::HTTP_11);
            } else {
                assert_eq!(result, Err(HeadError::OutsidePrefix), "{uri}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_client_speaks_for_us_whatever_it_sends(
        fields in proptest::collection::vec(
            (
                prop_oneof![
                    Just("connection"), Just("x-forwarded-for"), Just("x_forwarded_for"),
                    Just("forwarded"), Just("cookie"), Just("x-app-key"), Just("x_app_key"),
                    Just("host"), Just("remote-user"), Just("authorization"),
                ],
                "(evil|[,; =]|x-app-key|cookie|host|__Host-vestibule-session=evil|app-key=evil){0,6}",
            ),
            0..8,
        ),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut parts = cleaned(&fields);
        // Other cookies may say anything, ours are looked at one by one.
        let cookies = said(&parts, "cookie").concat();
        prop_assert!(cookies.ends_with("app-key=secret"), "{}", cookies);
        let mut pairs = cookies.split("; ");
        prop_assert!(!pairs.any(|pair| pair.starts_with("__Host-vestibule")), "{}", cookies);
        let injected = cookies.split("; ").filter(|pair| pair.starts_with("app-key="));
        prop_assert_eq!(injected.count(), 1);
        parts.headers.insert("cookie", HeaderValue::from_static("app-key=secret"));
        prop_assert_eq!(all(&parts), ours());
    }
}

#[test]
fn the_next_head_of_a_connection_says_nothing_of_the_one_before() {
    let secret = (
        HeaderName::from_static("x-secret"),
        HeaderValue::from_static("s"),
    );
    let mut draft = Draft::default();
    let mut seen = |path: &str, id: &str, fields: &[(&'static str, &str)]| {
        let parts = parts(path, fields);
        let to = ForRequest {
            uri: &parts.uri,
            client: ClientInfo {
                addr: [203, 0, 113, 7].into(),
                authority: "ide.example.test",
                https: true,
                request_id: id,
            },
            prefix: PREFIX,
            strip: false,
            set_headers: std::slice::from_ref(&secret),
            set_cookies: &[],
            own_cookies: &[],
            strip_authorization: true,
        };
        write(&parts, &to, Ask::Answer { body: false }, &mut draft).unwrap();
        let read = read(&draft.text);
        let said = |name: &str| -> Vec<String> {
            let values = read.headers.get_all(name).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect()
        };
        let names = ["host", "x-secret", "x-request-id", "x-mine"];
        let said: Vec<String> = names.into_iter().flat_map(said).collect();
        (read.uri.path().to_owned(), said.join(" "))
    };
    for (path, id, fields, expected) in [
        (
            "/codespace/alice/a/long/path",
            "r1",
            &[("x-mine", "1")][..],
            "ide.example.test s r1 1",
        ),
        ("/codespace/alice/", "r2", &[], "ide.example.test s r2"),
    ] {
        assert_eq!(
            seen(path, id, fields),
            (path.to_owned(), expected.to_owned())
        );
    }
}
