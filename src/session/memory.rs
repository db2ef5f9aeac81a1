//! What outlives a request: session tokens already verified, hand-offs already used. Both are
//! bounded and forget what has expired.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use aws_lc_rs::digest;
use dashmap::DashMap;

use super::{
    claims::{Claims, unix},
    denied::Reason,
};

/// Most entries of either memory: 100,000 sessions are about 40 MiB.
const MAX_ENTRIES: usize = 100_000;
/// Seconds between two searches for what has expired.
const SWEEP_EVERY: u64 = 60;

/// The SHA-256 of a token and the purpose it was offered for.
pub(super) type Hash = [u8; 32];

/// Hashes a token together with the `typ` it must have, so that one verified for one purpose
/// is never found for another.
pub(super) fn hash(typ: &str, token: &str) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [typ, ".", token] {
        context.update(part.as_bytes());
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Verified session tokens by their hash. A look-up that finds one changes nothing.
#[derive(Debug)]
pub(super) struct Memory {
    tokens: DashMap<Hash, Arc<Claims>>,
    swept: AtomicU64,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            tokens: DashMap::new(),
            swept: AtomicU64::new(0),
        }
    }

    /// The claims of a verified token that has not expired.
    pub fn find(&self, hash: &Hash, now: SystemTime) -> Option<Arc<Claims>> {
        let claims = self.tokens.get(hash)?;
        (now < claims.expires).then(|| Arc::clone(&claims))
    }

    /// Remembers a verified token.
    pub fn keep(&self, hash: Hash, claims: Arc<Claims>, now: SystemTime) {
        let time = unix(now);
        let swept = self.swept.load(Ordering::Relaxed);
        let due = time.saturating_sub(swept) >= SWEEP_EVERY;
        // Whoever moves the clock on sweeps; the others go on.
        let (claim, order) = (&self.swept, Ordering::Relaxed);
        if due && claim.compare_exchange(swept, time, order, order).is_ok() {
            self.tokens.retain(|_, claims| now < claims.expires);
        }
        if self.tokens.len() >= MAX_ENTRIES {
            // Each living session costs one more verification; cheaper than choosing.
            self.tokens.clear();
        }
        self.tokens.insert(hash, claims);
    }
}

/// Ids of hand-off tokens that were used, kept until the token expires. Only tokens with a good
/// signature get this far, at the pace people log in, so one lock is enough.
#[derive(Debug)]
pub(super) struct UsedIds {
    inner: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    ends: HashMap<String, u64>,
    swept: u64,
}

impl UsedIds {
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
        }
    }

    /// Takes `id`, of a token that ends at `ends`, for the first and only time.
    pub fn take(&self, id: String, ends: u64, now: u64) -> Result<(), Reason> {
        let mut used = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(used.swept) >= SWEEP_EVERY || used.ends.len() >= MAX_ENTRIES {
            used.ends.retain(|_, ends| *ends > now);
            used.swept = now;
        }
        if used.ends.contains_key(&id) {
            return Err(Reason::Used);
        }
        if used.ends.len() >= MAX_ENTRIES {
            return Err(Reason::TooMany);
        }
        used.ends.insert(id, ends);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::names::Username;

    fn claims(expires: SystemTime) -> Arc<Claims> {
        Arc::new(Claims {
            user: Username::parse("alice").unwrap(),
            session: "s".to_owned(),
            expires,
            uid: None,
            apps: None,
        })
    }

    #[test]
    fn an_expired_token_is_neither_found_nor_kept() {
        let now = UNIX_EPOCH + Duration::from_hours(500_000);
        let memory = Memory::new();
        let (early, late) = (hash("t", "early"), hash("t", "late"));
        memory.keep(early, claims(now + Duration::from_secs(5)), now);
        assert!(memory.find(&early, now).is_some());
        let later = now + Duration::from_secs(SWEEP_EVERY);
        assert!(memory.find(&early, later).is_none());
        memory.keep(late, claims(later + Duration::from_secs(5)), later);
        assert_eq!(memory.tokens.len(), 1);
    }

    #[test]
    fn the_memory_is_bounded() {
        let now = SystemTime::now();
        let memory = Memory::new();
        let shared = claims(now + Duration::from_hours(1));
        for index in 0..=MAX_ENTRIES {
            memory.keep(hash("t", &index.to_string()), Arc::clone(&shared), now);
        }
        assert!(memory.tokens.len() <= MAX_ENTRIES);
    }

    #[test]
    fn an_id_used_is_forgotten_only_after_its_token_ended() {
        let used = UsedIds::new();
        assert_eq!(used.take("a".to_owned(), 160, 100), Ok(()));
        assert_eq!(used.take("a".to_owned(), 160, 159), Err(Reason::Used));
        assert_eq!(used.take("b".to_owned(), 400, 300), Ok(()));
        assert_eq!(used.inner.lock().unwrap().ends.len(), 1);
    }
}
