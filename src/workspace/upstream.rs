//! A running app: where it listens, and the secret it expects.

use std::{net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    activity::{Activity, OpenSocket, Visit},
    clocks::Clocks,
};
use crate::names::{AppName, Username};

/// A running app of a user's container. Whoever holds one may hold one of the past: `closed`
/// tells.
#[derive(Debug)]
pub struct Upstream {
    /// Whose it is.
    pub user: Username,
    /// Which app it is.
    pub app: AppName,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The id of the container it runs in.
    pub container: Arc<str>,
    /// What it was given as `{secret}`.
    pub secret: String,
    /// Cancelled once it is no more: connections to it must end.
    pub closed: CancellationToken,
    pub(super) clocks: Arc<Clocks>,
    /// How long a new socket's traffic says nothing, in milliseconds.
    pub(super) settle: u64,
}

impl Upstream {
    /// Counts something open in the workspace until it is dropped.
    pub fn activity(&self, visit: Visit) -> Activity {
        Activity::begin(&self.clocks, visit)
    }

    /// Counts a WebSocket open in the workspace until it is dropped.
    pub fn socket(&self, visit: Visit) -> OpenSocket {
        OpenSocket::begin(&self.clocks, visit, self.settle)
    }
}
