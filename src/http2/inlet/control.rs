//! What a client says of its connection and its streams (RFC 9113 6.3 to 6.9).

use super::{
    super::{
        frame::{Broken, ErrorCode, Header, LARGEST, broken, flag, kind, number, setting},
        state::{LARGEST_WINDOW, State},
    },
    GOODBYE, Inlet,
};

impl Inlet {
    /// Takes in a frame that is neither a head nor a body.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn control(
        &mut self,
        head: Header,
        payload: &[u8],
        state: &mut State,
    ) -> Result<(), Broken> {
        let stream = head.stream;
        let misplaced = match head.kind {
            kind::PRIORITY | kind::RST_STREAM => stream == 0,
            kind::SETTINGS | kind::PING | kind::GOAWAY => stream != 0,
            _ => false,
        };
        if misplaced {
            return broken(ErrorCode::Protocol, "a frame on the wrong stream");
        }
        // None of them is of use by itself.
        state.spend()?;
        match (head.kind, payload) {
            (kind::SETTINGS, _) => settings(head, payload, state),
            (kind::PING, [_, _, _, _, _, _, _, _]) => {
                if head.has(flag::ACK) {
                    self.pong |= payload == GOODBYE;
                } else {
                    state.put(kind::PING, flag::ACK, 0, payload);
                }
                Ok(())
            }
            (kind::RST_STREAM, [_, _, _, _]) => {
                self.not_idle(stream)?;
                state.forget(stream);
                Ok(())
            }
            (kind::WINDOW_UPDATE, &[a, b, c, d]) => {
                self.not_idle(stream)?;
                widen(stream, number([a, b, c, d]), state)
            }
            // Of priority nothing is heeded (RFC 9113 5.3.2).
            (kind::PRIORITY, _) if payload.len() != 5 => {
                // None other may be reset.
                if state.streams.contains_key(&stream) {
                    state.reset(stream, ErrorCode::FrameSize);
                }
                Ok(())
            }
            (kind::PING | kind::RST_STREAM | kind::WINDOW_UPDATE, _) => {
                broken(ErrorCode::FrameSize, "a frame of a wrong size")
            }
            (kind::GOAWAY, _) if payload.len() < 8 => {
                broken(ErrorCode::FrameSize, "a frame of a wrong size")
            }
            (kind::PUSH_PROMISE, _) => broken(ErrorCode::Protocol, "a client promised something"),
            // A client that leaves is still answered; unknown kinds are ignored (RFC 9113 4.1).
            _ => Ok(()),
        }
    }

    /// Nothing can be said of a stream that never began.
    fn not_idle(&self, stream: u32) -> Result<(), Broken> {
        if stream > self.last || (stream != 0 && stream.is_multiple_of(2)) {
            return broken(ErrorCode::Protocol, "a frame on a stream that never began");
        }
        Ok(())
    }
}

fn widen(stream: u32, by: u32, state: &mut State) -> Result<(), Broken> {
    if by == 0 && stream == 0 {
        return broken(ErrorCode::Protocol, "a window widened by nothing");
    }
    if by == 0 {
        state.reset(stream, ErrorCode::Protocol);
        return Ok(());
    }
    state.widen(stream, by)
}

fn settings(head: Header, payload: &[u8], state: &mut State) -> Result<(), Broken> {
    let (settings, rest) = payload.as_chunks::<6>();
    let acknowledges = head.has(flag::ACK);
    if !rest.is_empty() || (acknowledges && !payload.is_empty()) {
        return broken(ErrorCode::FrameSize, "a frame of a wrong size");
    }
    if acknowledges {
        return Ok(());
    }
    let mut window = None;
    for &[n0, n1, v0, v1, v2, v3] in settings {
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        match u16::from_be_bytes([n0, n1]) {
            setting::HEADER_TABLE_SIZE => state.encoder.resize(value),
            setting::ENABLE_PUSH if value > 1 => {
                return broken(ErrorCode::Protocol, "a setting that is none");
            }
            setting::INITIAL_WINDOW_SIZE if i64::from(value) > LARGEST_WINDOW => {
                return broken(ErrorCode::FlowControl, "a window larger than any");
            }
            setting::INITIAL_WINDOW_SIZE => window = Some(value),
            // We make none larger than the least that this may allow.
            setting::MAX_FRAME_SIZE if !(LARGEST..1 << 24).contains(&(value as usize)) => {
                return broken(ErrorCode::Protocol, "a frame size that is none");
            }
            _ => {}
        }
    }
    // Once, however often it is said: it concerns all streams.
    if let Some(window) = window {
        state.set_first_send_window(window)?;
    }
    state.put(kind::SETTINGS, flag::ACK, 0, b"");
    Ok(())
}
