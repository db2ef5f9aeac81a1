//! What the audit trail hears of forwards: texts that a client chose, so bounded in length, and
//! refusals, which cost a client nothing, so bounded in number.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::client::Client;
use crate::shell::Place;

/// Longest text of a client's in a line, in letters.
const LONGEST: usize = 256;
/// How many refusals of a connection are told at once, and how soon one more is.
const AT_ONCE: u32 = 20;
const SOON: Duration = Duration::from_secs(1);

/// Something was forwarded.
pub fn forwarded(client: &Client, kind: &str, place: &Place) {
    tracing::info!(target: "audit", event = "ssh_forward", user = %client.user,
        client.addr = %client.addr(), kind, place = told(place));
}

/// Something was not to be forwarded.
pub fn denied(client: &Client, kind: &str, place: &Place, detail: &str) {
    if let Some(untold) = client.refusals.tell() {
        tracing::info!(target: "audit", event = "ssh_denied", user = %client.user,
            client.addr = %client.addr(), kind, place = told(place), reason = "forward",
            detail = short(detail), untold);
    }
}

/// A place as a line shows it.
pub fn told(place: &Place) -> String {
    match place {
        Place::Port(host, port) => format!("{}:{port}", short(host)),
        Place::Path(path) => short(path),
        Place::Agent => "agent".to_owned(),
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The refusals of a connection, and how many of them were not told.
#[derive(Debug)]
pub struct Refusals(Mutex<(Instant, u64)>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), 0)))
    }
}

impl Refusals {
    /// One more: whether it is told, and then how many before it were not.
    fn tell(&self) -> Option<u64> {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, untold) = &mut *refusals;
        let now = Instant::now();
        // Each that is told moves the next one away, and time lets so many come near.
        if *next > now + SOON * (AT_ONCE - 1) {
            *untold += 1;
            return None;
        }
        *next = (*next).max(now) + SOON;
        Some(std::mem::take(untold))
    }

    /// How many were not told until the end.
    pub fn untold(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_refusals_at_once_are_counted_rather_than_told() {
        let refusals = Refusals::default();
        let told = (0..1000).filter(|_| refusals.tell().is_some()).count();
        assert_eq!((told, refusals.untold()), (20, 980));
        tokio::time::advance(SOON).await;
        assert_eq!(refusals.tell(), Some(980));
        assert_eq!((refusals.tell(), refusals.untold()), (None, 1));
    }

    #[test]
    fn what_a_client_chose_is_told_in_short() {
        let long = "ü".repeat(40_000);
        for place in [Place::Path(long.clone()), Place::Port(long, 80)] {
            assert!(told(&place).chars().count() <= LONGEST + 6);
        }
    }
}
