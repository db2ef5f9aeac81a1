//! Blocks as peers write them, well or badly.

use proptest::{collection::vec, prelude::*};

use super::*;

const REQUESTS: [&str; 3] = [
    ":method: GET|:scheme: http|:path: /|:authority: www.example.com",
    ":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache",
    ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com\
     |custom-key: custom-value",
];
const ANSWERS: [&str; 3] = [
    ":status: 302|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT\
     |location: https://www.example.com",
    ":status: 307|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT\
     |location: https://www.example.com",
    ":status: 200|cache-control: private|date: Mon, 21 Oct 2013 20:13:22 GMT\
     |location: https://www.example.com|content-encoding: gzip\
     |set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

#[test]
fn literals_are_read_as_in_the_rfc() {
    // RFC 7541 C.2.1 to C.2.4.
    let cases = [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            55,
        ),
        (
            "040c 2f73 616d 706c 652f 7061 7468",
            ":path: /sample/path",
            0,
        ),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
            0,
        ),
        ("82", ":method: GET", 0),
    ];
    for (block, expected, size) in cases {
        let mut decoder = Decoder::new();
        assert_eq!(texts(&mut decoder, &hex(block)), [expected]);
        assert_eq!(decoder.table_size(), size, "{expected}");
    }
}

#[test]
fn requests_are_read_as_in_the_rfc() {
    // RFC 7541 C.3 and C.4.
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        for ((block, request), size) in blocks.iter().zip(REQUESTS).zip([57, 110, 164]) {
            assert_eq!(texts(&mut decoder, &hex(block)).join("|"), request);
            assert_eq!(decoder.table_size(), size, "{request}");
        }
    }
}

#[test]
fn the_oldest_are_evicted_as_in_the_rfc() {
    // RFC 7541 C.5 and C.6, in a table of 256 bytes.
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, &hex("3fe1 01")), Ok(vec![]));
        for ((block, answer), size) in blocks.iter().zip(ANSWERS).zip([222, 222, 215]) {
            assert_eq!(texts(&mut decoder, &hex(block)).join("|"), answer);
            assert_eq!(decoder.table_size(), size, "{answer}");
        }
    }
}

#[test]
fn a_malformed_block_is_refused() {
    use DecodeError::{Huffman, Index, Integer, Resize, Truncated};
    let cases = [
        ("80", Index, "index 0"),
        ("be", Index, "an index behind both tables"),
        ("ffff ffff ff0f", Integer, "an index above all numbers"),
        ("ff80 8080 8080 00", Integer, "an index in too many bytes"),
        ("ff", Truncated, "an index without its end"),
        ("7e01 61", Index, "a name with an index behind both tables"),
        ("40", Truncated, "no name"),
        ("4001", Truncated, "a name that isn't there"),
        ("4001 61", Truncated, "no value"),
        ("4001 6102 61", Truncated, "half a value"),
        ("0004", Truncated, "no name, not indexed"),
        ("1f", Truncated, "no index of a name"),
        ("007f ffff ffff 07", Truncated, "a name as long as may be"),
        ("3fe2 1f", Resize, "4097 bytes"),
        ("203f e21f", Resize, "4097 bytes, after none"),
        ("3f", Truncated, "half a size"),
        ("8220", Resize, "a size behind a field"),
        ("4181 ff", Huffman, "eight bits of padding"),
        ("4181 fe", Huffman, "padding that isn't all ones"),
        ("4182 1fff", Huffman, "a byte of padding too many"),
        ("4184 ffff ffff", Huffman, "the end of a string"),
        (
            "4185 ffff fffc ff",
            Huffman,
            "the end of a string within it",
        ),
        ("4082 ffff 00", Huffman, "a name of padding"),
    ];
    for (block, error, case) in cases {
        let decoded = decode(&mut Decoder::new(), &hex(block));
        assert_eq!(decoded, Err(error), "{case}");
    }
}

#[test]
fn what_may_not_stand_in_a_message_is_malformed() {
    let cases: [(&[u8], &[u8]); 14] = [
        (b"", b"v"),
        (b"Name", b"v"),
        (b"na me", b"v"),
        (b"na:me", b"v"),
        (b"n\xe4me", b"v"),
        (b":", b"v"),
        (b":Method", b"GET"),
        (b":unknown", b"v"),
        (b"name", b" v"),
        (b"name", b"v\t"),
        (b"name", b" "),
        (b"name", b"a\0b"),
        (b"name", b"a\r\nb: c"),
        (b"name", b"a\x7fb"),
    ];
    for (name, value) in cases {
        let mut block = vec![0x40];
        for part in [name, value] {
            integer::encode(part.len(), 7, 0, &mut block);
            block.extend_from_slice(part);
        }
        // It keeps its place: by its index, it is the same once more.
        block.push(0xbe);
        let expected = Field::Malformed(size(name.len(), value.len()));
        let mut decoder = Decoder::new();
        assert_eq!(
            decode(&mut decoder, &block),
            Ok(vec![expected.clone(), expected.clone()]),
            "{name:?} {value:?}"
        );
        assert_eq!(decoder.table_size(), expected.size());
    }
}

#[test]
fn a_name_is_as_good_or_bad_in_another_field() {
    // `na: \0`, `Na: v` and `:x: v`, then three more fields with their names.
    let block =
        b"\x40\x02na\x01\0\x40\x02Na\x01v\x40\x02:x\x01v\x7f\x01\x02ok\x0f\x30\x01w\x0f\x31\x02ww";
    let fields = texts(&mut Decoder::new(), block);
    let expected = [
        "malformed: 35",
        "malformed: 35",
        "malformed: 35",
        "na: ok",
        "malformed: 35",
        "malformed: 36",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    // A table of 64 bytes: `a: b` has room in it, `a: ` and 32 bytes more have not.
    let mut decoder = Decoder::new();
    let fields = texts(&mut decoder, b"\x3f\x21\x40\x01a\x01b\xbe");
    assert_eq!(fields, ["a: b", "a: b"]);
    let mut block = b"\x7e\x20".to_vec();
    block.extend([b'c'; 32]);
    // Its name is that of an entry which is gone when it comes (RFC 7541 4.4).
    assert_eq!(texts(&mut decoder, &block).len(), 1);
    assert_eq!(decoder.table_size(), 0);
    assert_eq!(decode(&mut decoder, &[0xbe]), Err(DecodeError::Index));
}

#[test]
fn what_is_secret_is_marked_so() {
    let cases: [(&[u8], bool); 6] = [
        (b"\x60\x01a", true),           // cookie, indexed
        (b"\x0f\x08\x01a", true),       // authorization, not indexed
        (b"\x10\x01n\x01a", true),      // never indexed
        (b"\x00\x01n\x01a", false),     // not indexed
        (b"\x40\x01n\x01a", false),     // indexed
        (b"\x40\x06cookie\x01a", true), // cookie, by its name
    ];
    for (block, secret) in cases {
        let fields = decode(&mut Decoder::new(), block).unwrap();
        let [Field::Regular(_, value)] = &fields[..] else {
            panic!("{fields:?}");
        };
        assert_eq!(value.is_sensitive(), secret, "{fields:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        blocks in vec(vec(any::<u8>(), 0..200), 1..5),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let mut decoder = Decoder::new();
        for block in &blocks {
            // It says no to most, but goes on here, to be the more confused.
            _ = decode(&mut decoder, block);
            prop_assert!(decoder.table_size() <= TABLE_BOUND);
        }
        let mut decoder = Decoder::new();
        let examples = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "3fe1 018286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            "20 3f45 4803 3330 37c1 c0bf 1008 7061 7373 776f 7264 0673 6563 7265 74",
        ];
        for example in examples.into_iter().cycle().take(8) {
            let mut block = hex(example);
            for (at, byte) in &changes {
                *at.get_mut(&mut block) = *byte;
            }
            _ = decode(&mut decoder, &block);
            prop_assert!(decoder.table_size() <= TABLE_BOUND);
        }
    }
}
