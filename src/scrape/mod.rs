//! Answers Prometheus, on listeners of its own: `/metrics`, to whoever can reach them.
//!
//! Imports `front`, `metrics` and what those share. Promise: a scrape never waits for the engine or
//! a disk, and nobody's requests wait for a scrape.

mod told;

use std::{convert::Infallible, fmt, net::TcpListener, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::prometheus_text, registry::Registry};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::told::Told;
use crate::{
    front::Shared,
    metrics::{self, Metrics},
};

/// Longest a head may take to come.
const HEAD: Duration = Duration::from_secs(10);
/// Longest a connection is kept, in use or not.
const LONGEST: Duration = Duration::from_mins(10);
/// Most connections at once to a listener: a few Prometheus servers and a curious operator.
const CONNECTIONS: usize = 32;

/// All that a scrape is told.
#[derive(Debug)]
pub struct Scrape {
    counted: Arc<Metrics>,
    told: Registry,
}

impl Scrape {
    /// Of the rooms that serve requests.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let counted = Arc::clone(&shared.metrics);
        let mut told = Registry::with_prefix(metrics::PREFIX);
        told.register_collector(Box::new(Told(shared)));
        Arc::new(Self { counted, told })
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = self.counted.encode()?;
        prometheus_text::encode(&mut text, &self.told)?;
        Ok(text)
    }
}

/// Answers on `listener` until told to stop.
pub async fn serve(listener: TcpListener, scrape: Arc<Scrape>, stop: CancellationToken) {
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
        let (scrape, stop) = (Arc::clone(&scrape), stop.clone());
        connections.spawn(async move {
            let answer = service_fn(|request| {
                let answered = answer(&request, &scrape);
                async move { Ok::<_, Infallible>(answered) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), answer);
            // Cut in the middle of an answer, a scrape is tried again.
            tokio::select! {
                // One that doesn't read its answers keeps nobody else's place.
                () = tokio::time::sleep(LONGEST) => {}
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a scrape's connection ended");
                },
                () = stop.cancelled() => {}
            }
        });
    }
}

fn answer(request: &Request<Incoming>, scrape: &Scrape) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match scrape.text() {
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
