//! How sessions end: at their time, by their user, or because somebody revokes them. Whoever holds a
//! [`Live`] is told within a second.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Claims, Live, Revocation, RevocationsError, Sessions};

/// How often we look for sessions that have come to their end. It is the clock on the wall that
/// says so, which may jump; so nobody waits for that moment itself.
const LOOK_FOR_ENDS: Duration = Duration::from_millis(250);

impl Sessions {
    /// Ends what `what` names, for good: tokens from before are refused until they have all
    /// expired, also after a restart. Blocks for a write to disk. Returns how many live sessions
    /// it ended.
    ///
    /// # Errors
    /// [`RevocationsError::Write`]: it counts, but would be forgotten by a restart.
    pub fn revoke(&self, what: Revocation) -> Result<usize, RevocationsError> {
        let (kind, id) = (what.kind(), what.id().to_owned());
        let now = SystemTime::now();
        let ended = self.revoke_at(what, None, now);
        tracing::info!(target: "audit", event = "revoke", kind, id, ended);
        self.revocations.save(now)?;
        Ok(ended)
    }

    /// Ends a session because its user says so. Blocks for a write to disk.
    ///
    /// # Errors
    /// [`RevocationsError::Write`]: it counts, but would be forgotten by a restart.
    pub fn log_out(&self, live: &Live) -> Result<(), RevocationsError> {
        let what = Revocation::Session(live.claims.session.clone());
        let now = SystemTime::now();
        self.revoke_at(what, Some(live), now);
        self.revocations.save(now)
    }

    fn revoke_at(&self, what: Revocation, own: Option<&Live>, now: SystemTime) -> usize {
        let of = own.map(|live| &live.claims.user);
        let latest = self.remembered.latest(|live| what.names(&live.claims));
        self.revocations.add(what, of, latest, now);
        self.revoked.send_replace(());
        end(&self.remembered.take_if(|live| self.is_over(live)))
    }

    /// Ends sessions at their time and keeps the web application's keys fresh, until told to
    /// stop.
    pub async fn run(&self, stop: CancellationToken) {
        let ends = self.end_in_time(stop.clone());
        match &self.jwks {
            Some(jwks) => {
                let fresh = jwks.run(stop, |keys| self.take_keys(keys));
                tokio::join!(ends, fresh);
            }
            None => ends.await,
        }
    }

    async fn end_in_time(&self, stop: CancellationToken) {
        let mut look = interval(LOOK_FOR_ENDS);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let over = self.remembered.take_expired(SystemTime::now());
            tell_ends(&over, "expired");
            end(&over);
        }
    }
}

/// Tells of sessions that end by themselves, if that cuts something: most end unseen.
pub fn tell_ends(over: &[Arc<Live>], reason: &'static str) {
    for live in over.iter().filter(|live| Arc::strong_count(live) > 1) {
        let Claims { user, session, .. } = &live.claims;
        tracing::info!(target: "audit", event = "session_end", reason, %user, session);
    }
}

/// Ends sessions, by all their tokens; returns how many there were.
pub fn end(over: &[Arc<Live>]) -> usize {
    for live in over {
        live.ended.cancel();
    }
    let named = over
        .iter()
        .map(|live| (&live.claims.user, &live.claims.session));
    named.collect::<HashSet<_>>().len()
}
