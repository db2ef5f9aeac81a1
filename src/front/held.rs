//! What a request holds of its workspace while its answer or its WebSocket lasts.

use crate::{
    forward::{Direction, Frame, Guard},
    workspace::Activity,
};

/// Tells the workspace what passes.
pub struct Held(pub Activity);

impl Guard for Held {
    fn passed(&mut self, _direction: Direction, _bytes: usize) {}

    fn client_frame(&mut self, frame: Frame) {
        self.0.client_frame(frame.opcode, frame.length);
    }
}
