//! How many connections there may be: in all, and from one client.

use std::{net::IpAddr, sync::Arc};

use crate::{
    config::{Limits, Network},
    places::{self, Places},
    tcp::Client,
};

/// A connection's place.
pub type Place = places::Place<Client>;

/// Counts open connections over all threads.
#[derive(Debug)]
pub struct Bounds {
    exempt: Vec<Network>,
    places: Arc<Places<Client>>,
}

impl Bounds {
    /// Bounds by `limits`; the addresses of `exempt` (trusted proxies) count only in all.
    pub fn new(limits: &Limits, exempt: Vec<Network>) -> Arc<Self> {
        let places = Places::new(limits.connections, limits.connections_per_address);
        Arc::new(Self { exempt, places })
    }

    /// Takes a place for a connection from `addr`, or `None` if there is none left.
    pub fn enter(&self, addr: IpAddr) -> Option<Place> {
        let counted = !self.exempt.iter().any(|network| network.contains(addr));
        self.places.take(counted.then(|| Client::of(addr)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_client_and_a_proxy_is_none() {
        let limits = Limits {
            connections: 5,
            connections_per_address: 2,
        };
        let exempt = Network {
            address: "10.0.0.0".parse().unwrap(),
            prefix: 8,
        };
        let bounds = Bounds::new(&limits, vec![exempt]);
        let enter = |addr: &str| bounds.enter(addr.parse().unwrap());
        let (first, second) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(enter("2001:db8::3").is_none(), "one /64 is one client");
        let proxied = [enter("10.0.0.1"), enter("10.0.0.1"), enter("10.0.0.1")];
        assert!(proxied.iter().all(Option::is_some));
        assert!(enter("192.0.2.1").is_none(), "five in all");
        drop(first);
        assert!(enter("2001:db8::3").is_some());
    }
}
