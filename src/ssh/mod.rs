//! The second door: `ssh alice@host` into the same workspace that her browser shows.
//!
//! Imports `shell`, `workspace`, `session`, `config` and `names`. Promise: no process and no
//! connection is ever made on the proxy's host for a user; everything happens inside the user's
//! own container, through `shell`. Whoever has not logged in costs little and not for long; a
//! client that reads or sends without end is held back, and only on its own channel.

mod algorithms;
mod approval;
mod authorized;
mod client;
mod connection;
mod forward;
mod host_key;
mod inbox;
mod keys;
mod limits;
mod session;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use russh::{Disconnect, server::Config};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    approval::{Approvals, Request},
    host_key::HostKeyError,
};
use self::{connection::Connection, keys::Keys, limits::Door};
use crate::{config, session::Sessions, workspace::Workspaces};

/// How long a client may take to log in.
const LOGIN: Duration = Duration::from_secs(30);
/// Pause after the system refused a connection: too many open files pass.
const REFUSED: Duration = Duration::from_millis(50);
/// Longest that a client is given to take in why it is disconnected.
const GOODBYE: Duration = Duration::from_secs(2);

/// What all connections share.
pub struct Ssh {
    config: config::Ssh,
    server: Arc<Config>,
    keys: Keys,
    door: Arc<Door>,
    sessions: Arc<Sessions>,
    workspaces: Workspaces,
    approvals: Arc<Approvals>,
    /// Our origin as browsers write it.
    origin: String,
}

impl Ssh {
    /// Makes ready to serve; the host key is made on first use.
    ///
    /// # Errors
    /// [`HostKeyError`] if it can't be.
    pub fn new(
        config: &config::Config,
        sessions: Arc<Sessions>,
        workspaces: Workspaces,
        approvals: Arc<Approvals>,
    ) -> Result<Arc<Self>, HostKeyError> {
        let host_key = host_key::load(&config.state_dir)?;
        let ssh = config.ssh.clone();
        Ok(Arc::new(Self {
            server: algorithms::server(host_key, ssh.approval),
            keys: Keys::new(ssh.authorized_keys.clone()),
            door: Door::new(ssh.unauthenticated, ssh.unauthenticated_per_address),
            config: ssh,
            sessions,
            workspaces,
            approvals,
            origin: config.site.origin.clone(),
        }))
    }

    /// Serves a listener until `stop`; then connections have `grace` to end by themselves.
    ///
    /// # Errors
    /// What the system says of the listener; nothing that a client does.
    pub async fn serve(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        stop: CancellationToken,
        grace: Duration,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let tasks = TaskTracker::new();
        loop {
            // Cancel-safe: `accept` loses no connection when dropped.
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (this, stop) = (Arc::clone(&self), stop.clone());
                    tasks.spawn(async move { this.connection(stream, peer, stop, grace).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(REFUSED).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
        Ok(())
    }

    /// One connection, from its first byte to its end.
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
        grace: Duration,
    ) {
        let addr = peer.ip().to_canonical();
        let knock = match self.door.knock(addr) {
            Ok(knock) => knock,
            Err(full) => {
                tracing::info!(target: "audit", event = "ssh_denied", client.addr = %addr,
                    reason = full.as_str());
                return;
            }
        };
        let Ok(local) = stream.local_addr() else {
            return;
        };
        let began = Instant::now();
        // Nagle's algorithm would hold back each key's echo.
        let _ = stream.set_nodelay(true);
        let (connection, mut login) =
            Connection::new(Arc::clone(&self), (peer, local), began + LOGIN);
        let opened = russh::server::run_stream(Arc::clone(&self.server), stream, connection);
        let Ok(Ok(running)) = timeout(LOGIN, opened).await else {
            self.door.fail(addr);
            return;
        };
        let handle = running.handle();
        let mut running = std::pin::pin!(running);
        let client = tokio::select! {
            _ = running.as_mut() => None,
            client = login.logged_in() => client,
            () = stop.cancelled() => None,
        };
        drop(knock);
        let Some(client) = client else {
            if !stop.is_cancelled() {
                self.door.fail(addr);
                tracing::info!(target: "audit", event = "ssh_denied", client.addr = %addr,
                    user = login.name(), reason = "not_authenticated");
            }
            disconnect(&handle, "no login in time").await;
            return;
        };
        let leave = async {
            stop.cancelled().await;
            sleep(grace).await;
        };
        let why = tokio::select! {
            _ = running.as_mut() => None,
            () = leave => Some("the server is restarting"),
            () = sleep_until(began + self.config.max_age) => Some("the connection has lasted as long as one may; log in again"),
            why = client.must_end() => Some(why),
        };
        client.end();
        if let Some(why) = why {
            disconnect(&handle, why).await;
            let _ = timeout(GOODBYE, running.as_mut()).await;
        }
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(target: "audit", event = "ssh_close", user = %client.user,
            client.addr = %addr, elapsed_ms, reason = why.unwrap_or("the client left"));
    }
}

/// Tells a client why it has to go; one that has gone needs no reason.
async fn disconnect(handle: &russh::server::Handle, why: &str) {
    let told = handle.disconnect(Disconnect::ByApplication, why.to_owned(), String::new());
    let _ = timeout(GOODBYE, told).await;
}
