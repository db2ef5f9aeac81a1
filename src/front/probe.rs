//! The answer to a probe of `doctor`: that it came through; for a WebSocket, a 101 and one Close
//! frame, so that what passes on the way is known to pass both ways.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use super::{head, reply};
use crate::forward::{Body, accept_of, key_of};

/// A Close frame without a reason (RFC 6455 5.5.1).
const CLOSE: &[u8] = &[0x88, 0x00];

/// Answers a probe that was announced.
pub fn answer(head: &Parts) -> Response<Body> {
    let upgrades = head.version == http::Version::HTTP_11;
    let key = key_of(&head.headers).ok();
    let accept = key.and_then(|key| HeaderValue::try_from(accept_of(&key)).ok());
    let mut bare = Request::new(());
    *bare.extensions_mut() = head.extensions.clone();
    let on = hyper::upgrade::on(bare);
    let Some(accept) =
        accept.filter(|_| upgrades && head::is_websocket(&head.headers, &head.extensions))
    else {
        return reply::health();
    };
    tokio::task::spawn_local(async move {
        if let Ok(stream) = on.await {
            let mut stream = TokioIo::new(stream);
            // Whoever is gone by now needs no farewell.
            let _ = stream.write_all(CLOSE).await;
            let _ = stream.shutdown().await;
        }
    });
    let mut response = Response::new(Body::full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}
