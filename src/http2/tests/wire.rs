//! Frames and heads as bytes (RFC 9113 4.1 and 6, RFC 7541 6.2.2).
use bytes::{Buf, BytesMut};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

/// A field of the table (RFC 7541 6.1); 62 is the first that a peer put there itself.
pub const INDEXED: u8 = 0x80;

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const ENABLE_PUSH: u16 = 2;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_FRAME_SIZE: u16 = 5;
pub const MAX_HEADER_LIST_SIZE: u16 = 6;
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
    /// Of a head, which is one frame here whatever it was on the wire.
    pub fields: Vec<(String, String)>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.payload[..self.payload.len().min(24)];
        let Self {
            kind,
            flags,
            stream,
            fields,
            ..
        } = self;
        write!(f, "<kind {kind} flags {flags} stream {stream}: {fields:?} ")?;
        write!(f, "{} bytes, {start:?}>", self.payload.len())
    }
}

impl Frame {
    /// The first frame of these bytes, once all of it is there.
    pub fn take(bytes: &mut BytesMut) -> Option<Self> {
        let length = bytes.get(..3)?;
        let length =
            usize::from(length[0]) << 16 | usize::from(length[1]) << 8 | usize::from(length[2]);
        // We never said that it may be more.
        assert!(length <= 16_384, "a frame of {length} bytes");
        if bytes.len() < 9 + length {
            return None;
        }
        bytes.advance(3);
        let (kind, flags, stream) = (bytes.get_u8(), bytes.get_u8(), bytes.get_u32());
        let payload = bytes.split_to(length).to_vec();
        Some(Self {
            kind,
            flags,
            stream,
            payload,
            fields: Vec::new(),
        })
    }

    pub fn is(&self, kind: u8, flags: u8, stream: u32) -> bool {
        self.is_of(kind, stream) && self.flags == flags
    }

    pub fn is_of(&self, kind: u8, stream: u32) -> bool {
        (self.kind, self.stream) == (kind, stream)
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The first four bytes as a number.
pub fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

pub fn settings_payload(settings: &[(u16, u32)]) -> Vec<u8> {
    let one = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    settings.iter().flat_map(one).collect()
}

pub fn settings_of(payload: &[u8]) -> Vec<(u16, u32)> {
    let pairs = payload.chunks_exact(6);
    pairs
        .map(|pair| (u16::from_be_bytes([pair[0], pair[1]]), number(&pair[2..])))
        .collect()
}

/// A usual request's fields.
pub fn head<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [
        (":method", method),
        (":scheme", "https"),
        (":authority", "vestibule.test"),
        (":path", path),
    ]
}

/// A whole request.
pub fn asking(id: u32, path: &str) -> Vec<u8> {
    let flags = END_HEADERS | END_STREAM;
    frame(HEADERS, flags, id, &literals(&head("GET", path)))
}

/// A request that isn't answered and whose body is still to come.
pub fn opening(id: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, id, &literals(&head("POST", "/never")))
}

/// Literal fields without indexing, names included.
pub fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let one = |(name, value): &(&str, &str)| literal(0, name, value);
    fields.iter().flat_map(one).collect()
}

/// A literal field: 0 for one without indexing, 0x40 for one that goes into the table.
pub fn literal(form: u8, name: &str, value: &str) -> Vec<u8> {
    [&[form][..], &text(name), &text(value)].concat()
}

/// RFC 7541 5.1 and 5.2, without Huffman's code.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        short @ ..127 => bytes.push(u8::try_from(short).unwrap()),
        long => {
            bytes.push(127);
            let mut left = long - 127;
            while left > 127 {
                bytes.push(u8::try_from(left % 128).unwrap() | 128);
                left /= 128;
            }
            bytes.push(u8::try_from(left).unwrap());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

pub fn status_of(frame: &Frame) -> u16 {
    let (name, value) = &frame.fields[0];
    assert_eq!(name, ":status", "{frame:?}");
    value.parse().unwrap()
}
