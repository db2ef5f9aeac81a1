//! What a request holds of its session and its workspace while its answer or its WebSocket lasts.

use std::sync::Arc;

use crate::{
    forward::{Direction, Frame, Guard},
    session::Live,
    workspace::{Activity, Kind, OpenSocket, Upstream, Visit},
};

/// Something open in a workspace, told what passes. Holds the session, so that it isn't forgotten
/// before it could be told of its end. What passes, lengths alone, is traced where the log's
/// filter has `traffic=trace`: tests/traces was recorded so.
pub struct Held {
    open: Open,
    _live: Arc<Live>,
    /// The request's id, for the trace.
    traced: Option<Box<str>>,
}

enum Open {
    Answer { _open: Activity },
    Socket(Box<OpenSocket>),
}

impl Held {
    /// Counts a visit until it is dropped.
    pub fn new(upstream: &Upstream, visit: Visit, live: &Arc<Live>, id: &str) -> Self {
        let open = match visit.by.kind {
            Kind::Socket => Open::Socket(Box::new(upstream.socket(visit))),
            _ => Open::Answer {
                _open: upstream.activity(visit),
            },
        };
        let traced = tracing::enabled!(target: "traffic", tracing::Level::TRACE);
        Self {
            open,
            _live: Arc::clone(live),
            traced: traced.then(|| id.into()),
        }
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
        if let Some(id) = &self.traced {
            let Frame { opcode, length } = frame;
            tracing::trace!(target: "traffic", id = &**id, opcode, length);
        }
        if let Open::Socket(socket) = &mut self.open
            && !frame.is_control()
        {
            socket.client_data(frame.length);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(id) = &self.traced {
            tracing::trace!(target: "traffic", id = &**id, closed = true);
        }
    }
}
