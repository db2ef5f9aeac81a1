//! What a request holds of its workspace while its answer or its WebSocket lasts.

use std::sync::Arc;

use crate::{
    forward::{Direction, Frame, Guard},
    workspace::{Activity, Kind, OpenSocket, Upstream, Visit},
};

/// Something open in a workspace, told what passes. Its traffic, lengths alone, is traced where
/// the log's filter has `traffic=trace`: tests/traces was recorded so.
pub struct Held {
    open: Open,
    /// The request's id, for the trace.
    id: Box<str>,
}

enum Open {
    Answer { _open: Activity },
    Socket(OpenSocket),
}

impl Held {
    /// Counts a visit until it is dropped.
    pub fn new(upstream: &Arc<Upstream>, visit: Visit, id: &str) -> Self {
        let open = match visit.by.kind {
            Kind::Socket => Open::Socket(upstream.socket(visit)),
            _ => Open::Answer {
                _open: upstream.activity(visit),
            },
        };
        let id = id.into();
        Self { open, id }
    }
}

impl Guard for Held {
    fn passed(&mut self, direction: Direction, bytes: usize) {
        if let Open::Socket(socket) = &mut self.open {
            match direction {
                Direction::Up => socket.up(bytes),
                Direction::Down => socket.down(bytes),
            }
        }
    }

    fn client_frame(&mut self, frame: Frame) {
        let Frame { opcode, length } = frame;
        tracing::trace!(target: "traffic", id = &*self.id, opcode, length);
        if let Open::Socket(socket) = &mut self.open
            && !frame.is_control()
        {
            socket.client_data(length);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        tracing::trace!(target: "traffic", id = &*self.id, closed = true);
    }
}
