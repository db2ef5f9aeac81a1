//! What clients send on streams, and how much they may (RFC 9113 5.2 and 6.9).

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use super::{Fault, Inbound, Outbound, Piece, State, Tunneled, remember};
use crate::http2::{
    bounds::{CONNECTION_WINDOW, STREAM_WINDOW},
    frame::{Broken, ErrorCode, Header, broken, flag, kind},
};

impl State {
    /// The client is about to send DATA, `left` bytes of it a body's.
    ///
    /// # Errors
    /// [`Broken`]; what concerns its stream alone ends that.
    pub fn expect(&mut self, head: Header, left: usize) -> Result<(), Broken> {
        let length = i64::try_from(head.length).unwrap_or(i64::MAX);
        self.recv_window -= length;
        if self.recv_window < 0 {
            return broken(
                ErrorCode::FlowControl,
                "more than the connection has room for",
            );
        }
        let Some(stream) = self.streams.get_mut(&head.stream) else {
            // What was on its way when we ended it came at a price of its own.
            if self.was_cut(head.stream) && head.length >= 1024 {
                return Ok(());
            }
            return self.on_closed(head.stream, ErrorCode::StreamClosed);
        };
        stream.recv_window -= length;
        let mut announced = stream.announced.map(|all| all.checked_sub(left as u64));
        if head.has(flag::END_STREAM) {
            announced = announced.map(|rest| rest.filter(|rest| *rest == 0));
        }
        let fault = match announced {
            _ if stream.inbound == Inbound::Ended => Some(ErrorCode::StreamClosed),
            _ if stream.recv_window < 0 => Some(ErrorCode::FlowControl),
            Some(None) => Some(ErrorCode::Protocol),
            Some(Some(rest)) => {
                stream.announced = Some(rest);
                None
            }
            None => None,
        };
        if let Some(reason) = fault {
            self.spend()?;
            self.reset(head.stream, reason);
        }
        Ok(())
    }

    /// Bytes of a body came. What nobody wants gives its room back at once.
    pub fn receive(&mut self, id: u32, data: &[u8]) {
        match self.streams.get_mut(&id) {
            _ if data.is_empty() => {}
            Some(stream) if stream.wanted => {
                stream.push(data);
                stream.wake_reader();
            }
            _ => self.taken(data.len()),
        }
    }

    /// Bytes came that are no body's; they took room as well.
    pub fn skip(&mut self, id: u32, bytes: usize) {
        self.taken(bytes);
        self.give(id, bytes);
    }

    /// Tells the client that `bytes` of what it sent on a stream were taken, once that is worth a
    /// frame.
    fn give(&mut self, id: u32, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.inbound == Inbound::Open {
            stream.unannounced += u32::try_from(bytes).unwrap_or(0);
            if stream.unannounced >= STREAM_WINDOW / 4 {
                let unannounced = std::mem::take(&mut stream.unannounced);
                stream.recv_window += i64::from(unannounced);
                self.put(kind::WINDOW_UPDATE, 0, id, &unannounced.to_be_bytes());
            }
        }
    }

    /// Tells the client that `bytes` of all that it sent were taken, once that is worth a frame.
    pub fn taken(&mut self, bytes: usize) {
        self.unannounced += u32::try_from(bytes).unwrap_or(0);
        if self.unannounced >= CONNECTION_WINDOW / 4 {
            let unannounced = std::mem::take(&mut self.unannounced);
            self.recv_window += i64::from(unannounced);
            self.put(kind::WINDOW_UPDATE, 0, 0, &unannounced.to_be_bytes());
        }
    }

    /// The next piece of what a client sent on a stream; none at its end.
    pub fn take(&mut self, id: u32, cx: &Context<'_>) -> Poll<Option<Result<Piece, Fault>>> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Poll::Ready(Some(Err(Fault::Gone)));
        };
        let Some(bytes) = stream.pieces.pop_front() else {
            return match stream.inbound {
                Inbound::Open => {
                    remember(&mut stream.reader, cx);
                    Poll::Pending
                }
                Inbound::Ended => {
                    let trailers = stream.trailers.take();
                    Poll::Ready(trailers.map(|trailers| Ok(Piece::Trailers(*trailers))))
                }
            };
        };
        let length = bytes.len();
        self.give(id, length);
        self.taken(length);
        Poll::Ready(Some(Ok(Piece::Data(bytes.freeze()))))
    }

    /// Nobody wants what else a client sends on a stream.
    pub fn unwanted(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.wanted = false;
        // Nor will anybody take it up.
        stream.tunnel = Tunneled::No;
        let unread = stream.unread();
        (stream.pieces, stream.trailers) = (VecDeque::new(), None);
        self.taken(unread);
        self.settle(id);
    }

    /// The client has sent all it will on a stream.
    pub fn receive_end(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.inbound == Inbound::Ended {
            return;
        }
        stream.inbound = Inbound::Ended;
        stream.wake_reader();
        if stream.outbound == Outbound::Ended {
            self.open -= 1;
        }
        self.settle(id);
    }
}
