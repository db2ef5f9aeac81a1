use super::*;
use proptest::prelude::*;

/// Whether the next request, if it is chunked, is called ambiguous.
fn next_is_ambiguous(witness: &Witness) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    );
    witness.restore(&mut headers);
    headers.contains_key(header::CONTENT_LENGTH)
}

const PLAIN: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const BODY: &str = "POST / HTTP/1.1\r\nContent-Length: 27\r\n\r\nTransfer-Encoding: chunked!";
const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n12;x=y\r\nContent-Length: 9\n\r\n0\r\nx: y\r\n\r\n";
const BOTH: &str =
    "POST / HTTP/1.1\r\nContent-LENGTH: 6\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";

const COOKIE: &str = "GET / HTTP/1.1\r\nCookie: a\r\ncookie: b\r\nHost: c\r\n\r\n";

/// What a head may be put together of.
const PARTS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\0",
    ":",
    ": 1",
    "X",
    "Cookie: a",
    "cookie",
    "Content-Length: 3",
    "content-length: 3",
    "Transfer-Encoding: chunked",
    "transfer-encoding: chunked",
    "GET / HTTP/1.1",
];

proptest! {
    #[test]
    fn both_lengths_are_seen_in_each_head_however_it_is_cut(
        kinds in proptest::collection::vec(0..5_usize, 1..8),
        cut in 1..40_usize,
        whole: bool,
    ) {
        let texts = [PLAIN, BODY, CHUNKED, BOTH, COOKIE];
        let all: String = kinds.iter().map(|kind| texts[*kind]).collect();
        let witness = Witness::default();
        let pieces: Vec<&[u8]> = if whole {
            kinds.iter().map(|kind| texts[*kind].as_bytes()).collect()
        } else {
            all.as_bytes().chunks(cut).collect()
        };
        for piece in pieces {
            witness.read(piece);
        }
        for kind in kinds {
            prop_assert_eq!(next_is_ambiguous(&witness), kind == 3);
        }
    }

    #[test]
    fn no_head_with_a_length_is_plain(
        parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..12),
    ) {
        let lines = parts.concat();
        let text = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        if is_plain(text.as_bytes()) {
            let mut fields = [httparse::EMPTY_HEADER; 20];
            let mut request = httparse::Request::new(&mut fields);
            // As hyper reads it: not at all, or as one head, of which this is all.
            if let Ok(read) = request.parse(text.as_bytes()) {
                prop_assert_eq!(read, httparse::Status::Complete(text.len()));
                let mut names = request.headers.iter().map(|field| field.name);
                let frames = |name: &str| {
                    let name = name.to_ascii_lowercase();
                    name == "content-length" || name == "transfer-encoding"
                };
                prop_assert!(!names.any(frames));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let witness = Witness::default();
        witness.read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        witness.read(&bytes);
    }
}

#[test]
fn only_a_head_that_decides_nothing_is_plain() {
    for (lines, plain) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nCookie: t=1", true),
        ("GET / HTTP/1.1\nHost: x", true),
        ("GET / HTTP/1.1\r\nContent-Length: 3", false),
        ("GET / HTTP/1.1\ncontent-length: 3", false),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\nHost: x",
            false,
        ),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked", false),
        ("GET / HTTP/1.1\r\nCookie : a", false),
        ("GET / HTTP/1.1\r\nX: y\r\n content-length: 3", false),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\nGET / HTTP/1.1", false),
        ("GET / HTTP/1.1\n\nGET / HTTP/1.1", false),
        ("\r\nGET / HTTP/1.1", false),
        ("", false),
    ] {
        assert_eq!(
            is_plain(format!("{lines}\r\n\r\n").as_bytes()),
            plain,
            "{lines:?}"
        );
    }
    assert!(!is_plain(b"GET / HTTP/1.1\r\n"));
    assert!(!is_plain(b"GET / HTTP/1.1\n\nbody"));
}

#[test]
fn what_it_can_not_follow_it_does_not_vouch_for() {
    let witness = Witness::default();
    witness.read(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    let mut headers = HeaderMap::new();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    witness.restore(&mut headers);
    witness.read(CHUNKED.as_bytes());
    assert!(next_is_ambiguous(&witness));
}
