//! What outlives a request: sessions by their verified tokens, hand-offs already used. Both are
//! bounded and forget what has expired.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use aws_lc_rs::digest;
use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

use super::{
    claims::{Claims, Issued, unix},
    denied::Reason,
    keys::VerifyingKey,
};

/// Most entries of either memory: 100,000 sessions are about 60 MiB.
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

/// A session that goes on, by one of its tokens.
#[derive(Debug)]
pub struct Live {
    /// What the token says.
    pub claims: Claims,
    /// Cancelled when the session has ended, at the latest a second after: what lasts longer
    /// than a request holds the `Live` and ends by this.
    pub ended: CancellationToken,
    /// What the token was checked with.
    pub(super) key: Arc<VerifyingKey>,
}

/// Live sessions by the hash of their token. A look-up that finds one changes nothing. None that
/// is held by somebody is forgotten before it has ended.
#[derive(Debug)]
pub(super) struct Memory {
    tokens: DashMap<Hash, Arc<Live>>,
    /// The same by their end, in Unix seconds.
    ends: Mutex<BTreeSet<(u64, Hash)>>,
    /// Above so many, those that nobody holds are forgotten.
    most: AtomicUsize,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            tokens: DashMap::new(),
            ends: Mutex::default(),
            most: AtomicUsize::new(MAX_ENTRIES),
        }
    }

    /// The session of a verified token, if it has not ended.
    pub fn find(&self, hash: &Hash, now: SystemTime) -> Option<Arc<Live>> {
        let live = self.tokens.get(hash)?;
        (now < live.claims.expires).then(|| Arc::clone(&live))
    }

    /// Remembers a verified token; if another thread was first, that one's stays.
    pub fn keep(&self, hash: Hash, claims: Claims, key: Arc<VerifyingKey>) -> Arc<Live> {
        if self.tokens.len() >= self.most.load(Ordering::Relaxed) {
            self.forget_unused();
        }
        let end = (unix(claims.expires), hash);
        let make = || {
            let ended = CancellationToken::new();
            Arc::new(Live { claims, ended, key })
        };
        let live = Arc::clone(&self.tokens.entry(hash).or_insert_with(make));
        self.ends().insert(end);
        live
    }

    /// Takes out the sessions that have come to their end.
    pub fn take_expired(&self, now: SystemTime) -> Vec<Arc<Live>> {
        let mut ends = self.ends();
        // A session ends with the beginning of the second that it names.
        let later = ends.split_off(&(unix(now) + 1, Hash::default()));
        let over = std::mem::replace(&mut *ends, later);
        drop(ends);
        let over = over.iter();
        over.filter_map(|(_, hash)| self.tokens.remove(hash))
            .map(|(_, live)| live)
            .collect()
    }

    /// The latest time of issue, in milliseconds, of tokens signed by others; 0 for none.
    pub fn latest(&self, is_meant: impl Fn(&Live) -> bool) -> u64 {
        let meant = self.tokens.iter().filter(|live| is_meant(live));
        let times = meant.filter_map(|live| match live.claims.issued {
            Issued::At(time) => Some(time),
            Issued::After(_) => None,
        });
        times.max().unwrap_or_default()
    }

    /// Takes out the sessions that `is_over` says it of.
    pub fn take_if(&self, is_over: impl Fn(&Live) -> bool) -> Vec<Arc<Live>> {
        // Looked for without holding anybody up; what comes in meanwhile is checked by `keep`'s
        // caller.
        let over = self.tokens.iter().filter(|live| is_over(live));
        let over: Vec<Hash> = over.map(|live| *live.key()).collect();
        let over = over.into_iter();
        over.filter_map(|hash| Some(self.tokens.remove(&hash)?.1))
            .collect()
    }

    /// Each living session costs one more verification; cheaper than choosing. Who takes hold of
    /// one in this moment ([`super::Last`]) is told that it ended, since it is revoked by no one
    /// from here on.
    fn forget_unused(&self) {
        self.tokens.retain(|_, live| {
            let held = Arc::strong_count(live) > 1;
            if !held {
                live.ended.cancel();
            }
            held
        });
        self.ends()
            .retain(|(_, hash)| self.tokens.contains_key(hash));
        let most = MAX_ENTRIES.max(2 * self.tokens.len());
        self.most.store(most, Ordering::Relaxed);
    }

    fn ends(&self) -> MutexGuard<'_, BTreeSet<(u64, Hash)>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::{names::Username, secret::Secret};

    fn claims(expires: SystemTime) -> Claims {
        Claims {
            user: Username::parse("alice").unwrap(),
            session: "s".to_owned(),
            token: None,
            issued: Issued::After(0),
            expires,
            uid: None,
            apps: None,
        }
    }

    fn any_key() -> Arc<VerifyingKey> {
        VerifyingKey::for_our_cookie(&Secret::new([7; 32]))
            .unwrap()
            .into()
    }

    #[test]
    fn a_session_is_taken_out_in_the_second_it_ends() {
        let now = UNIX_EPOCH + Duration::from_hours(500_000);
        let memory = Memory::new();
        let (early, late) = (hash("t", "early"), hash("t", "late"));
        memory.keep(early, claims(now + Duration::from_secs(5)), any_key());
        memory.keep(late, claims(now + Duration::from_secs(6)), any_key());
        assert!(memory.find(&early, now).is_some());
        assert!(
            memory
                .take_expired(now + Duration::from_millis(4999))
                .is_empty()
        );
        let then = now + Duration::from_secs(5);
        assert!(memory.find(&early, then).is_none());
        assert_eq!(memory.take_expired(then).len(), 1);
        assert!(memory.find(&late, then).is_some());
        // A clock that jumps takes what it jumped over, and one that jumps back nothing.
        assert!(memory.take_expired(UNIX_EPOCH).is_empty());
        assert_eq!(memory.take_expired(then + Duration::from_hours(1)).len(), 1);
        assert!(memory.tokens.is_empty() && memory.ends().is_empty());
    }

    #[test]
    fn two_threads_that_verify_one_token_share_one_session() {
        let memory = Memory::new();
        let soon = SystemTime::now() + Duration::from_hours(1);
        let [first, second] =
            [(); 2].map(|()| memory.keep(hash("t", "x"), claims(soon), any_key()));
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_nothing_that_is_held() {
        let memory = Memory::new();
        let soon = SystemTime::now() + Duration::from_hours(1);
        let key = any_key();
        let held = memory.keep(hash("t", "held"), claims(soon), Arc::clone(&key));
        let unheld = memory.keep(hash("t", "x"), claims(soon), Arc::clone(&key));
        let told = unheld.ended.clone();
        drop(unheld);
        for index in 0..=MAX_ENTRIES {
            memory.keep(
                hash("t", &index.to_string()),
                claims(soon),
                Arc::clone(&key),
            );
        }
        assert!(memory.tokens.len() <= MAX_ENTRIES);
        assert_eq!(memory.ends().len(), memory.tokens.len());
        assert!(told.is_cancelled() && !held.ended.is_cancelled());
        let over = memory.take_if(|live| std::ptr::eq(live, &raw const *held));
        assert_eq!(over.len(), 1);
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
