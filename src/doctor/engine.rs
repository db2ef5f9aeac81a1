//! The container engine: may we use it, does its network keep workspaces apart, what is in the
//! image.

use std::{io, os::unix::fs::MetadataExt as _, path::Path};

use tokio::net::UnixStream;

use super::{Finding, image};
use crate::{
    config::{Config, Isolation},
    engine::{Docker, Engine},
    workspace::bridge_is_filtered,
};

pub async fn examine(config: &Config) -> Vec<Finding> {
    let socket = &config.engine.socket;
    let place = socket.display();
    if let Err(error) = UnixStream::connect(socket).await {
        return vec![unusable(socket, &error)];
    }
    let engine = match Docker::connect(&config.engine).await {
        Ok(engine) => engine,
        Err(error) => {
            return vec![Finding::fail(
                "engine",
                format!("{place} can be opened, but: {error}"),
                "see the engine's own log (`journalctl -u docker`), and restart it",
            )];
        }
    };
    let answers = Finding::ok("engine", format!("it answers on {place}"));
    let (network, image) = tokio::join!(network(config, &engine), image::examine(config, &engine));
    vec![answers, network, image]
}

/// Why the socket can't be opened.
fn unusable(socket: &Path, error: &io::Error) -> Finding {
    let place = socket.display();
    let uid = rustix::process::geteuid().as_raw();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let about = std::fs::metadata(socket).map(|about| {
                let mode = about.mode() & 0o777;
                format!(
                    " (owner {}, group {}, mode {mode:o})",
                    about.uid(),
                    about.gid()
                )
            });
            let about = about.unwrap_or_default();
            Finding::fail(
                "engine",
                format!("user id {uid} may not open {place}{about}"),
                "let vestibule's user in: `usermod -aG docker <user>`, then restart vestibule",
            )
        }
        io::ErrorKind::NotFound => Finding::fail(
            "engine",
            format!("there is no {place}"),
            "start the engine (`systemctl start docker`), or set `engine.socket`",
        ),
        _ => Finding::fail(
            "engine",
            format!("nobody answers on {place}: {error}"),
            "start the engine: `systemctl start docker`",
        ),
    }
}

async fn network(config: &Config, engine: &Docker) -> Finding {
    let name = &config.workspace.network;
    let found = match engine.network(name).await {
        Ok(Some(network)) => network,
        Ok(None) => {
            return Finding::warn(
                "network",
                format!("there is no network {name}"),
                "start vestibule, again if it runs: it makes the network",
            );
        }
        Err(error) => {
            return Finding::fail("network", error.to_string(), "see the engine's own log");
        }
    };
    let worse = match config.workspace.isolation {
        Isolation::Refuse => Finding::fail,
        Isolation::Warn => Finding::warn,
    };
    if !found.isolated {
        return worse(
            "network",
            format!(
                "on {name} workspaces can reach each other: its inter-container communication (icc) is on"
            ),
            format!(
                "stop vestibule, remove the containers on it and the network (`docker network rm {name}`), \
                 and start vestibule: it makes the network anew, with icc off; files stay"
            ),
        );
    }
    if !bridge_is_filtered() {
        return worse(
            "network",
            "workspaces can reach each other: this kernel doesn't filter what crosses a bridge"
                .to_owned(),
            "`modprobe br_netfilter && sysctl net.bridge.bridge-nf-call-iptables=1`, and in \
             /etc/modules-load.d and /etc/sysctl.d for the next boot"
                .to_owned(),
        );
    }
    Finding::ok("network", format!("{name} keeps workspaces apart"))
}
