//! Header compression for HTTP/2, the server's side (RFC 7541). Pure: no I/O, no clock.
//!
//! Imports `http` and `bytes` only. Promise: no bytes make it panic, or hold much more between two
//! blocks than its tables' bounds; a field that may not stand in a message is never handed out as
//! one that may; what is secret is never put into a table by us.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod static_table;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

pub use self::{decoder::Decoder, encoder::Encoder};

/// Most bytes either dynamic table counts: the default of `SETTINGS_HEADER_TABLE_SIZE`
/// (RFC 9113 6.5.2). We never announce another.
const TABLE_BOUND: usize = 4096;
/// What a field counts for besides its name and value (RFC 7541 4.1).
const OVERHEAD: usize = 32;

/// What a field of a request's head is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A pseudo-header field (RFC 9113 8.3): which, and its value as it came, unchecked.
    Pseudo(Pseudo, Bytes),
    /// A field whose name and value may stand in a message.
    Regular(HeaderName, HeaderValue),
    /// One that may not (RFC 9113 8.2.1), or an unknown pseudo-header field: what it counts for.
    Malformed(usize),
}

impl Field {
    /// Bytes it counts for: name, value and 32 (RFC 7541 4.1).
    pub fn size(&self) -> usize {
        match self {
            Self::Pseudo(which, value) => size(which.name().len(), value.len()),
            Self::Regular(name, value) => size(name.as_str().len(), value.len()),
            Self::Malformed(size) => *size,
        }
    }
}

/// Bytes a field with a name and a value of these lengths counts for (RFC 7541 4.1).
const fn size(name: usize, value: usize) -> usize {
    name + value + OVERHEAD
}

/// Whether a field is about a connection; over HTTP/2 none is, in either direction (RFC 9113 8.2.2).
pub fn is_of_a_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}

/// Which pseudo-header field (RFC 9113 8.3, RFC 8441 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pseudo {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:protocol`, of an extended CONNECT.
    Protocol,
    /// `:status`, which no request may have.
    Status,
}

impl Pseudo {
    const ALL: [Self; 6] = [
        Self::Method,
        Self::Scheme,
        Self::Authority,
        Self::Path,
        Self::Protocol,
        Self::Status,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Method => ":method",
            Self::Scheme => ":scheme",
            Self::Authority => ":authority",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
            Self::Status => ":status",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        let is = |which: &Self| which.name().as_bytes() == name;
        Self::ALL.into_iter().find(is)
    }
}

/// Why a header block can't be decoded. Both tables may differ from then on, so that any of them
/// is a connection error `COMPRESSION_ERROR` (RFC 9113 4.3).
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// It ends within a field (RFC 7541 5 and 6).
    #[error("the header block ends within a field")]
    Truncated,
    /// A number is larger or longer than any we take (RFC 7541 5.1).
    #[error("a number in the header block is too large")]
    Integer,
    /// No table has an entry there (RFC 7541 2.3.3).
    #[error("the header block names an entry that no table has")]
    Index,
    /// The dynamic table is to be larger than it may, or not at the block's beginning
    /// (RFC 7541 4.2 and 6.3).
    #[error("the header block resizes the table to more than it may, or too late")]
    Resize,
    /// A string's padding is too long or not all ones, or the end of a string is within it
    /// (RFC 7541 5.2).
    #[error("a string in the header block is no Huffman code")]
    Huffman,
}
