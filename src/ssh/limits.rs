//! How many may knock, and how often: places for those who log in, and patience with an address.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::time::Instant;

/// How many failed logins an address has before it is turned away for a while: two people who
/// forgot which key it was, and then some.
const FAILURES: f64 = 20.0;
/// How fast failures are forgotten: one in so long.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Most addresses that are remembered; beyond, the oldest half is forgotten.
const ADDRESSES: usize = 100_000;

/// Counts those who have not logged in yet, and failures by address.
#[derive(Debug)]
pub struct Door {
    most: usize,
    most_each: usize,
    open: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
    failures: DashMap<IpAddr, (f64, Instant)>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Too many are logging in, in all or from its address.
    Unauthenticated,
    /// Too many of its address's logins failed.
    Failures,
}

impl Full {
    /// A stable word for the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "too-many-connections",
            Self::Failures => "too-many-failures",
        }
    }
}

impl Door {
    /// A door for `most` at once, `most_each` from one address.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_each,
            open: AtomicUsize::new(0),
            by_address: DashMap::new(),
            failures: DashMap::new(),
        })
    }

    /// Takes a place for a connection that has not logged in.
    ///
    /// # Errors
    /// [`Full`] if there is none.
    pub fn knock(self: &Arc<Self>, addr: IpAddr) -> Result<Knock, Full> {
        let addr = counted_as(addr);
        if self.failed(addr) >= FAILURES {
            return Err(Full::Failures);
        }
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Unauthenticated);
        }
        let mut count = self.by_address.entry(addr).or_default();
        if *count >= self.most_each {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Unauthenticated);
        }
        *count += 1;
        Ok(Knock {
            door: Arc::clone(self),
            addr,
        })
    }

    /// A login from this address failed.
    pub fn fail(&self, addr: IpAddr) {
        let addr = counted_as(addr);
        if self.failures.len() >= ADDRESSES {
            let old = Instant::now() - FORGOTTEN;
            self.failures.retain(|_, (_, at)| *at > old);
        }
        let failed = self.failed(addr);
        self.failures.insert(addr, (failed + 1.0, Instant::now()));
    }

    fn failed(&self, addr: IpAddr) -> f64 {
        let Some(failures) = self.failures.get(&addr) else {
            return 0.0;
        };
        let (count, at) = *failures;
        let forgotten = at.elapsed().as_secs_f64() / FORGOTTEN.as_secs_f64();
        (count - forgotten).max(0.0)
    }
}

/// A place of one who has not logged in; given back when dropped.
#[derive(Debug)]
pub struct Knock {
    door: Arc<Door>,
    addr: IpAddr,
}

impl Drop for Knock {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::Relaxed);
        self.door.by_address.remove_if_mut(&self.addr, |_, count| {
            *count -= 1;
            *count == 0
        });
    }
}

/// The address a client counts as: an IPv6 client is its /64, since it owns all of it.
fn counted_as(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn places_are_bounded_for_one_address_and_in_all_and_come_back() {
        let door = Door::new(3, 2);
        let first = door.knock(addr("2001:db8::1"));
        let second = door.knock(addr("2001:db8::2"));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(
            door.knock(addr("2001:db8::3")).unwrap_err(),
            Full::Unauthenticated
        );
        let third = door.knock(addr("192.0.2.1"));
        assert!(third.is_ok());
        assert!(door.knock(addr("192.0.2.2")).is_err(), "three in all");
        drop(first);
        assert!(door.knock(addr("2001:db8::3")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_again_and_again_waits_and_no_other_does() {
        let door = Door::new(9, 9);
        for _ in 0..20 {
            door.fail(addr("192.0.2.1"));
        }
        assert_eq!(door.knock(addr("192.0.2.1")).unwrap_err(), Full::Failures);
        assert!(door.knock(addr("192.0.2.2")).is_ok());
        tokio::time::advance(FORGOTTEN * 2).await;
        assert!(door.knock(addr("192.0.2.1")).is_ok());
    }
}
