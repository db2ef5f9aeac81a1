//! How many connections there may be: in all, and from one address.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;

use crate::{
    config::{Limits, Network},
    tcp::Client,
};

/// Counts open connections over all threads.
#[derive(Debug)]
pub struct Bounds {
    limits: Limits,
    exempt: Vec<Network>,
    open: AtomicUsize,
    by_address: DashMap<Client, usize>,
}

impl Bounds {
    /// Bounds by `limits`; the addresses of `exempt` (trusted proxies) count only in all.
    pub fn new(limits: Limits, exempt: Vec<Network>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            exempt,
            open: AtomicUsize::new(0),
            by_address: DashMap::new(),
        })
    }

    /// Takes a place for a connection from `addr`, or `None` if there is none left.
    pub fn enter(self: &Arc<Self>, addr: IpAddr) -> Option<Place> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut place = Place {
            bounds: Arc::clone(self),
            counted_as: None,
        };
        if !self.exempt.iter().any(|network| network.contains(addr)) {
            let client = Client::of(addr);
            let mut count = self.by_address.entry(client).or_default();
            if *count >= self.limits.connections_per_address {
                // The guard must end before `place` gives its own back.
                drop(count);
                return None;
            }
            *count += 1;
            place.counted_as = Some(client);
        }
        Some(place)
    }
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    bounds: Arc<Bounds>,
    counted_as: Option<Client>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.bounds.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.counted_as {
            self.bounds.by_address.remove_if_mut(&client, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_one_address_and_in_all_and_come_back() {
        let limits = Limits {
            connections: 4,
            connections_per_address: 2,
        };
        let exempt = Network {
            address: "10.0.0.0".parse().unwrap(),
            prefix: 8,
        };
        let bounds = Bounds::new(limits, vec![exempt]);
        let enter = |addr: &str| bounds.enter(addr.parse().unwrap());
        let first = enter("2001:db8::1");
        let second = enter("2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(enter("2001:db8::3").is_none(), "one /64 is one client");
        let proxied = (enter("10.0.0.1"), enter("10.0.0.1"));
        assert!(proxied.0.is_some() && proxied.1.is_some());
        assert!(enter("192.0.2.1").is_none(), "four in all");
        drop(first);
        assert!(enter("2001:db8::3").is_some());
    }
}
