//! Blocks as we write them, and what our own decoder makes of them.

use http::{HeaderMap, StatusCode, header};
use proptest::{collection::vec, prelude::*};

use super::*;

#[test]
fn what_answers_have_in_common_takes_one_byte_each() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    headers.insert(
        header::DATE,
        HeaderValue::from_static("Mon, 21 Oct 2013 20:13:21 GMT"),
    );
    headers.insert("x-frame-options", HeaderValue::from_static("deny"));
    headers.append(header::SET_COOKIE, HeaderValue::from_static("a=b"));
    headers.append(header::SET_COOKIE, HeaderValue::from_static("c=d"));
    let mut encoder = Encoder::new();
    encoder.answer(StatusCode::OK, &headers, &mut Vec::new());
    let mut out = Vec::new();
    encoder.answer(StatusCode::NOT_FOUND, &headers, &mut out);
    let mut expected = hex("8d bf 0f12 1d");
    expected.extend_from_slice(b"Mon, 21 Oct 2013 20:13:21 GMT\xbe");
    expected.extend_from_slice(b"\x1f\x28\x03a=b\x1f\x28\x03c=d");
    assert_eq!(out, expected);
}

#[test]
fn what_is_secret_is_in_no_table() {
    let mut secret = HeaderValue::from_static("deny");
    let mut encoder = Encoder::new();
    let mut headers = HeaderMap::new();
    headers.insert("x-token", secret.clone());
    encoder.trailers(&headers, &mut Vec::new());
    secret.set_sensitive(true);
    headers.insert("x-token", secret);
    // Even if it is what stands in the table, for it says that it is.
    let mut out = Vec::new();
    encoder.trailers(&headers, &mut out);
    assert_eq!(out, b"\x1f\x2f\x04deny");
    out.clear();
    Encoder::new().trailers(&headers, &mut out);
    assert_eq!(out, b"\x10\x07x-token\x04deny");
}

#[test]
fn a_resized_table_is_announced_once() {
    let cases: [(&[u32], &str); 8] = [
        (&[], ""),
        (&[4096], ""),
        (&[65_536, u32::MAX], ""),
        (&[0], "20"),
        (&[100], "203f 45"),
        (&[0, 4096], "203f e11f"),
        (&[100, 4096, 30], "203e"),
        (&[0, 0, 100, 200], "203f a901"),
    ];
    for (sizes, expected) in cases {
        let mut encoder = Encoder::new();
        for &size in sizes {
            encoder.resize(size);
        }
        for expected in [expected, ""] {
            let mut out = Vec::new();
            encoder.trailers(&HeaderMap::new(), &mut out);
            assert_eq!(out, hex(expected), "{sizes:?}");
        }
    }
    // Raised, it keeps what it has.
    let mut encoder = Encoder::new();
    for (size, expected) in [(100, "203f 45"), (200, "3fa9 01")] {
        encoder.resize(size);
        let mut out = Vec::new();
        encoder.trailers(&HeaderMap::new(), &mut out);
        assert_eq!(out, hex(expected), "{size}");
    }
}

#[test]
fn many_names_are_written_beyond_those_known() {
    let headers: HeaderMap = (0..200)
        .map(|n| {
            let name = HeaderName::try_from(format!("x-{n}-{}", "n".repeat(n))).unwrap();
            (name, HeaderValue::from(n))
        })
        .collect();
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    for _ in 0..3 {
        let mut out = Vec::new();
        encoder.trailers(&headers, &mut out);
        assert_eq!(read(&mut decoder, &out).1, headers);
    }
}

/// What a block says: a status, if it has one, and fields.
fn read(decoder: &mut Decoder, block: &[u8]) -> (Option<Bytes>, HeaderMap) {
    let (mut status, mut headers) = (None, HeaderMap::new());
    for field in decode(decoder, block).unwrap() {
        match field {
            Field::Pseudo(Pseudo::Status, value) => status = Some(value),
            Field::Regular(name, value) => _ = headers.append(name, value),
            Field::Pseudo(..) | Field::Malformed(_) => panic!("{field:?}"),
        }
    }
    (status, headers)
}

/// Mostly what was there before, to be found in the table.
fn a_header() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "content-type", "date", "etag", "vary", "set-cookie", "x-request-id", "server",
            "x-frame-options", "link", "x-a", "x-b",
        ]).prop_map(str::to_owned),
        1 => "x-[a-z]{1,80}",
    ];
    let value = prop_oneof![
        4 => "[ab]",
        2 => "[!-~]{0,60}",
        1 => "[!-~]{500,600}",
    ];
    (name, value, prop::bool::weighted(0.1)).prop_map(|(name, value, secret)| {
        let mut value = HeaderValue::try_from(value).unwrap();
        value.set_sensitive(secret);
        (HeaderName::try_from(name).unwrap(), value)
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_as_it_was(
        blocks in vec((
            vec(prop_oneof![Just(0), Just(4096), 0..6000_u32], 0..3),
            prop::option::of(prop_oneof![Just(200), 100..1000_u16]),
            vec(a_header(), 0..20),
        ), 1..30)
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let mut most = 4096;
        for (sizes, status, headers) in blocks {
            for size in sizes {
                encoder.resize(size);
                most = size.min(4096);
            }
            let headers: HeaderMap = headers.into_iter().collect();
            let mut out = Vec::new();
            if let Some(status) = status {
                encoder.answer(StatusCode::from_u16(status).unwrap(), &headers, &mut out);
            } else {
                encoder.trailers(&headers, &mut out);
            }
            let (code, decoded) = read(&mut decoder, &out);
            prop_assert_eq!(code, status.map(|status| Bytes::from(status.to_string())));
            prop_assert_eq!(&decoded, &headers);
            for ((name, value), (_, read)) in headers.iter().zip(&decoded) {
                let secret = value.is_sensitive() || name == header::SET_COOKIE;
                prop_assert_eq!(secret, read.is_sensitive());
            }
            prop_assert!(decoder.table_size() <= most as usize);
        }
    }
}
