//! The answer to a probe of `doctor`: that it came through; for a WebSocket, a 101 and one Close
//! frame, so that what passes on the way is known to pass both ways.

use http::{Response, request::Parts};
use tokio::io::AsyncWriteExt as _;

use super::reply;
use crate::{
    forward::{Body, agree},
    incoming::Incoming,
};

/// A Close frame without a reason (RFC 6455 5.5.1).
const CLOSE: &[u8] = &[0x88, 0x00];

/// Answers a probe that was announced.
pub fn answer(head: &Parts, body: Incoming) -> Response<Body> {
    let Ok(response) = agree(head) else {
        return reply::health();
    };
    tokio::task::spawn_local(async move {
        if let Ok(mut stream) = body.take_up().await {
            // Whoever is gone by now needs no farewell.
            let _ = stream.write_all(CLOSE).await;
            let _ = stream.shutdown().await;
        }
    });
    response
}
