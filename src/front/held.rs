//! What a request holds of its session and its workspace while its answer or its WebSocket lasts.

use std::sync::Arc;

use crate::{
    forward::{Direction, Frame, Guard},
    session::Live,
    workspace::Activity,
};

/// Tells the workspace what passes. Holds the session, so that it isn't forgotten before it
/// could be told of its end.
pub struct Held {
    activity: Activity,
    _live: Arc<Live>,
}

impl Held {
    pub fn new(activity: Activity, live: &Arc<Live>) -> Self {
        Self {
            activity,
            _live: Arc::clone(live),
        }
    }
}

impl Guard for Held {
    fn passed(&mut self, _direction: Direction, _bytes: usize) {}

    fn client_frame(&mut self, frame: Frame) {
        self.activity.client_frame(frame.opcode, frame.length);
    }
}
