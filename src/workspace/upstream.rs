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
    /// Whether `asked` comes to true while the app is there. Once it is not, its address may be
    /// another container's, which must not be sent its secret.
    pub(super) async fn while_open(&self, asked: impl Future<Output = bool>) -> bool {
        // Cancel-safe: a question is all that is dropped.
        tokio::select! {
            biased;
            () = self.closed.cancelled() => false,
            answer = asked => answer,
        }
    }

    /// Counts something open in the workspace until it is dropped.
    pub fn activity(&self, visit: Visit) -> Activity {
        Activity::begin(&self.clocks, visit)
    }

    /// Counts a WebSocket open in the workspace until it is dropped.
    pub fn socket(&self, visit: Visit) -> OpenSocket {
        OpenSocket::begin(&self.clocks, visit, self.settle)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn an_app_that_is_no_more_is_not_asked() {
        let closed = CancellationToken::new();
        let upstream = Upstream {
            id: next_id(),
            user: Username::parse("ann").unwrap(),
            app: AppName::parse("codespace").unwrap(),
            addr: "192.0.2.1:80".parse().unwrap(),
            container: "id".into(),
            authority: String::new(),
            prefix: String::new(),
            secret: String::new(),
            headers: Vec::new(),
            cookies: Vec::new(),
            closed: closed.clone(),
            clocks: Arc::default(),
            settle: 0,
        };
        assert!(upstream.while_open(ready(true)).await);
        let asked = upstream.while_open(pending());
        let (answer, ()) = tokio::join!(asked, async { closed.cancel() });
        assert!(!answer);
        assert!(!upstream.while_open(ready(true)).await);
    }
}
