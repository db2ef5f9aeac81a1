//! How many may knock and how many are in, and how often: places, and patience with an address.

use std::{net::IpAddr, sync::Arc, time::Duration};

use dashmap::DashMap;
use tokio::time::Instant;

use crate::{
    config,
    names::Username,
    places::{Place, Places},
    tcp::Client,
};

/// How many failed logins an address has before it is turned away for a while: two people who
/// forgot which key it was, and then some.
const FAILURES: f64 = 20.0;
/// How fast failures are forgotten: one in so long.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Most addresses that are remembered; beyond, those are forgotten that failed last
/// [`FORGOTTEN`] ago.
const ADDRESSES: usize = 100_000;

/// Counts those who have not logged in yet, those who have, and failures by address.
#[derive(Debug)]
pub struct Door {
    knocking: Arc<Places<Client>>,
    inside: Arc<Places<Username>>,
    failures: DashMap<Client, (f64, Instant)>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many are logging in, in all or from its address.
    #[error("too many connections are logging in; try again in a moment")]
    Unauthenticated,
    /// Too many of its address's logins failed.
    #[error("too many logins from this address failed; try again in a minute")]
    Failures,
    /// Its user has as many as one may have, or all have.
    #[error("too many connections; close some, or try again later")]
    Inside,
}

impl Full {
    /// A stable word for the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "too-many-connections",
            Self::Failures => "too-many-failures",
            Self::Inside => "too-many-of-user",
        }
    }
}

impl Door {
    /// A door with as many places as the operator says.
    pub fn new(config: &config::Ssh) -> Self {
        Self {
            knocking: Places::new(config.unauthenticated, config.unauthenticated_per_address),
            inside: Places::new(config.connections, config.connections_per_user),
            failures: DashMap::new(),
        }
    }

    /// Takes a place for a connection that has not logged in.
    ///
    /// # Errors
    /// [`Full`] if there is none.
    pub fn knock(&self, addr: IpAddr) -> Result<Place<Client>, Full> {
        let client = Client::of(addr);
        if self.failed(client) >= FAILURES {
            return Err(Full::Failures);
        }
        self.knocking
            .take(Some(client))
            .ok_or(Full::Unauthenticated)
    }

    /// Takes a place for a connection of somebody who has logged in.
    ///
    /// # Errors
    /// [`Full`] if there is none.
    pub fn enter(&self, user: &Username) -> Result<Place<Username>, Full> {
        self.inside.take(Some(user.clone())).ok_or(Full::Inside)
    }

    /// Somebody at this address tried to log in and did not get in.
    pub fn fail(&self, addr: IpAddr) {
        let client = Client::of(addr);
        if self.failures.len() >= ADDRESSES {
            let old = Instant::now() - FORGOTTEN;
            self.failures.retain(|_, (_, at)| *at > old);
        }
        let failed = self.failed(client);
        self.failures.insert(client, (failed + 1.0, Instant::now()));
    }

    /// Somebody at this address logged in: whoever failed there before is none who guesses.
    pub fn forgive(&self, addr: IpAddr) {
        self.failures.remove(&Client::of(addr));
    }

    fn failed(&self, client: Client) -> f64 {
        let Some(failures) = self.failures.get(&client) else {
            return 0.0;
        };
        let (count, at) = *failures;
        let forgotten = at.elapsed().as_secs_f64() / FORGOTTEN.as_secs_f64();
        (count - forgotten).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn door(most: usize, most_each: usize) -> Door {
        Door {
            knocking: Places::new(most, most_each),
            inside: Places::new(most, most_each),
            failures: DashMap::new(),
        }
    }

    #[test]
    fn a_user_has_no_more_connections_than_one_may() {
        let door = door(3, 2);
        let [ann, bob] = ["ann", "bob"].map(|name| Username::parse(name).unwrap());
        let held = [door.enter(&ann), door.enter(&ann), door.enter(&bob)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(door.enter(&ann).unwrap_err(), Full::Inside);
        assert_eq!(door.enter(&bob).unwrap_err(), Full::Inside, "three in all");
        drop(held);
        assert!(door.enter(&ann).is_ok());
    }

    #[tokio::test]
    async fn places_are_bounded_for_one_address_and_in_all_and_come_back() {
        let door = door(3, 2);
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
        let door = door(9, 9);
        for _ in 0..20 {
            door.fail(addr("192.0.2.1"));
        }
        assert_eq!(door.knock(addr("192.0.2.1")).unwrap_err(), Full::Failures);
        assert!(door.knock(addr("192.0.2.2")).is_ok());
        tokio::time::advance(FORGOTTEN * 2).await;
        assert!(door.knock(addr("192.0.2.1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_makes_up_for_failures_at_its_address() {
        let door = door(9, 9);
        for _ in 0..19 {
            door.fail(addr("2001:db8::1"));
        }
        door.forgive(addr("2001:db8::2"));
        door.fail(addr("2001:db8::1"));
        assert!(door.knock(addr("2001:db8::1")).is_ok());
    }
}
