//! The second door: `ssh alice@host` into the same workspace that her browser shows.
//!
//! Imports `shell`, `workspace`, `session`, `config`, `names`, `places` and `tcp`. Promise: no process and no
//! connection is ever made on the proxy's host for a user; everything happens inside the user's
//! own container, through `shell`. Whoever has not logged in costs little and not for long; a
//! client that reads or sends without end is held back, and only on its own channel.

mod algorithms;
mod approval;
mod audit;
mod authorized;
mod channels;
mod client;
mod connection;
mod forward;
mod host_key;
mod inbox;
mod keys;
mod limits;
mod login;
mod pace;
mod segment;
mod session;
mod store;
mod variables;

use std::{io, net::SocketAddr, os::fd::AsFd as _, sync::Arc, time::Duration};

use russh::{Disconnect, server::Config};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    approval::{Approvals, Request},
    host_key::HostKeyError,
};
use self::{
    connection::Connection,
    keys::Keys,
    limits::Door,
    login::{Came, LOGIN},
    pace::{Cut, Pace, Paced},
    store::Store,
};
use crate::{config, session::Sessions, workspace::Workspaces};

/// Pause after the system refused a connection: too many open files pass.
const REFUSED: Duration = Duration::from_millis(50);
/// Longest that a client is given to take in why it is disconnected.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The client left, or is silent.
    Client,
    /// We stop.
    Restart,
    /// It is as old as one may be.
    Age,
    /// Its workspace has stopped.
    Stopped,
    /// Its session was ended.
    Revoked,
    /// Its session came to its end.
    Expired,
    /// Its key was taken away.
    Key,
}

impl Ended {
    /// A stable word for the audit log.
    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Restart => "restart",
            Self::Age => "max-age",
            Self::Stopped => "stopped",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Key => "key-removed",
        }
    }

    /// What its user is told.
    fn message(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Restart => Some("the server is restarting; connect again in a moment"),
            Self::Age => Some("this connection has lasted as long as one may; log in again"),
            Self::Stopped => Some("the workspace was stopped"),
            Self::Revoked => Some("this session was ended; log in again"),
            Self::Expired => Some("this session has come to its end; log in again"),
            Self::Key => Some("this key may no longer log in as it did"),
        }
    }
}

/// What all connections share.
pub struct Ssh {
    config: config::Ssh,
    server: Arc<Config>,
    keys: Keys,
    door: Door,
    store: Arc<Store>,
    sessions: Arc<Sessions>,
    workspaces: Workspaces,
    approvals: Arc<Approvals>,
    /// Our origin as browsers write it.
    origin: String,
}

impl Ssh {
    /// Makes ready to serve; host keys are made on first use.
    ///
    /// # Errors
    /// [`HostKeyError`] if they can't be.
    pub fn new(
        config: &config::Config,
        sessions: Arc<Sessions>,
        workspaces: Workspaces,
        approvals: Arc<Approvals>,
    ) -> Result<Arc<Self>, HostKeyError> {
        let ssh = config.ssh.clone();
        let host_keys = host_key::load(&config.state_dir, ssh.rsa_host_key)?;
        Ok(Arc::new(Self {
            server: algorithms::server(host_keys, ssh.approval),
            keys: Keys::new(ssh.authorized_keys.clone(), ssh.keys_url.clone()),
            door: Door::new(&ssh),
            store: Store::new(config.state_dir.clone(), ssh.channels),
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
                // Lines before the protocol's first are for people (RFC 4253 4.2).
                let _ = stream.try_write(format!("{full}\r\n").as_bytes());
                return;
            }
        };
        let (Ok(local), Ok(watched)) = (stream.local_addr(), again(&stream)) else {
            return;
        };
        let began = Instant::now();
        // Nagle's algorithm would hold back each key's echo.
        let _ = stream.set_nodelay(true);
        let pace = Arc::<Pace>::default();
        // However this ends: russh's task would go on by itself.
        let _cut = Cut(Arc::clone(&pace));
        let stream = Paced::new(stream, Arc::clone(&pace));
        let (connection, mut login) = Connection::new(Arc::clone(&self), (peer, local), pace);
        let opened = russh::server::run_stream(Arc::clone(&self.server), stream, connection);
        // Whoever only looks whether we are there has failed at nothing.
        let Ok(Ok(running)) = timeout(LOGIN, opened).await else {
            return;
        };
        let handle = running.handle();
        let mut running = std::pin::pin!(running);
        let came = tokio::select! {
            // Whoever got in and has left at once was in.
            biased;
            came = login.logged_in() => came,
            _ = running.as_mut() => Came::Left,
            () = left(watched) => Came::Left,
            () = stop.cancelled() => Came::Late,
        };
        let tried = login.tried();
        // From here on no click is awaited, so that the client hears what it is told.
        drop(login);
        let refused = |user, reason| {
            tracing::info!(target: "audit", event = "ssh_denied", client.addr = %addr, user, reason);
        };
        let client = match came {
            Came::In(client) => client,
            Came::OneTooMany(full) => {
                refused(tried, full.as_str());
                let _ = timeout(GOODBYE, running).await;
                return;
            }
            Came::Late | Came::Left => {
                if tried.is_some() && !stop.is_cancelled() {
                    self.door.fail(addr);
                    refused(tried, "not-authenticated");
                }
                if let Came::Late = came {
                    disconnect(&handle, "no login in time").await;
                    let _ = timeout(GOODBYE, running).await;
                }
                return;
            }
        };
        self.door.forgive(addr);
        drop(knock);
        let leave = async {
            stop.cancelled().await;
            sleep(grace).await;
        };
        let why = tokio::select! {
            _ = running.as_mut() => Ended::Client,
            () = leave => Ended::Restart,
            () = sleep_until(began + self.config.max_age) => Ended::Age,
            why = client.must_end() => why,
        };
        client.end();
        if let Some(message) = why.message() {
            disconnect(&handle, message).await;
            let _ = timeout(GOODBYE, running).await;
        }
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(target: "audit", event = "ssh_close", user = %client.user,
            client.addr = %addr, elapsed_ms, reason = why.as_str(),
            untold = client.refusals.untold());
    }
}

/// The same connection once more, to see its end while nobody reads it.
fn again(stream: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(stream.as_fd().try_clone_to_owned()?.into())
}

/// Waits until the other side has closed a connection, whatever it sent before that.
async fn left(stream: TcpStream) {
    // Readiness to read would also be what is not read yet. Of this one nothing but the end is
    // ever told, as urgent data is not asked for.
    let _ = stream.ready(Interest::PRIORITY).await;
}

/// Tells a client why it has to go; one that has gone needs no reason.
async fn disconnect(handle: &russh::server::Handle, why: &str) {
    let told = handle.disconnect(Disconnect::ByApplication, why.to_owned(), String::new());
    let _ = timeout(GOODBYE, told).await;
}
