//! What a client says of its connection and its streams (RFC 9113 6.3 to 6.9).

use super::{
    frame::{Head, LARGEST, Reason, flag, kind, number, setting},
    inlet::{Broken, Inlet, broken},
    send::LARGEST_WINDOW,
    state::State,
};

impl Inlet {
    /// Takes in a frame that is neither a head nor a body.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn told(
        &mut self,
        head: Head,
        payload: &[u8],
        state: &mut State,
    ) -> Result<(), Broken> {
        let Head { kind, stream, .. } = head;
        let of_a_stream = match kind {
            kind::PRIORITY | kind::RST_STREAM => Some(true),
            kind::SETTINGS | kind::PING | kind::GOAWAY => Some(false),
            _ => None,
        };
        if of_a_stream.is_some_and(|of_a_stream| of_a_stream != (stream != 0)) {
            return broken(Reason::Protocol, "a frame on the wrong stream");
        }
        // None of them is of use by itself.
        state.spend()?;
        match (kind, payload) {
            (kind::SETTINGS, _) => settings(head, payload, state),
            (kind::PING, [_, _, _, _, _, _, _, _]) => {
                if head.has(flag::ACK) {
                    self.pong = true;
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
            (kind::PRIORITY, &[a, b, c, d, _]) => {
                if number([a, b, c, d]) == stream {
                    state.reset(stream, Reason::Protocol);
                }
                Ok(())
            }
            (kind::PRIORITY, _) => {
                state.reset(stream, Reason::FrameSize);
                Ok(())
            }
            (kind::PING | kind::RST_STREAM | kind::WINDOW_UPDATE, _) => {
                broken(Reason::FrameSize, "a frame of a wrong size")
            }
            (kind::GOAWAY, _) if payload.len() < 8 => {
                broken(Reason::FrameSize, "a frame of a wrong size")
            }
            (kind::PUSH_PROMISE, _) => broken(Reason::Protocol, "a client promised something"),
            // It takes no more from us than it asked for; what we don't know is nothing.
            _ => Ok(()),
        }
    }

    /// A stream that never began has nothing to be told.
    fn not_idle(&self, stream: u32) -> Result<(), Broken> {
        if stream > self.last || (stream != 0 && stream.is_multiple_of(2)) {
            return broken(Reason::Protocol, "a frame on a stream that never began");
        }
        Ok(())
    }
}

fn widen(stream: u32, by: u32, state: &mut State) -> Result<(), Broken> {
    if by == 0 && stream == 0 {
        return broken(Reason::Protocol, "a window widened by nothing");
    }
    if by == 0 {
        state.reset(stream, Reason::Protocol);
        return Ok(());
    }
    state.widen(stream, by)
}

fn settings(head: Head, payload: &[u8], state: &mut State) -> Result<(), Broken> {
    let (settings, rest) = payload.as_chunks::<6>();
    let acknowledges = head.has(flag::ACK);
    if !rest.is_empty() || (acknowledges && !payload.is_empty()) {
        return broken(Reason::FrameSize, "a frame of a wrong size");
    }
    if acknowledges {
        return Ok(());
    }
    for &[n0, n1, v0, v1, v2, v3] in settings {
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        match u16::from_be_bytes([n0, n1]) {
            setting::HEADER_TABLE_SIZE => state.encoder.resize(value),
            setting::ENABLE_PUSH if value > 1 => {
                return broken(Reason::Protocol, "a setting that is none");
            }
            setting::INITIAL_WINDOW_SIZE if i64::from(value) > LARGEST_WINDOW => {
                return broken(Reason::FlowControl, "a window larger than any");
            }
            setting::INITIAL_WINDOW_SIZE => state.set_first_window(value)?,
            // We make none larger than the least that this may allow.
            setting::MAX_FRAME_SIZE if !(LARGEST..1 << 24).contains(&(value as usize)) => {
                return broken(Reason::Protocol, "a frame size that is none");
            }
            _ => {}
        }
    }
    state.put(kind::SETTINGS, flag::ACK, 0, b"");
    Ok(())
}
