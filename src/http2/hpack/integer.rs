//! Numbers with a prefix (RFC 7541 5.1). Pure.
//!
//! Promise: whatever the bytes, at most six of them are read for one number, and none above
//! `u32::MAX` comes of them.

use super::DecodeError;

/// Most bytes behind the prefix; they hold all that a `u32` may.
const LONGEST: u32 = 5;

/// A prefix with all its bits set: a number that isn't below it goes on behind it.
const fn full(prefix: u32) -> u8 {
    u8::MAX >> (8 - prefix)
}

/// Takes a number whose first byte has `prefix` bits of it, 1 to 8.
///
/// # Errors
/// [`DecodeError::Truncated`] and [`DecodeError::Integer`].
pub fn decode(bytes: &mut &[u8], prefix: u32) -> Result<usize, DecodeError> {
    let (&first, mut rest) = bytes.split_first().ok_or(DecodeError::Truncated)?;
    let mut value = u64::from(first & full(prefix));
    if value == u64::from(full(prefix)) {
        let mut shift = 0;
        loop {
            let (&byte, behind) = rest.split_first().ok_or(DecodeError::Truncated)?;
            rest = behind;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            // Zeros at the end may be written, but not so many that a number has no end.
            if shift == 7 * LONGEST {
                return Err(DecodeError::Integer);
            }
        }
    }
    *bytes = rest;
    let value = u32::try_from(value).map_err(|_| DecodeError::Integer)?;
    usize::try_from(value).map_err(|_| DecodeError::Integer)
}

/// Writes a number with `prefix` bits of it, 1 to 8, in the first byte, beside `flags`.
pub fn encode(value: usize, prefix: u32, flags: u8, out: &mut Vec<u8>) {
    let full = full(prefix);
    let mut rest = match u8::try_from(value) {
        Ok(small) if small < full => return out.push(flags | small),
        _ => value - usize::from(full),
    };
    out.push(flags | full);
    while rest >= 0x80 {
        out.push(0x80 | rest.to_le_bytes()[0]);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read_as_in_the_rfc() {
        // RFC 7541 C.1.1 to C.1.3, and where the prefix is just full.
        let cases: [(usize, u32, &[u8]); 6] = [
            (10, 5, &[0x0a]),
            (1337, 5, &[0x1f, 0x9a, 0x0a]),
            (42, 8, &[0x2a]),
            (30, 5, &[0x1e]),
            (31, 5, &[0x1f, 0x00]),
            (u32::MAX as usize, 7, &[0x7f, 0x80, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, prefix, written) in cases {
            let mut out = Vec::new();
            encode(value, prefix, 0, &mut out);
            assert_eq!(out, written, "{value}");
            let mut rest = written;
            assert_eq!(decode(&mut rest, prefix), Ok(value), "{value}");
            assert!(rest.is_empty(), "{value}");
        }
    }

    #[test]
    fn no_number_is_too_large_or_without_an_end() {
        let cases: [(&[u8], Result<usize, DecodeError>); 7] = [
            (&[], Err(DecodeError::Truncated)),
            (&[0x1f], Err(DecodeError::Truncated)),
            (&[0x1f, 0x80], Err(DecodeError::Truncated)),
            (&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], Ok(31)),
            (
                &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
                Err(DecodeError::Integer),
            ),
            (
                &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x0f],
                Err(DecodeError::Integer),
            ),
            (&[0xff; 32], Err(DecodeError::Integer)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(decode(&mut &*bytes, 5), expected, "{bytes:?}");
        }
    }
}
