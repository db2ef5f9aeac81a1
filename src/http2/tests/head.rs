//! RFC 9113 8.2 and 8.3: which heads are requests, and what a handler sees of them.
use http::Request;
use hyper::body::Body;

use super::*;

type Fields = Vec<(&'static str, &'static str)>;

/// A usual head without the fields named so, and with these after it.
fn but(without: &[&str], with: &[(&'static str, &'static str)]) -> Fields {
    let usual = head("GET", "/").into_iter();
    let mut fields: Fields = usual.filter(|(name, _)| !without.contains(name)).collect();
    fields.extend_from_slice(with);
    fields
}

/// With this in place of the field of that name.
fn instead(name: &'static str, value: &'static str) -> Fields {
    but(&[name], &[(name, value)])
}

fn connect(with: &[(&'static str, &'static str)]) -> Fields {
    let every = [":method", ":scheme", ":authority", ":path"];
    [&[(":method", "CONNECT")], with]
        .concat()
        .into_iter()
        .chain(but(&every, &[]))
        .collect()
}

/// A site that counts its visits.
async fn counted() -> (Client, Count) {
    let visits = Count::default();
    (open_counted(&visits).await, visits)
}

/// Each head is the first of a connection; the next request on it is answered.
async fn all_malformed(heads: Vec<Fields>) {
    let mut different = Vec::new();
    for fields in heads {
        let (mut client, visits) = counted().await;
        client.request(1, &fields, true).await;
        let fate = client.fate(1).await;
        let unseen = visits.get() == 0;
        client.get(3, "/").await;
        let next = client.fate(3).await;
        if (&fate, unseen, &next) != (&Fate::Reset(PROTOCOL_ERROR), true, &Fate::Answered(200)) {
            different.push((fields, fate, unseen, next));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_has_each_pseudo_field_once_before_all_others() {
    let mut heads = Vec::new();
    for name in [":method", ":scheme", ":path", ":authority"] {
        // Whoever answers judges which host is meant.
        if name != ":authority" {
            heads.push(but(&[name], &[]));
        }
        heads.push(instead(name, ""));
        let value = head("GET", "/").into_iter().find(|field| field.0 == name);
        heads.push(but(&[], &[value.unwrap()]));
        heads.push(but(&[name], &[("accept", "*/*"), value.unwrap()]));
    }
    heads.extend([
        but(&[], &[(":status", "200")]),
        but(&[], &[(":version", "2")]),
        but(&[], &[(":", "x")]),
    ]);
    all_malformed(heads).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_whose_pseudo_fields_mean_nothing_is_malformed() {
    let mut heads = vec![
        instead(":method", "GE T"),
        instead(":scheme", "ht tp"),
        // For OPTIONS alone.
        instead(":path", "*"),
    ];
    let paths = [
        "index.html",
        "https://vestibule.test/",
        "?a",
        "/a b",
        "/a\tb",
        "/a\0",
        "/a\r\nb",
    ];
    // A fragment is the client's own business.
    heads.extend(paths.map(|path| instead(":path", path)));
    heads.extend(["/\x7f", "/a#b"].map(|path| instead(":path", path)));
    let authorities = ["a b", "a/b", "a?b", "a#b", "a\\b", "a\0", "a\nb", "[::1"];
    heads.extend(authorities.map(|authority| instead(":authority", authority)));
    all_malformed(heads).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_field_that_could_not_be_passed_on_safely_makes_a_head_malformed() {
    let mut heads = Vec::new();
    let names = [
        "Accept", "a b", "a:b", "a\0", "a\r\nb", "\x7f", "\u{fc}", "",
    ];
    heads.extend(names.map(|name| but(&[], &[(name, "x")])));
    let values = [
        "a\0b",
        "a\r\nb: c",
        "a\rb",
        "a\nb",
        " a",
        "a ",
        "\ta",
        "a\t",
    ];
    heads.extend(values.map(|value| but(&[], &[("accept", value)])));
    all_malformed(heads).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_field_that_concerns_a_connection_makes_a_head_malformed() {
    let heads = [
        ("connection", "close"),
        ("connection", "te"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ];
    all_malformed(heads.map(|field| but(&[], &[field])).into()).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connect_names_its_authority_and_with_a_protocol_all_else() {
    let (scheme, path) = ((":scheme", "https"), (":path", "/"));
    let authority = (":authority", "vestibule.test");
    let protocol = (":protocol", "websocket");
    all_malformed(vec![
        connect(&[]),
        connect(&[(":authority", "")]),
        connect(&[authority, path]),
        connect(&[authority, scheme]),
        connect(&[authority, scheme, path]),
        connect(&[protocol]),
        connect(&[protocol, authority, path]),
        connect(&[protocol, authority, scheme]),
        connect(&[protocol, scheme, path]),
        connect(&[protocol, protocol, authority, scheme, path]),
        connect(&[(":protocol", ""), authority, scheme, path]),
        connect(&[(":protocol", "a b"), authority, scheme, path]),
        connect(&[protocol, authority, scheme, (":path", "chat")]),
        but(&[], &[protocol]),
    ])
    .await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_may_be_unusual() {
    let mut different = Vec::new();
    for fields in [
        but(&[":authority"], &[("host", "vestibule.test")]),
        but(&[], &[("host", "vestibule.test")]),
        but(&[], &[("te", "trailers")]),
        but(&[], &[("accept", "")]),
        but(&[], &[("accept", "a\t\u{fc} b")]),
        but(&[], &[("cookie", "a=b"), ("cookie", "c=d")]),
        but(&[], &[("!#$%&'*+-.^_`|~9", "x")]),
        instead(":method", "PROPFIND"),
        instead(":method", "get"),
        instead(":scheme", "http"),
        instead(":path", "//a/../b;c=%00?d={}|&?/e"),
        instead(":authority", "[::1]:8443"),
        instead(":authority", "a_b-c.test:1"),
        but(
            &[":path", ":method"],
            &[(":path", "*"), (":method", "OPTIONS")],
        ),
        connect(&[(":authority", "vestibule.test:443")]),
    ] {
        let (mut client, visits) = counted().await;
        client.request(1, &fields, true).await;
        let fate = client.fate(1).await;
        if (&fate, visits.get()) != (&Fate::Answered(200), 1) {
            different.push((fields, fate));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_handler_sees_what_was_sent() {
    let mut client = Client::open_to(|request: Request<Received>| async move {
        let uri = request.uri();
        let authority = uri.authority().map(http::uri::Authority::as_str);
        assert_eq!(request.method(), "PUT");
        assert_eq!((uri.path(), uri.query()), ("/a%2Fb", Some("c=d")));
        assert_eq!(
            (uri.scheme_str(), authority),
            (Some("https"), Some("vestibule.test"))
        );
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert!(request.extensions().get::<Protocol>().is_none());
        let fields = request.headers().iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let expected: [(&str, &[u8]); 3] = [("cookie", b"a"), ("cookie", b"b"), ("x", b"\xc3\xbc")];
        assert_eq!(fields, expected);
        assert!(request.body().is_end_stream());
        say("seen")
    })
    .await;
    let own = [("cookie", "a"), ("x", "\u{fc}"), ("cookie", "b")];
    let fields = [&head("PUT", "/a%2Fb?c=d")[..], &own].concat();
    client.request(1, &fields, true).await;
    assert_eq!(client.expect_answer(1).await.body, b"seen");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_ends_with_at_most_one_head_of_plain_fields() {
    let mut different = Vec::new();
    for (fields, flags) in [
        ([(":path", "/")], END_STREAM),
        ([(":status", "200")], END_STREAM),
        ([("Digest", "x")], END_STREAM),
        ([("connection", "close")], END_STREAM),
        ([("digest", "a\nb")], END_STREAM),
        ([("digest", "x")], 0),
    ] {
        let mut client = Client::open().await;
        client.post(1, "/count").await;
        client.data(1, b"abc", false).await;
        let flags = flags | END_HEADERS;
        client
            .send_frame(HEADERS, flags, 1, &literals(&fields))
            .await;
        let fate = client.fate(1).await;
        let alive = client.is_alive().await;
        if (&fate, alive) != (&Fate::Reset(PROTOCOL_ERROR), true) {
            different.push((fields, flags, fate, alive));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_above_the_bound_is_answered_by_431_and_no_handler() {
    let long = |count: usize| vec![("x".to_owned(), "v".repeat(count))];
    // RFC 9113 6.5.2: each field counts for 32 bytes more than it has.
    let many = |count: usize| vec![("x".to_owned(), String::new()); count];
    let mut different = Vec::new();
    for (case, fields, end, expected, visit) in [
        ("a long field", long(64_000), true, 200, 1),
        ("a longer one", long(66_000), true, 431, 0),
        ("with a body", long(66_000), false, 431, 0),
        ("many small ones", many(1_900), true, 200, 1),
        ("more", many(2_000), true, 431, 0),
    ] {
        let (mut client, visits) = counted().await;
        let own = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = head("GET", "/").into_iter().chain(own).collect();
        client.send_head(1, &literals(&fields), 16_384, end).await;
        let found = (client.fate(1).await, visits.get());
        client.get(3, "/").await;
        let next = client.fate(3).await;
        if (&found, &next) != (&(Fate::Answered(expected), visit), &Fate::Answered(200)) {
            different.push((case, found, next));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_refused_head_leaves_its_fields_in_the_table() {
    let mut different = Vec::new();
    let many = "v".repeat(66_000);
    for (case, more, expected) in [
        ("malformed", ("Upper", "x"), Fate::Reset(PROTOCOL_ERROR)),
        ("too long", ("x", many.as_str()), Fate::Answered(431)),
    ] {
        let (seen, told) = std::sync::mpsc::channel();
        let mut client = Client::open_to(move |request: Request<Received>| {
            let _ = seen.send(request.headers().get("first").cloned());
            site(request)
        })
        .await;
        let block = [literals(&head("GET", "/")), literals(&[more])].concat();
        let block = [block, literal(0x40, "first", "kept")].concat();
        client.send_head(1, &block, 16_384, true).await;
        let fate = client.fate(1).await;
        // The first of the table's own fields (RFC 7541 2.3.3).
        let block = [literals(&head("GET", "/")), vec![INDEXED | 0x3e]].concat();
        client.send_head(3, &block, 16_384, true).await;
        let next = client.fate(3).await;
        let value = told.try_recv().ok().flatten();
        if (&fate, &next) != (&expected, &Fate::Answered(200)) || value.is_none_or(|v| v != "kept")
        {
            different.push((case, fate, next));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_that_cannot_be_decoded_ends_the_connection() {
    let mut different = Vec::new();
    for (case, block) in [
        ("the index 0", &[0x80][..]),
        ("an index above the table", &[INDEXED | 0x3e]),
        ("an index beyond all bounds", &[0xff; 12]),
        ("a field that breaks off", &[0, 1, b'x', 3, b'v']),
        ("a table larger than allowed", &[0x3f, 0xff, 0xff, 0x03]),
        ("a table's size after a field", &[0x82, 0x20]),
        (
            "Huffman's code of the end",
            &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff],
        ),
    ] {
        let mut client = Client::open().await;
        client
            .send_frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
            .await;
        let fate = client.fate(1).await;
        if fate != Fate::Gone(COMPRESSION_ERROR) {
            different.push((case, fate));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_may_come_in_pieces_with_padding_and_priority() {
    let mut client = Client::open().await;
    let block = literals(&head("GET", "/"));
    client.send_head(1, &block, 30, true).await;
    assert_eq!(client.expect_answer(1).await.body, b"hello");

    let (first, rest) = block.split_at(7);
    let payload = [&[3, 0, 0, 0, 0, 15][..], first, &[0; 3]].concat();
    let flags = PADDED | WITH_PRIORITY | END_STREAM;
    client.send_frame(HEADERS, flags, 3, &payload).await;
    client.send_frame(CONTINUATION, 0, 3, &[]).await;
    client.send_frame(CONTINUATION, END_HEADERS, 3, rest).await;
    assert_eq!(client.expect_answer(3).await.body, b"hello");
}
