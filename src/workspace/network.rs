//! The network of the workspaces, on which they must not reach each other.

use std::fs;

use super::phase::Cause;
use crate::{
    config::{Isolation, Workspace},
    engine::{Engine, EngineError},
};

/// Whether the kernel filters what crosses a bridge; without that, Docker's rule against
/// inter-container communication is never asked (kernel documentation, ip-sysctl, bridge).
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Workspaces can't be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine failed or refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network would let containers reach each other.
    #[error(
        "on the network {0} workspaces can reach each other: it was made without \
         `com.docker.network.bridge.enable_icc=false`; remove it, and it will be made anew (or set \
         `workspace.isolation = \"warn\"`)"
    )]
    NotIsolated(String),
    /// The kernel would let containers reach each other.
    #[error(
        "workspaces can reach each other: this kernel doesn't filter what crosses a bridge; run \
         `modprobe br_netfilter && sysctl net.bridge.bridge-nf-call-iptables=1` (or set \
         `workspace.isolation = \"warn\"`)"
    )]
    NotFiltered,
}

/// Makes the network if it is absent, and checks that it keeps workspaces apart.
///
/// # Errors
/// [`OpenError`].
pub async fn check(engine: &dyn Engine, config: &Workspace) -> Result<(), OpenError> {
    let isolated = isolated(engine, config).await?;
    // Also for one that is there: the rule doesn't outlive a reboot.
    shield(engine, config).await;
    let wrong = match (isolated, bridge_is_filtered()) {
        (false, _) => OpenError::NotIsolated(config.network.clone()),
        (true, false) => OpenError::NotFiltered,
        (true, true) => return Ok(()),
    };
    match config.isolation {
        Isolation::Refuse => Err(wrong),
        Isolation::Warn => {
            tracing::warn!(error = %wrong, "workspaces are not kept apart");
            Ok(())
        }
    }
}

/// Whether the kernel's firewall, and with it Docker's rules, sees what crosses a bridge.
pub fn bridge_is_filtered() -> bool {
    fs::read_to_string(BRIDGE_FILTER).is_ok_and(|value| value.trim() == "1")
}

/// The same before a container is put on it: it may have been changed since.
///
/// # Errors
/// [`Cause::NetworkNotIsolated`], [`Cause::Engine`].
pub async fn check_again(engine: &dyn Engine, config: &Workspace) -> Result<(), Cause> {
    if isolated(engine, config).await? || config.isolation == Isolation::Warn {
        Ok(())
    } else {
        Err(Cause::NetworkNotIsolated(config.network.clone()))
    }
}

/// Best effort, and said if it fails: it takes root, and a firewall that Docker uses.
async fn shield(engine: &dyn Engine, config: &Workspace) {
    if let Err(error) = engine.shield(&config.network).await {
        tracing::warn!(
            %error,
            "workspaces may reach link-local addresses; on a cloud, keep them from 169.254.169.254"
        );
    }
}

async fn isolated(engine: &dyn Engine, config: &Workspace) -> Result<bool, EngineError> {
    if let Some(network) = engine.network(&config.network).await? {
        return Ok(network.isolated);
    }
    match engine.create_network(&config.network).await {
        Ok(()) => {
            tracing::info!(
                network = config.network,
                "made the network of the workspaces"
            );
            // It may have other addresses than one that was there before.
            shield(engine, config).await;
        }
        // Two may make it at once.
        Err(EngineError::Refused(why)) if why.contains("already exists") => {}
        Err(error) => return Err(error),
    }
    let network = engine.network(&config.network).await?;
    network
        .map(|network| network.isolated)
        .ok_or(EngineError::NetworkMissing)
}
