//! What `proxy.toml` says, checked: the only form of it that leaves this module.
//!
//! Imports `names` and `secret`. Promise: a [`Config`] is whole and valid; whoever holds one
//! checks nothing again. Paths in it are absolute or relative to the file they came from,
//! already joined. Every default stands in `defaults`, with its unit and reason.

mod addresses;
mod admin;
mod app;
mod apps;
mod defaults;
mod idle;
mod input;
mod keys;
mod load;
mod mistake;
mod node;
mod section;
mod ssh;
mod terminal;
mod values;
mod workspace;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use self::{
    addresses::same_host,
    admin::Scope,
    app::{App, BusyQuestion, Prefix},
    idle::{Holds, Idle, Policy},
    input::{InputRules, Requests},
    mistake::{ConfigErrors, Mistake},
    node::Place,
};
use crate::{names::AppName, secret::Secret};

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where users reach us and where they log in.
    pub site: Site,
    /// The addresses we listen on.
    pub listen: Listen,
    /// Certificate and key of the HTTPS listeners; `None` only if there are none.
    pub tls: Option<Tls>,
    /// Who may enter.
    pub session: Session,
    /// How the engine is reached.
    pub engine: Engine,
    /// What every user's container is made of.
    pub workspace: Workspace,
    /// What can be opened in a workspace, by the first path segment. Never empty.
    pub apps: BTreeMap<AppName, App>,
    /// When a quiet workspace is stopped.
    pub idle: Idle,
    /// The second door.
    pub ssh: Ssh,
    /// The terminal in the browser; `None`: there is none.
    pub terminal: Option<Terminal>,
    /// Bounds against too much of anything.
    pub limits: Limits,
    /// What the operators' API grants.
    pub admin: Admin,
    /// How we log.
    pub log: Log,
    /// What Prometheus may ask.
    pub metrics: Metrics,
    /// Directory of what must outlive a restart: cookie key, instance key and id, admin socket.
    pub state_dir: PathBuf,
}

/// Where users reach us and where they log in.
#[derive(Clone, Debug)]
pub struct Site {
    /// Our origin as browsers write it: `https://ide.example.org` or `https://localhost:8443`
    /// (RFC 6454: no path, no default port, lower case).
    pub origin: String,
    /// The same without the scheme: what `Host` must be, as `host` or `host:port`.
    pub authority: String,
    /// The web application's page that logs a user in and hands them off (http or https URL
    /// without a fragment); `next` and `state` are added to its query.
    pub login_url: String,
    /// Further origins that may open sockets and send unsafe methods, written as `origin` is.
    pub trusted_origins: Vec<String>,
    /// Origins that may show our pages in a frame, besides ourselves.
    pub frame_ancestors: Vec<String>,
}

/// The addresses we listen on. At least one of `https` and `plain` is not empty.
#[derive(Clone, Debug)]
pub struct Listen {
    /// TLS listeners.
    pub https: Vec<SocketAddr>,
    /// Listeners that do nothing but redirect to `Site::origin`.
    pub http: Vec<SocketAddr>,
    /// Listeners without TLS, for use behind another proxy; only peers in `trusted_proxies`
    /// are served there.
    pub plain: Vec<SocketAddr>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Threads that serve requests, each with its own listener; at least 1.
    pub threads: usize,
}

impl Listen {
    /// All its addresses.
    fn addresses(&self) -> impl Iterator<Item = &SocketAddr> {
        self.https.iter().chain(&self.http).chain(&self.plain)
    }
}

/// A range of addresses in CIDR notation (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address of the range.
    pub address: IpAddr,
    /// How many leading bits an address must share with it.
    pub prefix: u8,
}

impl Network {
    /// Whether `address` lies in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn same(a: u128, b: u128, width: u32, prefix: u8) -> bool {
            let shift = width - u32::from(prefix);
            shift == 128 || a >> shift == b >> shift
        }
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                same(a.to_bits().into(), b.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128, self.prefix),
            _ => false,
        }
    }
}

/// Certificate and key of the HTTPS listeners, PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate chain, ours first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Who may enter.
#[derive(Clone, Debug)]
pub struct Session {
    /// Keys of the web application; at least one if there is no `jwks_url`.
    pub keys: Vec<Key>,
    /// Where the web application publishes further keys (RFC 7517): https, or http to this
    /// machine.
    pub jwks_url: Option<http::Uri>,
    /// What `aud` of its tokens must name.
    pub audience: String,
    /// What `iss` of its tokens must be, if set.
    pub issuer: Option<String>,
    /// Name of a cookie in which the web application itself puts a session token (shared
    /// cookie of the same or a sibling host), if it does.
    pub shared_cookie: Option<String>,
    /// How long a session lasts that began by a hand-off.
    pub lifetime: Duration,
}

/// One key of the web application; one key has one algorithm (RFC 8725 3.1).
#[derive(Clone, Debug)]
pub struct Key {
    /// `kid` that tokens signed with it carry; without one the key is tried for tokens that
    /// carry none.
    pub id: Option<String>,
    /// The only algorithm it is for.
    pub algorithm: Algorithm,
    /// Content of the key file: the shared secret's bytes (one final newline removed) or a
    /// public key in PEM, read and parsed once by the check. A private key in PEM is allowed
    /// too, so that `vestibule token` can sign with it.
    pub material: Secret,
}

/// Signature algorithms (RFC 7518 3.1, RFC 8037 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the registered ones")]
pub enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

/// How the engine is reached.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Path of the engine's Unix socket.
    pub socket: PathBuf,
    /// Longest a single engine call may take.
    pub timeout: Duration,
}

/// What every user's container is made of.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Image reference as `docker run` takes it.
    pub image: String,
    /// Host directory that holds a directory for each user, mounted on `/home/user`.
    pub data_root: PathBuf,
    /// Name of the bridge network; made by us, with inter-container communication off, if absent.
    pub network: String,
    /// What to do if containers on that network can reach each other.
    pub isolation: Isolation,
    /// Memory limit in bytes.
    pub memory: u64,
    /// CPU limit in thousandths of a CPU: 2000 is `cpu_quota` 200000 of `cpu_period` 100000.
    pub cpu_millis: u32,
    /// Limit of processes and threads.
    pub pids: u32,
    /// Capabilities kept (without `CAP_`); all others are dropped.
    pub capabilities: Vec<String>,
    /// Further host directories, mounted read-only.
    pub mounts: Vec<Mount>,
    /// Environment of the container, beside `USERNAME` and `USER_ID`.
    pub env: BTreeMap<String, String>,
    /// How many workspaces may be starting at once.
    pub max_starting: usize,
    /// How long a request waits for the app before it gets the starting page.
    pub patience: Duration,
    /// How long an app may take from its command to a healthy answer.
    pub ready_timeout: Duration,
    /// How long the IDEs have to end themselves, and then the container, before it is killed.
    pub stop_grace: Duration,
}

/// What to do if containers on the workspace network can reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Refuse to serve.
    Refuse,
    /// Serve and warn.
    Warn,
}

/// A host directory mounted read-only into every workspace.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Directory on the host.
    pub source: PathBuf,
    /// Where it appears in the container.
    pub target: String,
    /// If absent on the host: skipped with a warning instead of failing the start.
    pub optional: bool,
}

/// The second door: who may enter by SSH, and what it carries.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Ssh {
    /// The addresses we listen on; none: no SSH.
    pub listen: Vec<SocketAddr>,
    /// Directory with a file of authorized keys for each user, named as the user.
    pub authorized_keys: Option<PathBuf>,
    /// Where the web application tells a user's keys: https, or http on this machine.
    pub keys_url: Option<http::Uri>,
    /// How often it is looked again whether a connection's key is still its user's.
    pub recheck: Duration,
    /// How long a connection may last.
    pub max_age: Duration,
    /// Whether there is also an RSA host key.
    pub rsa_host_key: bool,
    /// Whether a logged-in browser can let a terminal in.
    pub approval: bool,
    /// Where `-L` and `-D` lead.
    pub forward: Forward,
    /// Whether `-R` may listen in the container.
    pub remote_forward: bool,
    /// Whether a client's agent can be reached from the container.
    pub agent_forward: bool,
    /// Open channels and forwarded ports of one connection.
    pub channels: usize,
    /// Connections of all who have logged in.
    pub connections: usize,
    /// The same of one user.
    pub connections_per_user: usize,
    /// Connections that are logging in, in all.
    pub unauthenticated: usize,
    /// The same from one address (one /64 of IPv6).
    pub unauthenticated_per_address: usize,
}

/// Where `-L` and `-D` lead, seen from inside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// To the container itself.
    Localhost,
    /// To whatever it can reach but its own networks, where the proxy's machine is.
    Any,
    /// Nowhere.
    Off,
}

/// What the terminal in the browser is called among the apps: in paths, and in a token's `apps`.
pub const TERMINAL: &str = "terminal";

/// The terminal in the browser.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Whether its shells outlive their page, if the image has tmux.
    pub tmux: bool,
}

impl Config {
    /// Whether this is the name of the terminal in the browser.
    pub fn is_terminal(&self, app: &AppName) -> bool {
        self.terminal.is_some() && app.as_str() == TERMINAL
    }

    /// Everything that can be opened in a workspace, by name.
    pub fn openable(&self) -> impl Iterator<Item = &str> {
        let terminal = self.terminal.as_ref().map(|_| TERMINAL);
        self.apps.keys().map(AppName::as_str).chain(terminal)
    }
}

/// Bounds against too much of anything.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open client connections in all.
    pub connections: usize,
    /// Open client connections from one address (one /64 of IPv6); trusted proxies are exempt.
    pub connections_per_address: usize,
}

/// What the operators' API grants.
#[derive(Clone, Debug)]
pub struct Admin {
    /// What an admin token may ask for over HTTPS, whatever more it says it may. Whoever is on
    /// the admin socket may ask for anything.
    pub scopes: Vec<Scope>,
}

/// How we log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Shape of a line.
    pub format: LogFormat,
    /// File for the audit lines, which are JSON in any case; without one they go where the
    /// others go.
    pub audit: Option<PathBuf>,
    /// Filter as `tracing_subscriber::EnvFilter` takes it: `info`, `vestibule=debug`.
    pub filter: String,
}

/// What Prometheus may ask.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Addresses of the listeners that answer `/metrics`, without TLS; none: no metrics.
    pub listen: Vec<SocketAddr>,
    /// Whose use of CPU, memory and disk is told.
    pub usage: UsageOf,
}

/// Whose use of CPU, memory and disk is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOf {
    /// Nobody's: the engine is not asked for it.
    Nobody,
    /// All workspaces' together.
    All,
    /// Each user's, by name: a series for every user there ever was.
    Each,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    Pretty,
    /// One JSON object a line.
    Json,
}
