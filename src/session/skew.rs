//! How far the web application's clock is from ours, told by the `iat` of what it signed.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::{
    claims::{number, unix},
    token::Object,
};

/// How many tokens are looked back at: of so many, one came here without delay.
const KEPT: usize = 16;
/// How long a token says something of how the clocks are now, in seconds.
const FRESH: u64 = 60 * 60;

/// How far the clocks are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Seconds by which the signer's clock is ahead of ours; negative if it is behind. A token
    /// takes a moment to come here, so a small negative number is none.
    pub ahead: i64,
    /// How many tokens that was told by.
    pub tokens: usize,
}

/// The last tokens with a good signature: when they came, and how far ahead they were issued.
/// Only logins come here, so one lock is enough.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<(u64, i64)>>);

impl Recent {
    /// Notes a hand-off, which is signed just before it is used.
    pub fn handoff(&self, payload: &Object, now: SystemTime) {
        if let Some(ahead) = ahead(payload, now) {
            self.note(unix(now), ahead);
        }
    }

    /// Notes another token, which may be old: only one from the future tells something.
    pub fn session(&self, payload: &Object, now: SystemTime) {
        if let Some(ahead) = ahead(payload, now).filter(|ahead| *ahead > 0) {
            self.note(unix(now), ahead);
        }
    }

    fn note(&self, now: u64, ahead: i64) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(KEPT - 1);
        recent.push_front((now, ahead));
    }

    /// What the freshest of the last tokens says: the others were only longer on their way.
    pub fn now(&self, now: SystemTime) -> Option<Skew> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = recent
            .iter()
            .filter(|(seen, _)| unix(now).saturating_sub(*seen) < FRESH);
        let ahead = fresh.clone().map(|(_, ahead)| *ahead).max()?;
        Some(Skew {
            ahead,
            tokens: fresh.count(),
        })
    }
}

fn ahead(payload: &Object, now: SystemTime) -> Option<i64> {
    let issued = number(payload, "iat").ok().flatten()?;
    Some(i64::try_from(issued).ok()? - i64::try_from(unix(now)).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;

    fn issued(at: u64) -> Object {
        json!({ "iat": at }).as_object().unwrap().clone()
    }

    #[test]
    fn the_freshest_of_the_last_tokens_tells_how_far_the_clocks_are_apart() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let recent = Recent::default();
        assert_eq!(recent.now(at(1000)), None);
        // Long on its way, as through a page that was left open.
        recent.handoff(&issued(900), at(1000));
        recent.handoff(&issued(999), at(1001));
        assert_eq!(
            recent.now(at(1001)),
            Some(Skew {
                ahead: -2,
                tokens: 2
            })
        );
        recent.session(&issued(500), at(1002));
        recent.session(&issued(1092), at(1002));
        assert_eq!(
            recent.now(at(1002)),
            Some(Skew {
                ahead: 90,
                tokens: 3
            })
        );
        assert_eq!(recent.now(at(1002 + FRESH)), None);
        for _ in 0..100 {
            recent.handoff(&issued(1999), at(2000));
        }
        assert_eq!(recent.now(at(2000)).unwrap().tokens, KEPT);
    }
}
