//! A start as it happens, for the starting page: server-sent events (HTML, section 9.2).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::{Front, Shared};
use crate::{
    forward::Body,
    route::Target,
    session::Entry,
    workspace::{Inside, Phase, Upstream},
};

/// How often the page hears something although nothing changed, so that it can count seconds
/// and a proxy in between doesn't take the stream for dead.
const BEAT: Duration = Duration::from_secs(5);
/// Longest such a stream lasts; the page asks again.
const LONGEST: Duration = Duration::from_mins(10);

/// How far a start has come, for the page and its events.
#[derive(Debug, serde::Serialize)]
pub struct Progress {
    /// What is being done, as a sentence.
    pub step: String,
    /// Which step that is, from 1; 0 before the first.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// How many starts are before this one, if it waits for its turn.
    pub queue: Option<usize>,
    /// How long the wait may be.
    pub estimate_seconds: Option<u64>,
}

impl Progress {
    fn queued(position: usize, estimate: Option<Duration>, of: usize) -> Self {
        Self {
            queue: Some(position),
            estimate_seconds: estimate.map(|estimate| estimate.as_secs().max(1)),
            ..Self::at("Waiting for a free place".to_owned(), 0, of)
        }
    }

    fn at(step: String, number: usize, of: usize) -> Self {
        Self {
            step,
            number,
            of,
            queue: None,
            estimate_seconds: None,
        }
    }

    fn opening(of: usize) -> Self {
        Self::at("Opening it".to_owned(), of, of)
    }
}

/// What a start that a page can follow leads to.
pub trait Goal: Clone + Send + Sync + 'static {
    /// How many steps lead there.
    const STEPS: usize;
}

impl Goal for Arc<Upstream> {
    const STEPS: usize = 4;
}

impl Goal for Inside {
    const STEPS: usize = 2;
}

impl<R: Goal> Phase<R> {
    /// The same for a page.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Queued { position, estimate } => Progress::queued(*position, *estimate, R::STEPS),
            Self::Working(step) => Progress::at(step.to_string(), step.number(), R::STEPS),
            Self::Ready(_) | Self::Failed(_) => Progress::opening(R::STEPS),
        }
    }

    /// The event that tells its end, if it has come.
    fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Queued { .. } | Self::Working(_) => None,
            Self::Ready(_) => Some("ready"),
            Self::Failed(_) => Some("failed"),
        }
    }
}

/// How far a start is when it is settled, or after so long. It goes on without us.
pub async fn settle<R: Goal>(mut start: watch::Receiver<Phase<R>>, patience: Duration) -> Phase<R> {
    let settled = start.wait_for(Phase::is_settled);
    // If not in time, then as far as it is.
    let _ = timeout(patience, settled).await;
    start.borrow().clone()
}

/// Streams the start of `target` while the session lasts. Starts nothing.
pub fn stream(front: &Front, target: &Target, entry: &Entry) -> Response<Body> {
    let Shared {
        workspaces, config, ..
    } = &*front.shared;
    if config.is_terminal(&target.app) {
        follow(workspaces.entering(&target.user), entry)
    } else {
        follow(workspaces.phase(&target.user, &target.app), entry)
    }
}

fn follow<R: Goal>(start: Option<watch::Receiver<Phase<R>>>, entry: &Entry) -> Response<Body> {
    // A few events: the page reads them as fast as they come, or is gone.
    let (events, body) = mpsc::channel(4);
    match start {
        Some(start) => {
            let live = Arc::clone(&entry.live);
            tokio::task::spawn_local(async move {
                let told = tell(start, events);
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

/// Sends each step until the start is settled or the page has gone.
async fn tell<R: Goal>(mut start: watch::Receiver<Phase<R>>, events: mpsc::Sender<Bytes>) {
    let end = Instant::now() + LONGEST;
    while Instant::now() < end {
        let now = start.borrow_and_update().clone();
        let (message, settled) = match now.outcome() {
            None => (event("progress", &json!(now.progress())), false),
            Some(outcome) => (event(outcome, &json!({})), true),
        };
        if events.send(message).await.is_err() || settled {
            return;
        }
        // A closed channel is a start that was given up; the page asks again.
        if matches!(timeout(BEAT, start.changed()).await, Ok(Err(_))) {
            let _ = events.send(event("ready", &json!({}))).await;
            return;
        }
    }
}

/// One of them.
pub fn event(name: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
