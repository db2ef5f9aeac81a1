//! A running app: where it listens, and the secret it expects.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};
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
    /// Names this run of it among all of this process.
    pub id: u64,
    /// Whose it is.
    pub user: Username,
    /// Which app it is.
    pub app: AppName,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The id of the container it runs in.
    pub container: Arc<str>,
    /// The same in words, as the app may write it into an address.
    pub authority: String,
    /// `/<app>/<user>`, without a slash at the end.
    pub prefix: String,
    /// What it was given as `{secret}`.
    pub secret: String,
    /// What is set on every request to it, filled in.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The same for cookies.
    pub cookies: Vec<(String, String)>,
    /// Cancelled once it is no more: connections to it must end.
    pub closed: CancellationToken,
    pub(super) clocks: Arc<Clocks>,
    /// How long a new socket's traffic says nothing, in milliseconds.
    pub(super) settle: u64,
}

/// An id that no other upstream of this process has.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
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
