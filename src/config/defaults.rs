//! Every default, with its unit and its reason.
//!
//! Imports the types of `config` alone. Promise: what isn't here has no default. `proxy.toml`
//! shows the same values, and a test holds the two together.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{Forward, Holds, Isolation, LogFormat, Policy, Prefix, Scope, UsageOf};

/// Where a distribution's packages keep what must outlive a restart (FHS 5.8).
pub const STATE_DIR: &str = "/var/lib/vestibule";
/// HTTPS and its redirect on every address, IPv4 and IPv6.
pub const HTTPS: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 443);
/// See [`HTTPS`].
pub const HTTP: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80);
/// A thread for each CPU: a serving thread never waits for anything but its sockets.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
/// What `aud` of the web application's tokens names.
pub const AUDIENCE: &str = "vestibule";
/// A working day, with a margin.
pub const LIFETIME: Duration = Duration::from_hours(12);
/// Where Docker listens.
pub const SOCKET: &str = "/var/run/docker.sock";
/// Docker answers in milliseconds, and on a disk that is busy in seconds.
pub const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);
/// What `workspace-image/build.sh` makes.
pub const IMAGE: &str = "vestibule-workspace:latest";
/// The layout of the gateway this product grew out of.
pub const DATA_ROOT: &str = "/app/data/users";
/// Name of the bridge.
pub const NETWORK: &str = "vestibule";
/// One tenant must not reach another's IDE; who can live with that says so.
pub const ISOLATION: Isolation = Isolation::Refuse;
/// Bytes: both IDEs, a kernel with some data, a compiler.
pub const MEMORY: u64 = 8 << 30;
/// Thousandths of a CPU.
pub const CPU_MILLIS: u32 = 2000;
/// Processes and threads: ten times what both IDEs and a build need.
pub const PIDS: u32 = 1024;
/// None is kept: the image's user is not root and gains no privileges.
pub fn capabilities() -> Vec<String> {
    Vec::new()
}
/// An IDE's start keeps a core busy for a second or two.
pub const MAX_STARTING: usize = 4;
/// A start from stopped is mostly over by then, and a person has not begun to wonder.
pub const PATIENCE: Duration = Duration::from_millis(1500);
/// `JupyterLab` took up to 9 s on a busy machine of two cores.
pub const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// code-server ends itself within a second; a kernel may want to save.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// A removed key ends its connections within a minute.
pub const SSH_RECHECK: Duration = Duration::from_mins(1);
/// A day of work, and whoever left a terminal open logs in again.
pub const SSH_MAX_AGE: Duration = Duration::from_hours(24);
/// What people forward is a server of their own.
pub const SSH_FORWARD: Forward = Forward::Localhost;
/// VS Code opens some dozens, a browser behind `-D` up to a hundred.
pub const SSH_CHANNELS: usize = 256;
/// Each costs three files of ours, of which there are some ten thousand, and a helper in its
/// container.
pub const SSH_CONNECTIONS: usize = 2000;
/// Editors, shells and copies of one person, and an Ansible that opens a dozen.
pub const SSH_CONNECTIONS_EACH: usize = 32;
/// Each costs about 50 KiB and, while keys are exchanged, a millisecond of CPU.
pub const SSH_UNAUTHENTICATED: usize = 1000;
/// A class behind one address that logs in at the same moment.
pub const SSH_UNAUTHENTICATED_EACH: usize = 250;
/// What a web application needs: to show how a workspace is, to stop it, and to end its user's
/// sessions. None of them lets anybody in or shows what a user does.
pub const SCOPES: [Scope; 3] = [Scope::Status, Scope::Stop, Scope::Revoke];
/// A break is shorter than its timeout, an evening longer. A tab left open is nobody's work.
pub const POLICY: Policy = Policy {
    timeout: Some(Duration::from_mins(30)),
    holds: Holds {
        connected: false,
        input: true,
        busy: true,
    },
    max_connected: None,
    max_age: None,
};
/// Time to come back from another window.
pub const NOTICE: Duration = Duration::from_mins(5);
/// A night and a morning.
pub const LONGEST_KEEP: Duration = Duration::from_hours(24);
/// Thousandths of a CPU: see docs/idle.md for what was measured of idle IDEs and of work.
pub const BUSY_CPU_MILLIS: u32 = 50;
/// A browser opens up to 6 for each tab over HTTP/1.1, one over HTTP/2.
pub const CONNECTIONS: usize = 20_000;
/// A university behind one address.
pub const CONNECTIONS_PER_ADDRESS: usize = 1000;
/// Whoever starts it by hand reads it; a collector of logs is set up once and asks for JSON.
pub const LOG_FORMAT: LogFormat = LogFormat::Pretty;
/// Lifecycle, access and audit lines.
pub const FILTER: &str = "info";

/// Sums say nothing of anybody.
pub const USAGE: UsageOf = UsageOf::All;

/// Most servers can be told the path they live under, and then all their links are right.
pub const PREFIX: Prefix = Prefix::Keep;

/// The path that says whether an app is ready: where people enter it.
pub fn ready_path(prefix: Prefix) -> &'static str {
    match prefix {
        Prefix::Keep => "{prefix}",
        Prefix::Strip => "/",
    }
}

/// The apps that are there without a word: the flags are explained in the documentation of
/// code-server (`code-server --help`) and of Jupyter Server (`jupyter lab --help-all`).
/// The secret reaches each by its environment, which other users of a machine can't read.
pub const APPS: &str = r#"
[codespace]
title = "VS Code"
command = [
    "code-server", "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust",
    "--disable-getting-started-override", "--disable-proxy", "--auth", "password",
    "--bind-addr", "0.0.0.0:8080", "/home/user",
]
port = 8080
prefix = "strip"
ready_path = "/healthz"
env = { HASHED_PASSWORD = "{secret}" }
cookies = { code-server-session = "{secret}" }
input = []
not_input = []

[jupyter]
title = "JupyterLab"
command = [
    "jupyter", "lab", "--no-browser", "--ServerApp.ip=0.0.0.0", "--ServerApp.port=8888",
    "--ServerApp.port_retries=0", "--ServerApp.base_url={prefix}",
    "--ServerApp.allow_remote_access=True", "--ServerApp.root_dir=/home/user",
]
port = 8888
prefix = "keep"
ready_path = "{prefix}api/status"
env = { JUPYTER_TOKEN = "{secret}" }
headers = { authorization = "token {secret}" }
input = ["GET /api/contents/*.*"]
not_input = ["PUT /lab/api/workspaces/*"]
busy_path = "{prefix}api/kernels"
busy_field = "execution_state=busy"
"#;
