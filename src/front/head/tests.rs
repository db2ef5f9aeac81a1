use http::Request;

use super::*;

const OURS: &str = "https://ide.example.test";

fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_host_is_named_once_and_is_ours() {
    use HeadError::{Framing, Host, Long, Misdirected, Scheme};
    let [longest, longer] =
        [0, 1].map(|more| format!("/{}?", "a".repeat(LONGEST_TARGET - 2 + more)));
    let ours = ("host", "ide.example.test");
    for (uri, fields, expected) in [
        ("/", vec![ours], Ok(())),
        ("/", vec![("host", "IDE.example.test:443")], Ok(())),
        ("/", vec![], Err(Host)),
        ("/", vec![("host", "")], Err(Host)),
        ("/", vec![ours, ours], Err(Host)),
        ("/", vec![("host", "evil")], Err(Misdirected)),
        (
            "/",
            vec![("host", "ide.example.test:8443")],
            Err(Misdirected),
        ),
        ("http://evil/", vec![ours], Err(Misdirected)),
        ("https://ide.example.test/", vec![ours], Ok(())),
        ("ftp://ide.example.test/", vec![ours], Err(Scheme)),
        (&longest, vec![ours], Ok(())),
        (&longer, vec![ours], Err(Long)),
        ("/", vec![ours, ("transfer-encoding", "chunked")], Ok(())),
        (
            "/",
            vec![ours, ("transfer-encoding", "gzip, chunked")],
            Err(Framing),
        ),
        (
            "/",
            vec![
                ours,
                ("transfer-encoding", "chunked"),
                ("content-length", "6"),
            ],
            Err(Framing),
        ),
    ] {
        let head = head("GET", uri, &fields);
        assert_eq!(
            check(&head, "ide.example.test"),
            expected,
            "{uri} {fields:?}"
        );
    }
}

#[test]
fn only_a_person_going_somewhere_is_a_navigation() {
    for (method, fields, expected) in [
        ("GET", vec![("sec-fetch-mode", "navigate")], true),
        (
            "GET",
            vec![
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            true,
        ),
        (
            "GET",
            vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            false,
        ),
        (
            "GET",
            vec![("sec-fetch-mode", "cors"), ("accept", "text/html")],
            false,
        ),
        ("GET", vec![("accept", "text/html,*/*")], true),
        ("GET", vec![("accept", "*/*")], false),
        ("GET", vec![], false),
        ("HEAD", vec![("accept", "text/html")], false),
        ("POST", vec![("sec-fetch-mode", "navigate")], false),
        (
            "GET",
            vec![("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")],
            false,
        ),
        (
            "GET",
            vec![("accept", "text/html"), ("upgrade", "websocket")],
            false,
        ),
    ] {
        assert_eq!(
            is_navigation(&head(method, "/", &fields)),
            expected,
            "{method} {fields:?}"
        );
    }
}

#[test]
fn whatever_could_become_a_socket_is_judged_as_one() {
    for (upgrade, expected) in [
        ("websocket", true),
        ("h2c, WebSocket", true),
        ("websocket;q=1", true),
        ("websocket, \u{ff}", true),
        ("\u{ff},websocket", true),
        ("h2c", false),
        ("websockets", false),
    ] {
        let fields = [("upgrade", upgrade), ("connection", "upgrade")];
        let mut head = head("GET", "/", &fields);
        assert_eq!(
            is_websocket(&head.headers, &head.extensions),
            expected,
            "{upgrade}"
        );
        // Nothing is opened that was not judged so.
        assert_eq!(forward::is_handshake(&head), expected, "{upgrade}");
        head.headers.remove(header::CONNECTION);
        assert!(!forward::is_handshake(&head));
    }
}

#[test]
fn another_site_may_only_link_to_us() {
    let nav = ("sec-fetch-mode", "navigate");
    let socket = ("upgrade", "websocket");
    for (method, fields, bearer, expected) in [
        ("GET", vec![], false, false),
        (
            "GET",
            vec![nav, ("sec-fetch-site", "cross-site")],
            false,
            false,
        ),
        ("GET", vec![("sec-fetch-site", "cross-site")], false, true),
        ("GET", vec![("sec-fetch-site", "same-site")], false, true),
        (
            "GET",
            vec![
                nav,
                ("sec-fetch-dest", "iframe"),
                ("sec-fetch-site", "cross-site"),
            ],
            false,
            true,
        ),
        ("POST", vec![("origin", OURS)], false, false),
        (
            "POST",
            vec![
                nav,
                ("origin", "https://evil.test"),
                ("sec-fetch-site", "cross-site"),
            ],
            false,
            true,
        ),
        ("POST", vec![], false, true),
        ("POST", vec![], true, false),
        ("POST", vec![("origin", "https://evil.test")], true, true),
        (
            "POST",
            vec![("origin", "https://friend.test")],
            false,
            false,
        ),
        ("GET", vec![socket, ("origin", OURS)], false, false),
        ("GET", vec![socket], false, true),
        ("GET", vec![socket], true, false),
        ("GET", vec![socket, ("origin", "null")], false, true),
        (
            "GET",
            vec![socket, ("origin", "https://ide.example.test.evil")],
            false,
            true,
        ),
        (
            "GET",
            vec![socket, ("origin", "http://ide.example.test")],
            false,
            true,
        ),
        (
            "GET",
            vec![socket, ("origin", "https://ide.example.test:444")],
            false,
            true,
        ),
    ] {
        let head = head(method, "/", &fields);
        let trusted = ["https://friend.test".to_owned()];
        let got = is_cross_site(&head, OURS, &trusted, bearer);
        assert_eq!(got, expected, "{method} {fields:?} bearer {bearer}");
    }
}

#[test]
fn a_client_address_is_believed_as_far_as_trusted_proxies_vouch() {
    let trusted = [Network {
        address: "10.0.0.0".parse().unwrap(),
        prefix: 8,
    }];
    for (peer, forwarded, expected) in [
        ("192.0.2.7:1", "1.2.3.4", "192.0.2.7"),
        ("10.0.0.1:1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1:1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1:1", "nonsense", "10.0.0.1"),
    ] {
        let head = head("GET", "/", &[("x-forwarded-for", forwarded)]);
        let got = client(&head.headers, peer.parse().unwrap(), &trusted);
        assert_eq!(got.to_string(), expected, "{peer} {forwarded}");
    }
}

#[test]
fn a_query_value_is_decoded_as_a_form_is() {
    let uri: Uri = "/x?next=%2Fcodespace%2Fa+b&token=t".parse().unwrap();
    assert_eq!(query_value(&uri, "next").as_deref(), Some("/codespace/a b"));
    assert_eq!(query_value(&uri, "none"), None);
}
