//! What went wrong at the front door lately, and what a probe of our own looked like on its
//! arrival: what `doctor` reasons from.
//!
//! Imports `secret`. Promise: bounded, whoever sends what; written only by requests that are
//! refused, and by probes that [`Symptoms::expect`] announced. Holds no token, cookie or query.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, header, request::Parts};
use tokio::time::Instant;

use crate::secret::random_id;

/// How many different values of a symptom are remembered.
const KEPT: usize = 8;
/// How long a symptom says something of how things are now.
const RECENT: Duration = Duration::from_hours(24);
/// Longest text remembered, in characters: a host name has at most 253.
const LONGEST: usize = 260;
/// How long a probe may be on its way.
const PROBE: Duration = Duration::from_mins(1);
/// Where a probe is sent, its id behind it.
pub const PROBE_PATH: &str = "/_vestibule/probe/";

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symptom {
    /// A request for another host: which.
    Misdirected,
    /// Somebody who is no trusted proxy used a listener for those: who.
    Untrusted,
    /// A page of another origin sent a form or opened a socket: which.
    ForeignOrigin,
    /// A WebSocket's handshake that had lost its `Upgrade`: from which address.
    LostUpgrade,
    /// A browser was sent to log in again and again: what was wrong with its last session.
    LoginLoop,
}

/// Something that went wrong, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What tells one from another: a host, an address, an origin, a reason.
    pub what: String,
    /// How often since it was first seen.
    pub count: u64,
    /// How long ago the last time was.
    pub ago: Duration,
}

#[derive(Debug)]
struct Noted {
    what: String,
    count: u64,
    last: Instant,
}

/// How a probe arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Its `Host`.
    pub host: Option<String>,
    /// Its `X-Forwarded-Host`.
    pub forwarded_host: Option<String>,
    /// Its `X-Forwarded-For`.
    pub forwarded_for: Option<String>,
    /// Whether it carried `Sec-WebSocket-Key`.
    pub socket_key: bool,
    /// Whether it carried `Upgrade: websocket`.
    pub upgrade: bool,
    /// Which address it came from.
    pub peer: Option<IpAddr>,
    /// Whether other requests that come this way are answered.
    pub admitted: bool,
}

impl Arrival {
    /// What is seen of a request that came from `peer`, by a door that may be closed to it.
    pub fn of(head: &Parts, peer: IpAddr, admitted: bool) -> Self {
        let text = |name: HeaderName| text(&head.headers, &name);
        let authority = head.uri.authority().map(ToString::to_string);
        Self {
            host: text(header::HOST).or(authority),
            forwarded_host: text(HeaderName::from_static("x-forwarded-host")),
            forwarded_for: text(HeaderName::from_static("x-forwarded-for")),
            socket_key: head.headers.contains_key(header::SEC_WEBSOCKET_KEY),
            upgrade: text(header::UPGRADE)
                .is_some_and(|value| value.to_ascii_lowercase().contains("websocket")),
            peer: Some(peer.to_canonical()),
            admitted,
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.chars().take(LONGEST).collect())
}

/// The memory of them, shared by all threads.
#[derive(Debug, Default)]
pub struct Symptoms {
    noted: Mutex<HashMap<Symptom, Vec<Noted>>>,
    probes: Mutex<HashMap<String, (Instant, Option<Arrival>)>>,
}

impl Symptoms {
    /// Notes that something went wrong.
    pub fn note(&self, symptom: Symptom, what: &impl ToString) {
        let what: String = what.to_string().chars().take(LONGEST).collect();
        let now = Instant::now();
        let mut noted = lock(&self.noted);
        let list = noted.entry(symptom).or_default();
        if let Some(known) = list.iter_mut().find(|known| known.what == what) {
            known.count += 1;
            known.last = now;
            return;
        }
        if list.len() >= KEPT {
            // The one that was seen longest ago.
            let oldest = (0..list.len()).min_by_key(|index| list[*index].last);
            oldest.map(|index| list.swap_remove(index));
        }
        list.push(Noted {
            what,
            count: 1,
            last: now,
        });
    }

    /// What went wrong within the last day, the most frequent first.
    pub fn recent(&self, symptom: Symptom) -> Vec<Seen> {
        let noted = lock(&self.noted);
        let list = noted.get(&symptom).into_iter().flatten();
        let mut seen: Vec<Seen> = list
            .map(|noted| Seen {
                what: noted.what.clone(),
                count: noted.count,
                ago: noted.last.elapsed(),
            })
            .filter(|seen| seen.ago < RECENT)
            .collect();
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.count));
        seen
    }

    /// Announces a probe and returns its id, which nobody can guess.
    pub fn expect(&self) -> String {
        let id = random_id();
        let mut probes = lock(&self.probes);
        probes.retain(|_, (since, _)| since.elapsed() < PROBE);
        probes.insert(id.clone(), (Instant::now(), None));
        id
    }

    /// Takes in how a request to `path` arrived, if it is a probe that was announced.
    pub fn arrived(&self, path: &str, arrival: impl FnOnce() -> Arrival) -> bool {
        let Some(id) = path.strip_prefix(PROBE_PATH) else {
            return false;
        };
        match lock(&self.probes).get_mut(id) {
            Some((_, arrived)) => {
                *arrived = Some(arrival());
                true
            }
            None => false,
        }
    }

    /// How a probe arrived, if it did; it is not expected any more.
    pub fn taken(&self, id: &str) -> Option<Arrival> {
        lock(&self.probes).remove(id)?.1
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_what_a_few_lines_of_it_are_kept_for_a_day() {
        let symptoms = Symptoms::default();
        for number in 0..1000 {
            symptoms.note(Symptom::Misdirected, &format!("host-{number}"));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        symptoms.note(Symptom::Misdirected, &"host-999");
        symptoms.note(Symptom::Misdirected, &"x".repeat(10_000));
        let seen = symptoms.recent(Symptom::Misdirected);
        assert_eq!(seen.len(), KEPT);
        assert_eq!((seen[0].what.as_str(), seen[0].count), ("host-999", 2));
        assert!(seen.iter().all(|seen| seen.what.len() <= LONGEST));
        assert!(symptoms.recent(Symptom::Untrusted).is_empty());
        tokio::time::advance(RECENT).await;
        assert!(symptoms.recent(Symptom::Misdirected).is_empty());
    }

    #[test]
    fn only_an_announced_probe_is_looked_at_and_only_once() {
        let symptoms = Symptoms::default();
        let id = symptoms.expect();
        let path = format!("{PROBE_PATH}{id}");
        assert!(!symptoms.arrived("/_vestibule/probe/guess", || panic!("looked at")));
        assert!(!symptoms.arrived("/codespace/ann/", || panic!("looked at")));
        assert!(symptoms.arrived(&path, Arrival::default));
        assert_eq!(symptoms.taken(&id), Some(Arrival::default()));
        assert!(!symptoms.arrived(&path, Arrival::default));
        assert_eq!(symptoms.taken(&id), None);
    }
}
