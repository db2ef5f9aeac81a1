//! Follows the frames of a WebSocket in one direction by their headers alone (RFC 6455 5.2).
//!
//! Imports nothing. Promise: payloads are stepped over, never looked at; bytes may come cut
//! anywhere; the work grows with the frames and not with their bytes, and nothing that comes
//! makes it fail.

/// What a frame is (RFC 6455 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// Length of the payload in bytes, as it is on the wire: compressed, if it is.
    pub length: u64,
}

impl Frame {
    /// Whether it is a Close, Ping, Pong or another control frame (RFC 6455 5.5).
    pub fn is_control(self) -> bool {
        self.opcode & 0x8 != 0
    }
}

/// Where in its frames a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    at: At,
    opcode: u8,
    masked: bool,
    /// The payload's length as far as it was read, then how much of it is still to come.
    left: u64,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// The first of a frame.
    #[default]
    Start,
    /// The mask bit and the short length.
    Length,
    /// One of so many of a long length.
    LongLength(u8),
    /// One of so many of the masking key.
    Key(u8),
    Payload,
}

impl Frames {
    /// Whether the last byte fed was the last of its frame, so that a frame of somebody else's
    /// may follow it.
    pub fn at_boundary(&self) -> bool {
        self.at == At::Start
    }

    /// How many of the next bytes surely belong to the frame that has begun: 0 at a boundary.
    pub fn surely_left(&self) -> u64 {
        match self.at {
            At::Start => 0,
            At::Payload => self.left,
            At::Length | At::LongLength(_) | At::Key(_) => 1,
        }
    }

    /// Takes in the next bytes of the stream; `begun` is told of each frame whose header ends in
    /// them.
    pub fn feed(&mut self, mut bytes: &[u8], mut begun: impl FnMut(Frame)) {
        while let [byte, rest @ ..] = bytes {
            if self.at == At::Payload {
                let there = bytes.len() as u64;
                let step = usize::try_from(self.left.min(there)).unwrap_or(bytes.len());
                bytes = &bytes[step..];
                self.left -= step as u64;
                if self.left == 0 {
                    self.at = At::Start;
                }
                continue;
            }
            bytes = rest;
            if self.header(*byte) {
                let (opcode, length) = (self.opcode, self.left);
                begun(Frame { opcode, length });
                self.at = if length == 0 { At::Start } else { At::Payload };
            }
        }
    }

    /// Takes in one byte of a header, and says whether it was the last one.
    fn header(&mut self, byte: u8) -> bool {
        let length_known = match self.at {
            At::Start | At::Payload => {
                self.opcode = byte & 0x0f;
                self.at = At::Length;
                return false;
            }
            At::Length => {
                self.masked = byte & 0x80 != 0;
                let long = match byte & 0x7f {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                };
                self.left = if long == 0 { (byte & 0x7f).into() } else { 0 };
                self.at = At::LongLength(long);
                long == 0
            }
            At::LongLength(more) => {
                self.left = self.left << 8 | u64::from(byte);
                self.at = At::LongLength(more.saturating_sub(1));
                more <= 1
            }
            At::Key(more) => {
                self.at = At::Key(more.saturating_sub(1));
                return more <= 1;
            }
        };
        if length_known && self.masked {
            self.at = At::Key(4);
        }
        length_known && !self.masked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Sent {
        frame: Frame,
        fin: bool,
        key: Option<[u8; 4]>,
        /// How many bytes the length is spelled with beside the short one: it need not be the
        /// fewest.
        spelled: usize,
        fill: u8,
    }

    impl Sent {
        fn bytes(&self) -> Vec<u8> {
            let mask = if self.key.is_some() { 0x80 } else { 0 };
            let length = self.frame.length.to_be_bytes();
            let short = match self.spelled {
                0 => length[7],
                2 => 126,
                _ => 127,
            };
            let mut bytes = vec![u8::from(self.fin) << 7 | self.frame.opcode, mask | short];
            bytes.extend(&length[8 - self.spelled..]);
            bytes.extend(self.key.iter().flatten());
            bytes.resize(
                bytes.len() + usize::try_from(self.frame.length).unwrap(),
                self.fill,
            );
            bytes
        }
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let length = prop_oneof![0_u64..300, 65_530_u64..65_540];
        let key = proptest::option::of(any::<[u8; 4]>());
        let any = (
            0_u8..16,
            length,
            any::<bool>(),
            key,
            0_usize..3,
            any::<u8>(),
        );
        any.prop_map(|(opcode, length, fin, key, longer, fill)| {
            let least = usize::from(length > 125) + usize::from(length > 65_535);
            let spelled = [0, 2, 8][longer.max(least)];
            let frame = Frame { opcode, length };
            Sent {
                frame,
                fin,
                key,
                spelled,
                fill,
            }
        })
    }

    proptest! {
        #[test]
        fn no_cut_hides_a_frame_or_shows_one_that_is_none(
            frames in proptest::collection::vec(sent(), 0..8),
            cuts in proptest::collection::vec(1_usize..2000, 0..50),
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(Sent::bytes).collect();
            let mut ends = vec![0];
            ends.extend(frames.iter().scan(0, |end, sent| {
                *end += sent.bytes().len();
                Some(*end)
            }));
            let (mut follower, mut seen, mut at) = (Frames::default(), Vec::new(), 0);
            let mut cuts = cuts.into_iter();
            while at < wire.len() {
                let end = wire.len().min(at + cuts.next().unwrap_or(wire.len()));
                follower.feed(&wire[at..end], |frame| seen.push(frame));
                at = end;
                prop_assert_eq!(follower.at_boundary(), ends.contains(&at), "at {}", at);
            }
            let told: Vec<Frame> = frames.iter().map(|sent| sent.frame).collect();
            prop_assert_eq!(seen, told);
        }

        #[test]
        fn nothing_that_comes_makes_it_fail(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..64),
        ) {
            let mut whole = Frames::default();
            let mut seen = 0_usize;
            whole.feed(&pieces.concat(), |_| seen += 1);
            let mut cut = Frames::default();
            for piece in &pieces {
                cut.feed(piece, |_| seen -= 1);
            }
            prop_assert_eq!((cut, seen), (whole, 0));
        }
    }

    #[test]
    fn a_socket_pays_a_few_bytes_for_it() {
        assert!(size_of::<Frames>() <= 24);
    }
}
