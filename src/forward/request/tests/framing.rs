//! How a request's body follows, and what no request may ask for.

use super::*;

#[test]
fn a_body_of_uncertain_length_goes_nowhere() {
    for (fields, left) in [
        (&[("content-length", "3")][..], Ok((&["3"][..], &[][..]))),
        (
            &[("content-length", "3"), ("content-length", "3")],
            Ok((&["3"], &[])),
        ),
        (&[("transfer-encoding", "Chunked")], Ok((&[], &["chunked"]))),
        (
            &[("connection", "content-length"), ("content-length", "3")],
            Ok((&["3"], &[])),
        ),
        (
            &[
                ("connection", "transfer-encoding"),
                ("transfer-encoding", "chunked"),
            ],
            Ok((&[], &["chunked"])),
        ),
        (&[("content-length", "3"), ("content-length", "4")], Err(())),
        (
            &[("content-length", "3"), ("content-length", "03")],
            Err(()),
        ),
        (&[("content-length", "3, 3")], Err(())),
        (&[("content-length", "+3")], Err(())),
        (&[("content-length", "-1")], Err(())),
        (&[("content-length", "")], Err(())),
        (&[("content-length", "18446744073709551616")], Err(())),
        (
            &[("content-length", "6"), ("transfer-encoding", "chunked")],
            Err(()),
        ),
        (&[("transfer-encoding", "gzip, chunked")], Err(())),
        (
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            Err(()),
        ),
        (&[("transfer-encoding", "xchunked")], Err(())),
        (&[("transfer-encoding", "identity")], Err(())),
    ] {
        let mut head = parts("/codespace/alice/", fields);
        let result = clean_with(&mut head, |_| ());
        let Ok((lengths, codings)) = left else {
            assert_eq!(result, Err(HeadError::Framing), "{fields:?}");
            continue;
        };
        assert_eq!(said(&head, "content-length"), lengths, "{fields:?}");
        assert_eq!(said(&head, "transfer-encoding"), codings, "{fields:?}");
    }
}

#[test]
fn a_method_that_digs_or_echoes_goes_nowhere() {
    for method in [Method::CONNECT, Method::TRACE] {
        let mut head = parts("/codespace/alice/", &[]);
        head.method = method;
        assert_eq!(clean_with(&mut head, |_| ()), Err(HeadError::Method));
    }
}

#[test]
fn trailers_are_asked_for_only_if_the_client_did() {
    for (te, asked) in [
        ("trailers", true),
        ("gzip, Trailers", true),
        ("gzip", false),
    ] {
        let parts = cleaned(&[("te", te), ("connection", "te")]);
        assert_eq!(
            said(&parts, "te").concat(),
            if asked { "trailers" } else { "" },
            "{te}"
        );
        assert_eq!(
            said(&parts, "connection").concat(),
            if asked { "te" } else { "" },
            "{te}"
        );
    }
}

#[test]
fn only_a_handshake_without_a_body_is_a_websocket() {
    let both = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
    ];
    for (fields, expected) in [
        (&[][..], true),
        (&[("content-length", "0")], true),
        (&[("content-length", "5")], false),
        (&[("transfer-encoding", "chunked")], false),
    ] {
        let fields = [&both[..], fields].concat();
        assert_eq!(is_websocket(&parts("/", &fields)), expected, "{fields:?}");
    }
    assert!(!is_websocket(&parts("/", &both[..1])));
    assert!(!is_websocket(&parts("/", &both[1..])));
    assert!(!is_websocket(&parts("/", &[both[0], ("upgrade", "h2c")])));
    for (method, version) in [
        (Method::POST, Version::HTTP_11),
        (Method::GET, Version::HTTP_10),
        (Method::GET, Version::HTTP_2),
    ] {
        let mut head = parts("/", &both);
        (head.method, head.version) = (method, version);
        assert!(!is_websocket(&head), "{head:?}");
    }
}
