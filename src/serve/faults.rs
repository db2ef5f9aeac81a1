//! What keeps a proxy from starting, told by whoever starts one, checks its configuration or looks
//! why none runs.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{
    config::Config,
    engine::EngineError,
    listener::{self, TlsError},
    log::LogError,
    session::{KeyError, Revocations, RevocationsError, Sessions, StateError},
    ssh::HostKeyError,
    workspace::{InstanceError, OpenError},
};

/// Vestibule can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The state directory can't be used.
    #[error("can't use the state directory {path}; set `state_dir` to one we may write")]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An address can't be listened on.
    #[error("can't listen on {addr}; is another server there, or does the port need more rights?")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The admin socket can't be bound.
    #[error(
        "can't bind the admin socket {path}; is another vestibule running with this state directory?"
    )]
    Admin {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Threads or signals can't be had.
    #[error("the system refuses a thread or a signal handler")]
    System(#[from] io::Error),
    /// The audit file can't be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Certificate or key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key of the web application can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Our own cookie key can't be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// What was revoked can't be read or kept.
    #[error(transparent)]
    Revocations(#[from] RevocationsError),
    /// Our identity towards the engine can't be used.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// A mount that isn't optional isn't there: no workspace could be made.
    #[error(
        "there is no {}, which workspaces mount; make it, or set `optional = true` (`workspace.mounts`)",
        .0.display()
    )]
    Mount(PathBuf),
    /// Our own SSH key can't be used.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The engine can't be reached.
    #[error("can't use the container engine at {socket} (`engine.socket`)")]
    Engine {
        /// Its socket.
        socket: PathBuf,
        /// What is wrong.
        source: EngineError,
    },
    /// Workspaces can't be served as they are.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Everything that a valid configuration still got wrong: certificate, key, token keys.
pub fn check(config: &Config) -> Vec<ServeError> {
    let tls = config.tls.as_ref().map(listener::server_config);
    let tls = tls.and_then(Result::err).map(ServeError::from);
    let key = crate::secret::Secret::random(32);
    let keys = Sessions::new(&config.session, key, Revocations::none());
    tls.into_iter()
        .chain(keys.err().map(ServeError::from))
        .collect()
}

/// What workspaces need and isn't there. They are served all the same: it may come.
pub fn lacks(config: &Config) -> impl Iterator<Item = ServeError> {
    let mounts = config.workspace.mounts.iter();
    let missing = mounts.filter(|mount| !mount.optional && !mount.source.exists());
    missing.map(|mount| ServeError::Mount(mount.source.clone()))
}
