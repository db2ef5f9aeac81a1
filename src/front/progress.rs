//! A start as it happens, for the starting page: server-sent events (HTML, section 9.2).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::{Front, answer::Progress};
use crate::{forward::Body, route::Target, session::Entry, workspace::Phase};

/// How often the page hears something although nothing changed, so that it can count seconds
/// and a proxy in between doesn't take the stream for dead.
const BEAT: Duration = Duration::from_secs(5);
/// Longest such a stream lasts; the page asks again.
const LONGEST: Duration = Duration::from_mins(10);

/// Streams the start of `target` while the session lasts. Starts nothing.
pub fn stream(front: &Front, target: &Target, entry: &Entry) -> Response<Body> {
    // A few events: the page reads them as fast as they come, or is gone.
    let (events, body) = mpsc::channel(4);
    match front.shared.workspaces.phase(&target.user, &target.app) {
        Some(phases) => {
            let live = Arc::clone(&entry.live);
            tokio::task::spawn_local(async move {
                let told = tell(phases, events);
                live.ended.run_until_cancelled(told).await
            });
        }
        None => {
            // Nothing is under way: the page finds out what there is by loading itself again.
            let _ = events.try_send(event("ready", &json!({})));
        }
    }
    self::events(body)
}

/// An answer of server-sent events.
pub fn events(body: mpsc::Receiver<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::events(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends each phase until the start is settled or the page has gone.
async fn tell(mut phases: watch::Receiver<Phase>, events: mpsc::Sender<Bytes>) {
    let end = Instant::now() + LONGEST;
    while Instant::now() < end {
        let phase = phases.borrow_and_update().clone();
        let (message, settled) = match &phase {
            Phase::Ready(_) => (event("ready", &json!({})), true),
            Phase::Failed(_) => (event("failed", &json!({})), true),
            Phase::Queued { .. } | Phase::Working { .. } => {
                (event("progress", &json!(Progress::of(&phase))), false)
            }
        };
        if events.send(message).await.is_err() || settled {
            return;
        }
        // A closed channel is a start that was given up; the page asks again.
        if matches!(timeout(BEAT, phases.changed()).await, Ok(Err(_))) {
            let _ = events.send(event("ready", &json!({}))).await;
            return;
        }
    }
}

/// One of them.
pub fn event(name: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
