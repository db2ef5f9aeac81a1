//! How far a start has come, and why one failed.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::Upstream;
use crate::{
    engine::EngineError,
    names::{AppName, ContainerName, Username},
};

/// How far the start of an app has come, or of what else is to be ready. A waiter sees the last one.
#[derive(Clone, Debug)]
pub enum Phase<R = Arc<Upstream>> {
    /// Too many are starting; it waits for its turn.
    Queued {
        /// How many are before it.
        position: usize,
        /// How long that took others, if any were measured.
        estimate: Option<Duration>,
    },
    /// It is being done.
    Working(Step),
    /// The app answers.
    Ready(R),
    /// It did not work.
    Failed(Arc<Failure>),
}

impl<R> Phase<R> {
    /// Whether nothing more will come.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::Failed(_))
    }
}

/// A step of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The image is looked up.
    Image,
    /// The container is made or started.
    Container,
    /// The app's command is run in it.
    Command,
    /// The app is asked until it answers.
    Ready,
}

impl Step {
    /// Which one it is, counted from 1.
    pub fn number(self) -> usize {
        self as usize + 1
    }
}

impl Step {
    /// A stable word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Container => "container",
            Self::Command => "command",
            Self::Ready => "ready",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "Finding the workspace's image",
            Self::Container => "Starting your workspace",
            Self::Command => "Starting the app in it",
            Self::Ready => "Waiting for the app to answer",
        })
    }
}

/// A start that did not work.
#[derive(Debug)]
pub struct Failure {
    /// Names it on the page and in the log.
    pub id: String,
    /// What failed.
    pub cause: Cause,
    /// The app's last words, for its owner alone.
    pub log_tail: Vec<String>,
    /// How long until another try is made.
    pub retry_after: Duration,
}

/// What failed in a start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The engine failed or refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Somebody else's container has the name.
    #[error(
        "a container named {0} exists that is not ours; rename or remove it, it was left untouched"
    )]
    ForeignContainer(ContainerName),
    /// A mount that isn't optional isn't there.
    #[error("the directory {0} that workspaces mount is missing on the host")]
    MountMissing(PathBuf),
    /// The user's directory can't be made or used.
    #[error("the data directory {path} can't be used: {why}")]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The network would let containers reach each other.
    #[error(
        "the network {0} lets workspaces reach each other; remove it, and it will be made anew"
    )]
    NetworkNotIsolated(String),
    /// The container ended during the start.
    #[error("the workspace's container ended while the app was starting")]
    ContainerEnded,
    /// The container ran out of memory.
    #[error("the workspace ran out of memory; a larger `workspace.memory` may help")]
    OutOfMemory,
    /// The app's command ended.
    #[error("the app's command {program} ended at once, with exit code {code}")]
    AppExited {
        /// The first word of the command.
        program: String,
        /// What the shell says of its end: 127 if there is no such program.
        code: i64,
    },
    /// The app never answered.
    #[error("the app did not answer on port {port} within {after} s")]
    NeverReady {
        /// Its port.
        port: u16,
        /// How long was waited, in seconds.
        after: u64,
    },
    /// It answered, but never well.
    #[error(
        "the app answered {status} to {path} on port {port} for {after} s; it is ready once it \
         answers that with less than 400 (`ready_path`)"
    )]
    NeverWell {
        /// Its port.
        port: u16,
        /// What it was asked for.
        path: String,
        /// Its last answer.
        status: u16,
        /// How long was waited, in seconds.
        after: u64,
    },
    /// It was stopped while it was starting.
    #[error("the workspace was stopped while it was starting")]
    Stopped,
    /// There is no such app.
    #[error("there is no app {0}; `apps` in proxy.toml lists what there is")]
    NoSuchApp(AppName),
    /// The start itself was given up, by a fault of ours.
    #[error("the start was given up; the log says why")]
    GivenUp,
}

impl Cause {
    /// A stable word for metrics and the audit log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.as_str(),
            Self::ForeignContainer(_) => "foreign_container",
            Self::MountMissing(_) => "mount_missing",
            Self::DataDirectory { .. } => "data_directory",
            Self::NetworkNotIsolated(_) => "network_not_isolated",
            Self::ContainerEnded => "container_ended",
            Self::OutOfMemory => "out_of_memory",
            Self::AppExited { .. } => "app_exited",
            Self::NeverReady { .. } | Self::NeverWell { .. } => "never_ready",
            Self::Stopped => "stopped",
            Self::NoSuchApp(_) => "no_such_app",
            Self::GivenUp => "given_up",
        }
    }
}

/// A stop or removal did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// There is nothing to stop.
    #[error("{0} has no container")]
    NoContainer(Username),
    /// The container isn't ours.
    #[error("the container {0} is not ours and was left untouched")]
    Foreign(ContainerName),
    /// The engine failed or refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A workspace can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// It doesn't run.
    #[error("the workspace doesn't run, so there is nothing to keep")]
    NotRunning,
    /// For no time.
    #[error("a workspace is kept for a second at least")]
    TooShort,
    /// For longer than is allowed.
    #[error("a workspace can be kept for {longest} at most (`idle.longest_keep`)",
        longest = humantime::format_duration(*.0))]
    TooLong(Duration),
}

/// Why a workspace was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// No clock that holds it moved for long enough.
    Idle,
    /// It ran for as long as it may.
    Age,
    /// Its user asked for it.
    User,
    /// An operator asked for it.
    Operator,
}

impl StopReason {
    /// A stable word for the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Age => "max_age",
            Self::User => "user",
            Self::Operator => "operator",
        }
    }
}
