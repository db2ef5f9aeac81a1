//! Text where each request passes: taken apart many bytes at a time, put together without `fmt`.
//!
//! Imports nothing of ours.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

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
