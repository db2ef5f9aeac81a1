//! Text where each request passes: taken apart many bytes at a time, put together without `fmt`.
//!
//! Imports nothing of ours.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use http::{HeaderMap, header};

/// The pieces of `bytes` between `separator`s, as `slice::split` has them.
pub fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (piece, more) = match memchr::memchr(separator, bytes) {
            Some(end) => (&bytes[..end], Some(&bytes[end + 1..])),
            None => (bytes, None),
        };
        rest = more;
        Some(piece)
    })
}

/// Appends `number` in decimal digits.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends an address as its `Display` writes it.
pub fn push_address(out: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => push_v4(out, addr),
        // A vector takes any text.
        IpAddr::V6(addr) => drop(write!(out, "{addr}")),
    }
}

fn push_v4(out: &mut Vec<u8>, addr: Ipv4Addr) {
    let (mut text, mut length) = ([0; 16], 0);
    let mut push = |byte: u8| {
        text[length] = byte;
        length += 1;
    };
    for octet in addr.octets() {
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
        push(b'.');
    }
    // Without the last dot.
    out.extend_from_slice(&text[..length - 1]);
}

/// The lines of `Content-Length` say no one length.
#[derive(Debug, PartialEq, Eq)]
pub struct Uncertain;

/// The length that all lines of `Content-Length` say in digits (RFC 9110 8.6), if there are any.
///
/// # Errors
/// [`Uncertain`].
pub fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Uncertain> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let digits = first.to_str().unwrap_or_default();
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(length) if plain && lengths.all(|other| other == first) => Ok(Some(length)),
        _ => Err(Uncertain),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_those_of_the_standard_library(text in "[a;]{0,40}") {
            let ours: Vec<&[u8]> = split(text.as_bytes(), b';').collect();
            let theirs: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b';').collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn addresses_are_written_as_ever(addr: IpAddr) {
            let mut out = Vec::new();
            push_address(&mut out, addr);
            prop_assert_eq!(out, addr.to_string().into_bytes());
        }
    }
}
