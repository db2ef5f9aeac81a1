//! Answers, and how much of them may be sent (RFC 9113 5.2, 6.1, 6.2 and 6.9).

use std::task::Context;

use http::{HeaderMap, StatusCode};

use super::{Inbound, Outbound, State, Tunneled, remember};
use crate::http2::{
    bounds::WAITING,
    frame::{Broken, ErrorCode, Header, LARGEST, broken, flag, kind},
    hpack::Encoder,
};

/// The largest window there is (RFC 9113 6.9.1).
pub const LARGEST_WINDOW: i64 = 0x7fff_ffff;

/// How much may be written now.
pub enum Room {
    /// So many bytes.
    Some(usize),
    /// None; whoever asks is woken when there is.
    Wait,
    /// The stream is no more.
    Gone,
}

impl State {
    /// Whether a stream is still there; whoever asks is woken when it is no more.
    pub fn is_awaited(&mut self, id: u32, cx: &Context<'_>) -> bool {
        let stream = self.streams.get_mut(&id);
        stream
            .map(|stream| remember(&mut stream.writer, cx))
            .is_some()
    }

    /// Whether anything may still be sent on a stream.
    pub fn may_send(&self, id: u32) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| stream.outbound != Outbound::Ended)
    }

    /// Whether a stream is a tunnel's by now.
    pub fn is_tunnel(&self, id: u32) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| stream.tunnel == Tunneled::Up)
    }

    /// Whether an answer of this status makes a stream a tunnel.
    pub fn opens_tunnel(&self, id: u32, status: StatusCode) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| stream.tunnel == Tunneled::Wanted) && status.is_success()
    }

    /// Whether streams wait for what all share, or did until a moment ago.
    pub fn others_wait(&self) -> bool {
        self.crowded || !self.waiting.is_empty() || !self.last_in_line.is_empty()
    }

    /// Whether the head of an answer may be written; whoever asks is woken when it may.
    pub fn room_for_head(&mut self, id: u32, cx: &Context<'_>) -> Room {
        // What was sent of it counts until all is: only then does it take no more memory.
        let room = WAITING.saturating_sub(self.out.len());
        let Some(stream) = self.streams.get_mut(&id) else {
            return Room::Gone;
        };
        remember(&mut stream.writer, cx);
        if room > 0 {
            return Room::Some(room);
        }
        self.wait(id);
        Room::Wait
    }

    /// How much of a body may be written; whoever asks is woken when there is room.
    pub fn room_for_body(&mut self, id: u32, cx: &Context<'_>) -> Room {
        let left = match self.room_for_head(id, cx) {
            Room::Some(left) => left,
            none => return none,
        };
        let Some(stream) = self.streams.get(&id) else {
            return Room::Gone;
        };
        if stream.send_window <= 0 {
            self.pass_window_on();
            return Room::Wait;
        }
        if self.send_window <= 0 {
            if self.may_wait(id) {
                self.for_window.push_back(id);
            }
            return Room::Wait;
        }
        let window = usize::try_from(stream.send_window.min(self.send_window)).unwrap_or(0);
        // Where others wait, each has a frame in its turn: a whole one, even if that is more than there
        // is room for, or some would come off badly.
        let turn = if self.others_wait() { LARGEST } else { left };
        Room::Some(turn.min(window))
    }

    fn wait(&mut self, id: u32) {
        if self.may_wait(id) {
            self.waiting.push(id);
        }
    }

    /// Has a stream that wrote something wait until all others that wait have had their turn, too.
    pub fn had_its_turn(&mut self, id: u32) {
        if self.may_wait(id) {
            self.last_in_line.push(id);
        }
    }

    fn may_wait(&mut self, id: u32) -> bool {
        let stream = self.streams.get_mut(&id);
        stream.is_some_and(|stream| !std::mem::replace(&mut stream.waits, true))
    }

    /// What is left of the connection's window is the next one's. One after the other, since a client
    /// may widen it by a byte for which all would look in vain.
    pub fn pass_window_on(&mut self) {
        while self.send_window > 0
            && let Some(id) = self.for_window.pop_front()
        {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.waits = false;
                return stream.wake_writer();
            }
        }
    }

    /// Lets all streams look again that waited until what was said was sent.
    pub fn wake_waiting(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.append(&mut self.last_in_line);
        self.crowded = waiting.len() > 1;
        for id in waiting {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.waits = false;
                stream.wake_writer();
            }
        }
        self.pass_window_on();
    }

    /// Writes the head of an answer; `end`: nothing follows it.
    pub fn answer(&mut self, id: u32, status: StatusCode, headers: &HeaderMap, end: bool) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.tunnel == Tunneled::Wanted {
            stream.tunnel = if status.is_success() && !end {
                Tunneled::Up
            } else {
                Tunneled::No
            };
            stream.wake_reader();
        }
        self.block(id, end, |encoder, out| encoder.answer(status, headers, out));
        self.has_sent(id, end);
    }

    /// Writes the trailers of an answer, and so ends it.
    pub fn trailers(&mut self, id: u32, trailers: &HeaderMap) {
        if self.streams.contains_key(&id) {
            self.block(id, true, |encoder, out| encoder.trailers(trailers, out));
            self.has_sent(id, true);
        }
    }

    /// Writes bytes of a body, no more than there is [`State::room_for_body`] for.
    pub fn data(&mut self, id: u32, bytes: &[u8], end: bool) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        // Nothing may follow its end.
        if stream.outbound == Outbound::Ended {
            return;
        }
        // Some clients make room for every 4 KiB, on the stream and on the connection; none does for a
        // few bytes.
        if bytes.len() >= 64 {
            self.patience.earn(2 + bytes.len() / 2048);
        }
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        stream.send_window -= length;
        self.send_window -= length;
        let mut left = bytes;
        loop {
            let (now, later) = left.split_at(left.len().min(LARGEST));
            left = later;
            let last = left.is_empty();
            let flags = if end && last { flag::END_STREAM } else { 0 };
            self.put(kind::DATA, flags, id, now);
            if last {
                break;
            }
        }
        self.has_sent(id, end);
        self.pass_window_on();
    }

    /// Writes a block of fields (RFC 9113 4.3).
    fn block(&mut self, id: u32, end: bool, encode: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        self.reserve();
        let at = self.out.len();
        let mut head = Header {
            length: 0,
            kind: kind::HEADERS,
            flags: flag::END_HEADERS | if end { flag::END_STREAM } else { 0 },
            stream: id,
        };
        self.out.extend_from_slice(&head.bytes());
        let begin = self.out.len();
        encode(&mut self.encoder, &mut self.out);
        head.length = self.out.len() - begin;
        if head.length > LARGEST {
            let block = self.out.split_off(begin);
            self.out.truncate(at);
            self.blocks(head, &block);
        } else {
            self.out[at..begin].copy_from_slice(&head.bytes());
        }
        self.wake();
    }

    /// The same, of a block too large for one frame.
    fn blocks(&mut self, first: Header, block: &[u8]) {
        let pieces = block.chunks(LARGEST);
        let last = pieces.len() - 1;
        for (number, piece) in pieces.enumerate() {
            let end = if number == last { flag::END_HEADERS } else { 0 };
            let (kind, flags) = match number {
                0 => (kind::HEADERS, first.flags & flag::END_STREAM),
                _ => (kind::CONTINUATION, 0),
            };
            self.put(kind, flags | end, first.stream, piece);
        }
    }

    /// The answer has come so far.
    fn has_sent(&mut self, id: u32, end: bool) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.outbound = if end { Outbound::Ended } else { Outbound::Body };
        if end {
            if stream.inbound == Inbound::Ended {
                self.open -= 1;
            }
            self.settle(id);
        }
    }

    /// Takes in how much more the client takes on a stream, or with 0 on all (RFC 9113 6.9).
    ///
    /// # Errors
    /// If that is more than a window may be; a stream's end is told here.
    pub fn widen(&mut self, id: u32, by: u32) -> Result<(), Broken> {
        let by = i64::from(by);
        if id == 0 {
            self.send_window += by;
            if self.send_window > LARGEST_WINDOW {
                return broken(ErrorCode::FlowControl, "a window larger than any");
            }
            self.pass_window_on();
        } else if let Some(stream) = self.streams.get_mut(&id) {
            stream.send_window += by;
            if stream.send_window > LARGEST_WINDOW {
                self.reset(id, ErrorCode::FlowControl);
            } else {
                stream.wake_writer();
            }
        }
        Ok(())
    }

    /// Takes in what each stream's window begins with, also for those there are (RFC 9113 6.9.2).
    ///
    /// # Errors
    /// If that makes one larger than it may be.
    pub fn set_first_send_window(&mut self, size: u32) -> Result<(), Broken> {
        let change = i64::from(size) - self.first_send_window;
        self.first_send_window = i64::from(size);
        for stream in self.streams.values_mut() {
            stream.send_window += change;
            if stream.send_window > LARGEST_WINDOW {
                return broken(ErrorCode::FlowControl, "a window larger than any");
            }
            stream.wake_writer();
        }
        Ok(())
    }
}
