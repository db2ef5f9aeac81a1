//! The host's side of the workspaces' network: a bridge, and a port of it for each that runs.
//!
//! Where the network has no IPv6 they need no IPv6 address. The kernel gives each a link-local
//! one all the same, a second or two after it came up (RFC 4862, 5.4): just as the IDE's page
//! loads. A browser on this host takes that for a new network, and breaks off what it loads
//! (Chromium's `ERR_NETWORK_CHANGED`).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// What the engine calls the host's end of a container's link.
const PORT: &str = "veth";
/// What is on the host, by name (kernel documentation, sysfs-class-net).
const INTERFACES: &str = "/sys/class/net";
/// The IPv6 addresses of all interfaces (proc(5)), and what those begin with that come by themselves.
const ADDRESSES: &str = "/proc/net/if_inet6";
const LINK_LOCAL: &str = "fe80";
/// What may be set of each (kernel documentation, ip-sysctl).
const SETTINGS: &str = "/proc/sys/net/ipv6/conf";

/// The bridge of a network without IPv6, once it is known; a clone is another handle of the same.
#[derive(Clone, Debug, Default)]
pub struct Bridge(Arc<Mutex<Option<String>>>);

impl Bridge {
    /// Takes in the bridge's name; a network that was made anew has another.
    pub fn found(&self, name: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        self.quiet();
    }

    /// Keeps it and its ports from having IPv6 addresses, in the background. Best effort: it takes
    /// root on the engine's own host, and only a browser there notices.
    pub fn quiet(&self) {
        let bridge = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(bridge) = bridge else { return };
        tokio::task::spawn_blocking(move || {
            let addresses = fs::read_to_string(ADDRESSES).unwrap_or_default();
            if has_its_own(&bridge, &addresses) {
                return;
            }
            if let Err(error) = without_ipv6(&bridge, Path::new(INTERFACES), Path::new(SETTINGS)) {
                tracing::debug!(%error, bridge, "it and its ports get IPv6 addresses");
            }
        });
    }
}

/// Whether somebody gave an interface an IPv6 address, by what the kernel lists: each with its
/// address first and its name last.
fn has_its_own(interface: &str, addresses: &str) -> bool {
    addresses.lines().any(|line| {
        let name = line.split_ascii_whitespace().next_back();
        name == Some(interface) && !line.starts_with(LINK_LOCAL)
    })
}

fn without_ipv6(bridge: &str, interfaces: &Path, settings: &Path) -> io::Result<()> {
    let of = |interface: PathBuf| settings.join(interface).join("disable_ipv6");
    disable(&of(bridge.into()))?;
    for port in fs::read_dir(interfaces.join(bridge).join("brif"))? {
        let port = port?.file_name();
        // Whatever else is on the bridge is the host's.
        if port.as_encoded_bytes().starts_with(PORT.as_bytes()) {
            disable(&of(port.into()))?;
        }
    }
    Ok(())
}

fn disable(setting: &Path) -> io::Result<()> {
    let value = fs::read_to_string(setting);
    let done = value.and_then(|value| match value.trim() {
        "0" => fs::write(setting, "1"),
        _ => Ok(()),
    });
    match done {
        // The port of a container that ended meanwhile, or a kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_that_was_given_an_address_keeps_it() {
        let listed = "fe80000000000000004298fffe6d5b7f 03 40 20 80   br-1\n\
                      fd000000000000000000000000000001 04 40 00 80   br-2\n";
        assert!(!has_its_own("br-1", listed));
        assert!(has_its_own("br-2", listed));
        assert!(!has_its_own("br", listed));
    }

    #[test]
    fn a_bridge_and_its_containers_ends_are_set_and_nothing_else() {
        let host = std::env::temp_dir().join(crate::secret::random_id());
        let (interfaces, settings) = (host.join("net"), host.join("conf"));
        for port in ["veth1", "veth2", "veth-ended", "eth1"] {
            fs::create_dir_all(interfaces.join("br-1/brif").join(port)).unwrap();
        }
        let of = |name: &str| settings.join(name).join("disable_ipv6");
        let all = ["br-1", "veth1", "veth2", "eth1", "veth-other"];
        for (name, value) in all.into_iter().zip(["0\n", "0\n", "1\n", "0\n", "0\n"]) {
            fs::create_dir_all(settings.join(name)).unwrap();
            fs::write(of(name), value).unwrap();
        }
        without_ipv6("br-1", &interfaces, &settings).unwrap();
        let now = all.map(|name| fs::read_to_string(of(name)).unwrap());
        assert_eq!(now, ["1", "1", "1\n", "0\n", "0\n"]);
        let elsewhere = without_ipv6("br-2", &interfaces, &settings);
        assert!(elsewhere.is_err(), "there is no such bridge");
        fs::remove_dir_all(host).unwrap();
    }
}
