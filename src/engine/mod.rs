//! The container engine: what workspaces need of one, and Docker as the one we speak to.
//!
//! Imports `config`, `metrics` and `secret`. Promise: every call ends within its deadline, with a typed
//! error; nothing here knows of HTTP, users or apps.

mod bridge;
mod cgroup;
mod docker;
mod shield;
mod words;

use std::{collections::BTreeMap, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

pub use docker::Docker;

/// A call to the engine failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It can't be reached.
    #[error("the container engine can't be reached; is it running, and may we open its socket?")]
    Unreachable,
    /// It did not answer in time.
    #[error("the container engine did not answer within {0} s")]
    Timeout(u64),
    /// The image isn't there.
    #[error("no image {0} on this engine; build it or set `workspace.image`")]
    ImageMissing(String),
    /// The network isn't there.
    #[error(
        "the network of the workspaces is missing on this engine; restart vestibule to make it"
    )]
    NetworkMissing,
    /// The container isn't there (any more).
    #[error("the container is gone")]
    ContainerGone,
    /// Its disk is full.
    #[error("the disk of the container engine is full")]
    DiskFull,
    /// Something else, in the engine's words.
    #[error("the container engine refused: {0}")]
    Refused(String),
}

impl EngineError {
    /// A stable word for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::ImageMissing(_) => "image_missing",
            Self::NetworkMissing => "network_missing",
            Self::ContainerGone => "container_gone",
            Self::DiskFull => "disk_full",
            Self::Refused(_) => "refused",
        }
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Its main process runs.
    Running,
    /// All its processes are frozen.
    Paused,
    /// It was made, or has ended.
    Stopped,
}

/// What a container was labelled with.
pub type Labels = BTreeMap<String, String>;

/// A container as the engine sees it.
#[derive(Clone, Debug)]
pub struct Container {
    /// The engine's id of it.
    pub id: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// What it is doing.
    pub run: Run,
    /// Its address on the workspace network while it runs.
    pub addr: Option<IpAddr>,
    /// Whether it was last ended for want of memory.
    pub out_of_memory: bool,
    /// When it was last started, in the engine's words; another start has another.
    pub started_at: String,
}

/// What to make a container of.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// Image id or reference.
    pub image: String,
    /// Its labels.
    pub labels: Labels,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Mounts as `source`, `target`, read-only.
    pub mounts: Vec<(String, String, bool)>,
    /// Name of its one network.
    pub network: String,
    /// Memory limit in bytes.
    pub memory: u64,
    /// CPU limit in thousandths of a CPU.
    pub cpu_millis: u32,
    /// Limit of processes and threads.
    pub pids: u32,
    /// Capabilities kept.
    pub capabilities: Vec<String>,
}

/// A network as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Whether containers on it can't reach each other.
    pub isolated: bool,
}

/// What became of a container or of a command in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was started, paused, unpaused, stopped, killed or removed: look again.
    Container {
        /// Which one.
        id: String,
    },
    /// It ran out of memory.
    OutOfMemory {
        /// Which one.
        id: String,
    },
    /// A command in it ended.
    ExecEnded {
        /// The container.
        id: String,
        /// The command.
        exec: String,
    },
}

/// The near end of a command that runs in a container.
pub struct Attached {
    /// Its standard input, which ends when this is shut down, or dropped with the output.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes, until it ends.
    pub output: BoxStream<'static, Result<Output, EngineError>>,
}

/// Something that a command wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// On standard output.
    Out(Bytes),
    /// On standard error.
    Err(Bytes),
}

/// What a running container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since it was started, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory in bytes, without what the kernel would give back at once (file cache), as
    /// `docker stats` counts it.
    pub memory: u64,
    /// Its limit of memory, in bytes.
    pub memory_limit: u64,
}

/// What workspaces need of a container engine.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// The id of the image that `reference` names now.
    async fn image_id(&self, reference: &str) -> Result<String, EngineError>;
    /// The network of this name, if there is one.
    async fn network(&self, name: &str) -> Result<Option<Network>, EngineError>;
    /// Makes a bridge network on which containers can't reach each other.
    async fn create_network(&self, name: &str) -> Result<(), EngineError>;
    /// Keeps containers of a network from link-local addresses: at 169.254.169.254 clouds hand
    /// out credentials of the machine itself. From then on, its ends on this host get none of
    /// IPv6, if it has no IPv6 and we may.
    async fn shield(&self, network: &str) -> Result<(), EngineError>;
    /// Every container with this label value, whatever it does: its id and labels. One call,
    /// however many there are.
    async fn list(&self, label: &str, value: &str) -> Result<Vec<(String, Labels)>, EngineError>;
    /// The container of this name or id, if there is one.
    async fn inspect(&self, name: &str) -> Result<Option<Container>, EngineError>;
    /// Makes a container and returns its id.
    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError>;
    /// Starts a stopped container.
    async fn start(&self, id: &str) -> Result<(), EngineError>;
    /// Lets a paused container go on.
    async fn unpause(&self, id: &str) -> Result<(), EngineError>;
    /// Stops a container: SIGTERM, and SIGKILL after `grace` seconds.
    async fn stop(&self, id: &str, grace: u64) -> Result<(), EngineError>;
    /// Removes a stopped container; its mounts stay.
    async fn remove(&self, id: &str) -> Result<(), EngineError>;
    /// Runs a command in a running container, detached, and returns the id of the exec.
    async fn exec(
        &self,
        id: &str,
        command: &[String],
        env: &[String],
    ) -> Result<String, EngineError>;
    /// The exit code of a command, or `None` while it runs.
    async fn exec_ended(&self, exec: &str) -> Result<Option<i64>, EngineError>;
    /// Runs a command to its end and returns the last 16 KiB of its output.
    async fn output(&self, id: &str, command: &[String]) -> Result<String, EngineError>;
    /// Runs a command in a running container as the workspace's user (uid and gid 1000) in
    /// `/home/user`, with its standard input and output at hand. The engine never ends it by
    /// itself: the command has to end when its input does.
    async fn attach(&self, id: &str, command: &[String]) -> Result<Attached, EngineError>;
    /// How much CPU time each of these running containers has used since it was started, in
    /// their order; `None` where that can't be told.
    async fn cpu_used(&self, ids: &[Arc<str>]) -> Vec<Option<Duration>>;
    /// What a running container uses now: one answer, without the engine's second of waiting.
    async fn usage(&self, id: &str) -> Result<Usage, EngineError>;
    /// What happened to containers with this label value since a time (Unix seconds) and happens
    /// from now on; it ends with the connection to the engine.
    fn events(
        &self,
        label: &str,
        value: &str,
        since: u64,
    ) -> BoxStream<'static, Result<Event, EngineError>>;
}
