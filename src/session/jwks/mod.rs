//! The web application's keys by URL (RFC 7517): fetched in the background and kept while the
//! server is away, so that no request waits for it but one that names a key we do not know.

mod jwk;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Uri;
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use self::jwk::{KeySet, KeySetError};
use super::keys::VerifyingKey;
use crate::fetch::{FetchError, fetch};

/// How long keys are used without asking again, if the server doesn't say.
const USUAL_AGE: Duration = Duration::from_mins(10);
/// The bounds of what it may say.
const SHORTEST_AGE: Duration = Duration::from_mins(1);
const LONGEST_AGE: Duration = Duration::from_hours(24);
/// Longest pause between two tries while it doesn't answer; the first ones are shorter.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// What a key set comes as (RFC 7517 8.5.2).
const ACCEPT: &str = "application/jwk-set+json, application/json";
/// Least time between two fetches for the sake of an unknown key: any stranger can name one.
const FOR_UNKNOWN: Duration = Duration::from_secs(30);
/// How long a request with an unknown key waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// How it stands with the key set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JwksStatus {
    /// Its address, without a query.
    pub url: String,
    /// The ids of the keys in use; a key without one is empty.
    pub keys: Vec<String>,
    /// Which others were in the set, and what is wrong with them.
    pub skipped: Vec<String>,
    /// Seconds since the keys were last fetched; `None`: never yet.
    pub age_seconds: Option<u64>,
    /// Why the last try failed, if it did.
    pub error: Option<String>,
}

/// The key set at a URL.
#[derive(Debug)]
pub(super) struct Jwks {
    url: Uri,
    state: Mutex<State>,
    /// Somebody waits for a fetch.
    wanted: Notify,
    /// How many fetches have ended, well or not.
    rounds: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// A fetch goes on, or is about to.
    under_way: bool,
    /// When the last fetch for an unknown key was asked for.
    asked: Option<Instant>,
    fetched: Option<Instant>,
    failures: u32,
    keys: Vec<String>,
    skipped: Vec<String>,
    error: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum UpdateError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl Jwks {
    pub fn new(url: Uri) -> Self {
        Self {
            url,
            state: Mutex::new(State {
                under_way: true,
                asked: None,
                fetched: None,
                failures: 0,
                keys: Vec::new(),
                skipped: Vec::new(),
                error: None,
            }),
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
        }
    }

    pub fn status(&self) -> JwksStatus {
        let state = self.state();
        JwksStatus {
            url: self.place(),
            keys: state.keys.clone(),
            skipped: state.skipped.clone(),
            age_seconds: state.fetched.map(|at| at.elapsed().as_secs()),
            error: state.error.clone(),
        }
    }

    /// Keeps the keys fresh until told to stop; `keys_are` is told of each set that came.
    pub async fn run(&self, stop: CancellationToken, keys_are: impl Fn(Vec<Arc<VerifyingKey>>)) {
        loop {
            self.state().under_way = true;
            let Some(updated) = stop.run_until_cancelled(self.update()).await else {
                return;
            };
            let pause = match updated {
                Ok((set, age)) => {
                    self.note_keys(&set);
                    keys_are(set.keys);
                    age
                }
                Err(error) => self.note_failure(&error),
            };
            self.state().under_way = false;
            self.rounds.send_modify(|round| *round += 1);
            // A wish that came meanwhile is kept by `wanted`.
            let waited = timeout(pause, self.wanted.notified());
            if stop.run_until_cancelled(waited).await.is_none() {
                return;
            }
        }
    }

    /// Has the keys fetched again for the sake of one that is not known, and waits for that a
    /// little; whether they were. Whoever comes too early after the last such fetch is not kept.
    pub async fn refetch(&self) -> bool {
        let mut rounds = self.rounds.subscribe();
        if !self.ask() {
            return false;
        }
        matches!(timeout(PATIENCE, rounds.changed()).await, Ok(Ok(())))
    }

    fn ask(&self) -> bool {
        let mut state = self.state();
        if state.under_way {
            return true;
        }
        if state.asked.is_some_and(|at| at.elapsed() < FOR_UNKNOWN) {
            return false;
        }
        state.asked = Some(Instant::now());
        state.under_way = true;
        self.wanted.notify_one();
        true
    }

    async fn update(&self) -> Result<(KeySet, Duration), UpdateError> {
        let fetched = fetch(&self.url, ACCEPT).await?;
        let age = fetched.max_age.unwrap_or(USUAL_AGE);
        let set = jwk::read(&fetched.body)?;
        Ok((set, age.clamp(SHORTEST_AGE, LONGEST_AGE)))
    }

    fn note_keys(&self, set: &KeySet) {
        let ids = set.keys.iter().map(|key| key.id().unwrap_or_default());
        let keys: Vec<String> = ids.map(str::to_owned).collect();
        let mut state = self.state();
        if state.keys != keys || state.skipped != set.skipped || state.failures > 0 {
            let url = self.place();
            tracing::info!(url, ?keys, skipped = ?set.skipped, "fetched the session keys");
        }
        state.keys = keys;
        state.skipped.clone_from(&set.skipped);
        state.fetched = Some(Instant::now());
        state.failures = 0;
        state.error = None;
    }

    /// Notes why a fetch failed; how long to wait until the next.
    fn note_failure(&self, error: &UpdateError) -> Duration {
        let error = with_causes(error);
        let mut state = self.state();
        if state.error.as_ref() != Some(&error) {
            let (url, kept) = (self.place(), state.keys.len());
            tracing::warn!(url, error, kept, "can't fetch the session keys");
        }
        state.error = Some(error);
        state.failures = state.failures.saturating_add(1);
        let seconds = 1 << state.failures.min(10);
        Duration::from_secs(seconds).min(LONGEST_PAUSE)
    }

    /// The address as it may be shown.
    fn place(&self) -> String {
        let scheme = self.url.scheme_str().unwrap_or_default();
        let authority = self.url.authority().map_or("", |all| all.as_str());
        format!("{scheme}://{authority}{}", self.url.path())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with what caused it.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
