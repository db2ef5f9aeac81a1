//! A body in chunks (RFC 9112 7.1), read strictly: two readers must find the same end. Pure.
//!
//! Imports `http` and what this room knows of lines.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;

use super::{
    AnswerError,
    lines::{self, Field, LINE_END},
};

/// Longest line with a chunk's size: extensions are read over, not kept.
const LONGEST_LINE: usize = 4096;
/// Most bytes of trailers.
const MOST_BYTES: usize = 64 * 1024;
/// Most trailers.
const MOST_FIELDS: usize = 100;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunks {
    /// In the line with the size.
    #[default]
    Size,
    /// In a chunk of which so many bytes are left.
    Data(u64),
    /// In the line end behind a chunk's data.
    DataEnd,
    /// In the trailers, of which so many bytes were searched for their end.
    Trailers(usize),
    /// Behind it all.
    End,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes of the body.
    Data(Bytes),
    /// Trailers; nothing follows them.
    Trailers(HeaderMap),
    /// The end, without trailers.
    End,
    /// Not enough bytes to tell.
    More,
}

impl Chunks {
    /// Takes the next piece out of `buffer`.
    ///
    /// # Errors
    /// [`AnswerError`] if it is no body in chunks.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Step, AnswerError> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = lines::first(buffer) else {
                        if buffer.len() > LONGEST_LINE {
                            return Err(AnswerError::TooLarge);
                        }
                        return Ok(Step::More);
                    };
                    *self = match size(line)? {
                        0 => Self::Trailers(0),
                        size => Self::Data(size),
                    };
                    let length = line.len();
                    buffer.advance(length);
                }
                Self::Data(_) if buffer.is_empty() => return Ok(Step::More),
                Self::Data(left) => {
                    let there =
                        usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                    *left -= there as u64;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(Step::Data(buffer.split_to(there).freeze()));
                }
                Self::DataEnd if buffer.len() < LINE_END.len() => return Ok(Step::More),
                Self::DataEnd => {
                    if !buffer.starts_with(LINE_END) {
                        return Err(AnswerError::NotHttp);
                    }
                    buffer.advance(LINE_END.len());
                    *self = Self::Size;
                }
                Self::Trailers(_) if buffer.starts_with(LINE_END) => {
                    buffer.advance(LINE_END.len());
                    *self = Self::End;
                }
                Self::Trailers(seen) => {
                    if buffer.len() > MOST_BYTES {
                        return Err(AnswerError::TooLarge);
                    }
                    let Some(end) = lines::end(buffer, *seen) else {
                        *seen = buffer.len();
                        return Ok(Step::More);
                    };
                    *self = Self::End;
                    let read = trailers(&buffer[..end]);
                    buffer.advance(end);
                    return read.map(Step::Trailers);
                }
                Self::End => return Ok(Step::End),
            }
        }
    }
}

/// The size in a line, which may have extensions behind it.
fn size(line: &[u8]) -> Result<u64, AnswerError> {
    let line = lines::without_end(line)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    // Blanks alone may follow them (RFC 9112 7.1.1), not every white space.
    let digits = str::from_utf8(digits).unwrap_or_default();
    let digits = digits.trim_end_matches([' ', '\t']);
    let plain = (1..=16).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !line.contains(&b'\r');
    let size = u64::from_str_radix(digits, 16).ok().filter(|_| plain);
    size.ok_or(AnswerError::NotHttp)
}

fn trailers(mut read: &[u8]) -> Result<HeaderMap, AnswerError> {
    let mut trailers = HeaderMap::new();
    while read != LINE_END {
        if trailers.len() == MOST_FIELDS {
            return Err(AnswerError::TooLarge);
        }
        let line = lines::first(read).ok_or(AnswerError::NotHttp)?;
        let field = Field::parse(line)?;
        trailers.append(field.name, field.value);
        read = &read[line.len()..];
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a body that comes in pieces of `cut` bytes: its bytes, trailers and what is left.
    fn read(text: &[u8], cut: usize) -> Result<(Vec<u8>, usize, Vec<u8>), AnswerError> {
        let (mut chunks, mut buffer) = (Chunks::default(), BytesMut::new());
        let (mut body, mut pieces) = (Vec::new(), text.chunks(cut));
        loop {
            match chunks.next(&mut buffer)? {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::More => buffer.extend_from_slice(pieces.next().ok_or(AnswerError::Ended)?),
                end => {
                    let count = match end {
                        Step::Trailers(trailers) => trailers.len(),
                        _ => 0,
                    };
                    pieces.for_each(|piece| buffer.extend_from_slice(piece));
                    return Ok((body, count, buffer.to_vec()));
                }
            }
        }
    }

    #[test]
    fn chunks_end_where_they_say_and_nowhere_else() {
        for (text, expected) in [
            ("3\r\nabc\r\n0\r\n\r\nrest", Some(("abc", 0, "rest"))),
            (
                "1;x=y\r\na\r\n02 \r\nbc\r\n0\r\nx: 1\r\ny: 2\r\n\r\n",
                Some(("abc", 2, "")),
            ),
            ("0\r\n\r\n", Some(("", 0, ""))),
            ("A\r\n0123456789\r\n0\r\n\r\n", Some(("0123456789", 0, ""))),
            ("3\nabc\r\n0\r\n\r\n", None),
            ("3\r\nabcd\r\n0\r\n\r\n", None),
            ("3\r\nabc\n0\r\n\r\n", None),
            ("\r\nabc", None),
            ("+3\r\nabc\r\n0\r\n\r\n", None),
            ("0x3\r\nabc\r\n0\r\n\r\n", None),
            ("11111111111111111\r\n", None),
            ("3 x\r\nabc\r\n0\r\n\r\n", None),
            ("3\u{c}\r\nabc\r\n0\r\n\r\n", None),
            ("3;\rx\r\nabc\r\n0\r\n\r\n", None),
            ("0\r\nx y\r\n\r\n", None),
            ("3\r\nab", None),
        ] {
            let found = read(text.as_bytes(), 1000).ok();
            let expected = expected.map(|(body, count, rest)| {
                (body.as_bytes().to_vec(), count, rest.as_bytes().to_vec())
            });
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn lines_and_trailers_have_a_bound() {
        let trailers = |count| format!("0\r\n{}\r\n", "a: 1\r\n".repeat(count));
        assert!(read(trailers(MOST_FIELDS).as_bytes(), 1000).is_ok());
        for text in [
            trailers(MOST_FIELDS + 1),
            format!("1;{}", "x".repeat(LONGEST_LINE)),
            format!("0\r\na: {}", "x".repeat(MOST_BYTES)),
        ] {
            let found = read(text.as_bytes(), 1000);
            assert!(matches!(found, Err(AnswerError::TooLarge)), "{found:?}");
        }
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_is_cut(
            sizes in proptest::collection::vec(1..300_usize, 0..6),
            cut in 1..80_usize,
        ) {
            let (mut text, mut whole) = (Vec::new(), Vec::new());
            for (number, size) in sizes.iter().enumerate() {
                let data = vec![u8::try_from(number).unwrap() + b'\n'; *size];
                text.extend(format!("{size:x}\r\n").bytes());
                text.extend(&data);
                text.extend(b"\r\n");
                whole.extend(data);
            }
            text.extend(b"0\r\nx: 1\r\ny: 2\r\n\r\nnext");
            let (body, trailers, rest) = read(&text, cut).unwrap();
            prop_assert_eq!(trailers, 2);
            prop_assert_eq!(body, whole);
            prop_assert_eq!(rest, b"next");
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200), cut in 1..20_usize) {
            let _ = read(&text, cut);
        }
    }
}
