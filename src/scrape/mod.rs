//! Answers Prometheus, on listeners of its own: `/metrics`, to whoever can reach them.
//!
//! Imports `config`, `metrics` and `workspace`. Promise: a scrape never waits for the engine or
//! a disk, and nobody's requests wait for a scrape.

mod workspaces;

use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::workspaces::Told;
use crate::metrics::{self, Metrics};

/// Longest a head may take to come.
const HEAD: Duration = Duration::from_secs(10);
/// Most connections at once to a listener: a few Prometheus servers and a curious operator.
const CONNECTIONS: usize = 32;

/// Answers on `listener` until told to stop.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) {
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no metrics: the listener failed"),
    };
    let connections = TaskTracker::new();
    loop {
        // Cancel-safe: `accept` loses no connection when dropped.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Mostly out of file descriptors: a busy loop would only make it worse.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if connections.len() >= CONNECTIONS {
            continue;
        }
        let (metrics, stop) = (Arc::clone(&metrics), stop.clone());
        connections.spawn(async move {
            let answer = service_fn(|request| {
                let answered = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(answered) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), answer);
            // Cut in the middle of an answer, a scrape is tried again.
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a scrape's connection ended");
                },
                () = stop.cancelled() => {}
            }
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match metrics.encode() {
            Ok(text) => (StatusCode::OK, text),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        },
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
