//! Strings in Huffman code (RFC 7541 5.2 and appendix B). Pure; read only, for we write none.
//!
//! Promise: whatever the bytes, at most eight bytes come of five.

use super::DecodeError;

/// Bits of the code of each byte, and of the end of a string (RFC 7541 appendix B). The code is
/// canonical: the shorter first, and those of a length in the order of what they stand for.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
/// The end of a string, which no string may hold.
const END: u16 = 256;
/// Bits of the longest code.
const LONGEST: u32 = 30;
/// Bits that one look-up takes: what is most frequent has a code no longer than that.
const SHORT: usize = 10;

static CODE: Code = Code::new();

/// The code, in the order it is read.
struct Code {
    /// By the next bits: what has this code, and its length; 0 for a code that is longer.
    short: [(u8, u8); 1 << SHORT],
    /// By length: one above the last code of it.
    ends: [u32; LONGEST as usize + 1],
    /// By length: where in `symbols` stands what has the last code of it, one above.
    places: [u32; LONGEST as usize + 1],
    /// What has a code, in the order of the codes.
    symbols: [u16; LENGTHS.len()],
}

impl Code {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no `from` in a const fn; there are 257 symbols, and lengths are at most 30"
    )]
    const fn new() -> Self {
        let mut code = Self {
            short: [(0, 0); 1 << SHORT],
            ends: [0; LONGEST as usize + 1],
            places: [0; LONGEST as usize + 1],
            symbols: [0; LENGTHS.len()],
        };
        let (mut next, mut place) = (0, 0);
        let mut length = 1;
        while length <= LONGEST as usize {
            next <<= 1;
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[place] = symbol as u16;
                    place += 1;
                    if length <= SHORT {
                        // All that begin with it.
                        let mut bits = (next as usize) << (SHORT - length);
                        let end = (next as usize + 1) << (SHORT - length);
                        while bits < end {
                            code.short[bits] = (symbol as u8, length as u8);
                            bits += 1;
                        }
                    }
                    next += 1;
                }
                symbol += 1;
            }
            code.ends[length] = next;
            code.places[length] = place as u32;
            length += 1;
        }
        code
    }

    /// What the code that `bits` begin with stands for, and its length.
    fn first(&self, bits: u64) -> (u16, u32) {
        let (symbol, length) = self.short[(bits >> (64 - SHORT)) as usize];
        if length > 0 {
            return (u16::from(symbol), u32::from(length));
        }
        self.long(bits)
    }

    #[cold]
    fn long(&self, bits: u64) -> (u16, u32) {
        let window = (bits >> 32) as u32;
        let lengths = (0..).zip(self.ends.iter().zip(&self.places));
        for (length, (&end, &place)) in lengths.skip(SHORT + 1) {
            // What is below is a longer code than all before it, so one of this length.
            if let Some(before) = end.checked_sub(window >> (32 - length)).filter(|&n| n > 0) {
                let symbol = self.symbols.get((place - before) as usize);
                return (symbol.copied().unwrap_or(END), length);
            }
        }
        (END, LONGEST)
    }
}

/// Decodes a string into `text`, whose content is lost.
///
/// # Errors
/// [`DecodeError::Huffman`].
pub fn decode(mut coded: &[u8], text: &mut Vec<u8>) -> Result<(), DecodeError> {
    text.clear();
    // The shortest code has five bits.
    text.reserve(coded.len() / 5 * 8 + 8);
    // The next bits, from the highest on, and how many of them there are. Below them is nothing or
    // what follows: then it is set once more, as it is.
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        if have < LONGEST {
            if let Some(word) = coded.first_chunk() {
                bits |= u64::from_be_bytes(*word) >> have;
                // At most seven of the eight bytes: those that are in `bits` to their end.
                let whole = (63 - have) / 8;
                have += whole * 8;
                coded = &coded[whole as usize..];
            } else {
                while have <= 56
                    && let Some((&byte, rest)) = coded.split_first()
                {
                    bits |= u64::from(byte) << (56 - have);
                    have += 8;
                    coded = rest;
                }
            }
        }
        let (symbol, length) = CODE.first(bits);
        if length > have {
            break;
        }
        text.push(u8::try_from(symbol).map_err(|_| DecodeError::Huffman)?);
        bits <<= length;
        have -= length;
    }
    // Nothing follows: what is left is padding, less than a byte of ones.
    if have < 8 && bits.leading_ones() == have {
        Ok(())
    } else {
        Err(DecodeError::Huffman)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Each symbol's code, with its length, found without the tables above.
    fn codes() -> Vec<(u32, u32)> {
        let mut order: Vec<usize> = (0..LENGTHS.len()).collect();
        order.sort_by_key(|&symbol| (LENGTHS[symbol], symbol));
        let mut codes = vec![(0, 0); LENGTHS.len()];
        let mut next = 0_u64;
        for symbol in order {
            let length = u32::from(LENGTHS[symbol]);
            let code = next.div_ceil(1 << (32 - length));
            codes[symbol] = (u32::try_from(code).unwrap(), length);
            next = (code + 1) << (32 - length);
        }
        assert_eq!(next, 1 << 32, "no bits are without a meaning");
        codes
    }

    fn encode(text: &[u8]) -> Vec<u8> {
        let codes = codes();
        let bit = |(code, length): (u32, u32)| (0..length).rev().map(move |n| code >> n & 1);
        let mut bits: Vec<u32> = text
            .iter()
            .flat_map(|&byte| bit(codes[usize::from(byte)]))
            .collect();
        bits.resize(bits.len().next_multiple_of(8), 1);
        let byte = |bits: &[u32]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
        let byte = |bits| u8::try_from(byte(bits)).unwrap();
        bits.chunks(8).map(byte).collect()
    }

    /// Reads bit by bit.
    fn simple(coded: &[u8]) -> Option<Vec<u8>> {
        let all = codes();
        let (mut text, mut code, mut length) = (Vec::new(), 0, 0);
        for bit in coded
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1))
        {
            code = code << 1 | u32::from(bit);
            length += 1;
            if let Some(symbol) = all.iter().position(|&known| known == (code, length)) {
                text.push(u8::try_from(symbol).ok()?);
                (code, length) = (0, 0);
            }
        }
        (length < 8 && code == (1 << length) - 1).then_some(text)
    }

    fn decoded(coded: &[u8]) -> Option<Vec<u8>> {
        // What was there before is gone.
        let mut text = b"before".to_vec();
        decode(coded, &mut text).ok().map(|()| text)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 7541 appendix B: the first, the last and some between.
        let cases = [
            (0, 0x1ff8, 13),
            (usize::from(b'0'), 0x0, 5),
            (usize::from(b'a'), 0x3, 5),
            (usize::from(b'Z'), 0xfd, 8),
            (usize::from(b'~'), 0x1ffd, 13),
            (128, 0xf_ffe6, 20),
            (203, 0x7ff_ffde, 27),
            (255, 0x3ff_ffee, 26),
            (256, 0x3fff_ffff, 30),
        ];
        for (symbol, code, length) in cases {
            assert_eq!(codes()[symbol], (code, length), "{symbol}");
        }
    }

    #[test]
    fn every_byte_has_a_code() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(decoded(&encode(&all)), Some(all));
        assert_eq!(decoded(b""), Some(vec![]));
    }

    proptest! {
        #[test]
        fn no_string_is_read_otherwise_than_bit_by_bit(
            text in vec(any::<u8>(), 0..80),
            plain in "[ -~]{0,80}",
            change in (any::<prop::sample::Index>(), any::<u8>()),
            bytes in vec(prop_oneof![any::<u8>(), Just(0xff)], 0..20),
        ) {
            for text in [&text[..], plain.as_bytes()] {
                let mut coded = encode(text);
                prop_assert_eq!(decoded(&coded), Some(text.to_vec()));
                if !coded.is_empty() {
                    *change.0.get_mut(&mut coded) = change.1;
                    prop_assert_eq!(decoded(&coded), simple(&coded));
                }
            }
            prop_assert_eq!(decoded(&bytes), simple(&bytes));
        }
    }
}
