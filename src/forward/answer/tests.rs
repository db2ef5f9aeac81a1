use proptest::prelude::*;

use super::*;

fn read(text: &[u8], bodiless: bool) -> Result<Head, AnswerError> {
    let found = super::read(text, &mut 0, bodiless, &mut Known::default())?;
    found.map(|(head, _)| head).ok_or(AnswerError::Ended)
}

#[test]
fn an_answer_has_one_length_or_is_none() {
    use Length::{Chunked, Exact, UntilClose};
    for (head, expected) in [
        ("200 OK\r\nContent-Length: 3", Some((Exact(3), true))),
        (
            "200\r\ncontent-length: 3\r\ncontent-length: 3",
            Some((Exact(3), true)),
        ),
        (
            "200 OK\r\ncontent-length: 3\r\nConnection: x, Close",
            Some((Exact(3), false)),
        ),
        (
            "200 OK\r\ntransfer-encoding: Chunked",
            Some((Chunked, true)),
        ),
        // RFC 9112 6.3: believed, but never again on this connection.
        (
            "200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3",
            Some((Chunked, false)),
        ),
        ("200 OK\r\nserver: x", Some((UntilClose, false))),
        ("204 No\r\ncontent-length: 3", Some((Exact(0), true))),
        ("304 No\r\ncontent-length: 3", Some((Exact(0), true))),
        (
            "304 No\r\ntransfer-encoding: chunked",
            Some((Exact(0), false)),
        ),
        ("100 Continue\r\nx: y", Some((Exact(0), true))),
        ("200 OK\r\ncontent-length: 3\r\ncontent-length: 4", None),
        ("200 OK\r\ncontent-length: 3, 3", None),
        ("200 OK\r\ncontent-length: +3", None),
        ("200 OK\r\ncontent-length: 18446744073709551616", None),
        ("200 OK\r\ncontent-length:", None),
        ("200 OK\r\ntransfer-encoding: gzip, chunked", None),
        (
            "200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
            None,
        ),
        ("200 OK\r\ntransfer-encoding: identity", None),
        ("200 OK\r\nx : y", None),
        ("200 OK\r\nx: y\r\n z", None),
        ("200 OK\r\nx: a\0b", None),
        ("99 OK", None),
    ] {
        let text = format!("HTTP/1.1 {head}\r\n\r\n");
        let found = read(text.as_bytes(), false)
            .ok()
            .map(|head| (head.length, head.keep));
        assert_eq!(found, expected, "{head:?}");
    }
    let old = read(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n", false).unwrap();
    assert!(!old.keep);
    assert!(
        read(
            b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            false
        )
        .is_err()
    );
    assert!(read(b"HTTP/2.0 200 OK\r\n\r\n", false).is_err());
    let head = read(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", true).unwrap();
    assert_eq!((head.length, head.keep), (Length::Exact(0), true));
}

#[test]
fn what_concerns_the_connection_alone_ends_with_it_and_what_frames_a_message_stays() {
    for (connection, left) in [
        ("close", &["a", "b", "content-length", "server"][..]),
        ("A , b", &["content-length", "server"]),
        ("a\r\nConnection: b", &["content-length", "server"]),
        (
            "content-length, SERVER,, ,a, keep-alive",
            &["b", "content-length"],
        ),
        ("a;q=1", &["b", "content-length", "server"]),
        ("bad name, \"a\"", &["a", "b", "content-length", "server"]),
    ] {
        let text = format!(
            "HTTP/1.1 200 OK\r\nb: 1\r\nserver: x\r\ncontent-length: 3\r\n\
             connection: {connection}\r\na: 1\r\nA: 2\r\nKeep-Alive: timeout=5\r\n\
             proxy-connection: keep-alive\r\nproxy-authenticate: Basic\r\n\
             upgrade: h2c\r\nte: gzip\r\n\r\n"
        );
        let head = read(text.as_bytes(), false).unwrap();
        let mut names: Vec<_> = head.parts.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, left, "{connection:?}");
        assert_eq!(head.keep, connection != "close");
    }
    let both = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    for bodiless in [false, true] {
        let head = read(both, bodiless).unwrap();
        // Not what is sent, so not what is said.
        assert!(head.parts.headers.is_empty());
        assert!(!head.keep);
    }
}

#[test]
fn a_length_is_passed_on_once_and_only_if_it_is_one() {
    for (head, bodiless, expected) in [
        ("200 OK\r\ncontent-length: 3", false, &["3"][..]),
        (
            "200 OK\r\ncontent-length: 3\r\ncontent-length: 3",
            false,
            &["3"],
        ),
        (
            "200 OK\r\ncontent-length: 3\r\ncontent-length: 3",
            true,
            &["3"],
        ),
        (
            "200 OK\r\ncontent-length: 3\r\ncontent-length: 4",
            true,
            &[],
        ),
        ("200 OK\r\ncontent-length: many", true, &[]),
        ("304 Not Modified\r\ncontent-length: 3", false, &["3"]),
        ("304 Not Modified\r\ncontent-length: -3", false, &[]),
        ("204 No Content\r\ncontent-length: 3", false, &[]),
        ("200 OK\r\nserver: x", false, &[]),
    ] {
        let text = format!("HTTP/1.1 {head}\r\n\r\n");
        let found = read(text.as_bytes(), bodiless).unwrap();
        let lines = found.parts.headers.get_all(header::CONTENT_LENGTH);
        let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
        let expected: Vec<_> = expected.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(lines, expected, "{head:?}");
    }
}

#[test]
fn a_head_has_a_bound() {
    let fields = |count| {
        let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: 1\r\n".repeat(count));
        read(text.as_bytes(), false)
    };
    assert!(fields(MOST_FIELDS).is_ok());
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(MOST_BYTES));
    for found in [fields(MOST_FIELDS + 1), read(endless.as_bytes(), false)] {
        assert!(matches!(found, Err(AnswerError::TooLarge)));
    }
}

proptest! {
    #[test]
    fn a_head_is_the_same_however_it_is_cut(cut in 1..60_usize) {
        let text = b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 3\r\n\r\nabc";
        let (mut there, mut seen, mut known) = (Vec::new(), 0, Known::default());
        let mut found = None;
        for piece in text.chunks(cut) {
            there.extend_from_slice(piece);
            if found.is_none() {
                found = super::read(&there, &mut seen, false, &mut known).unwrap();
            }
        }
        let (head, end) = found.unwrap();
        prop_assert_eq!(head.length, Length::Exact(3));
        prop_assert_eq!(&there[end..], b"abc");
    }

    #[test]
    fn what_came_before_on_a_connection_changes_nothing(
        heads in proptest::collection::vec(
            (
                prop::sample::select(&[
                    "HTTP/1.1 200 OK", "HTTP/1.1 200 Ok", "HTTP/1.1 103 Early Hints",
                    "HTTP/1.1 404 No", "HTTP/1.0 200 OK",
                ][..]),
                proptest::collection::vec(
                    prop::sample::select(&[
                        "a: 1", "A: 1", "a: 2", "b: 1", "a:", "a", "server: x", "Server: X",
                        "content-length: 3", "content-length: 4", "connection: b",
                        "connection: close", "keep-alive: 1", "transfer-encoding: chunked",
                    ][..]),
                    0..5,
                ),
            ),
            1..6,
        ),
        cut in 1..100_usize,
    ) {
        let mut known = Known::default();
        for (status, lines) in heads {
            let fields: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
            let text = format!("{status}\r\n{fields}\r\n");
            let all = |(head, end): (Head, usize)| {
                let fields = head.parts.headers.iter();
                let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
                let fields: Vec<_> = fields.collect();
                (head.parts.status, fields, head.length, head.keep, end)
            };
            let mut seen = 0;
            let first = &text.as_bytes()[..cut.min(text.len())];
            let again = match super::read(first, &mut seen, false, &mut known) {
                Ok(None) => super::read(text.as_bytes(), &mut seen, false, &mut known),
                found => found,
            };
            let mut none = Known::default();
            let alone = super::read(text.as_bytes(), &mut 0, false, &mut none);
            let (again, alone) = (again.ok().flatten(), alone.ok().flatten());
            if let Some((_, end)) = &alone {
                let mut fields = [httparse::EMPTY_HEADER; 8];
                let others = httparse::Response::new(&mut fields).parse(text.as_bytes());
                prop_assert_eq!(others, Ok(httparse::Status::Complete(*end)));
            }
            prop_assert_eq!(again.map(all), alone.map(all));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&[b"HTTP/1.1 200 OK\r\n", &text[..], b"\r\n\r\n"].concat(), false);
        let _ = read(&text, true);
    }
}
