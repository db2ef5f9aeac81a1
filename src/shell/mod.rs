//! The bridge into a workspace's container: programs on a terminal or on pipes, and streams to
//! and from sockets in there. SSH stands on it, and whatever else needs a shell.
//!
//! Imports `workspace`. One helper (a script that the image's Python runs, as the workspace's
//! user) serves one [`Shell`]: it is started by the engine, and after that each program and
//! stream has a TCP connection of its own to it, so that the kernel does the flow control and
//! the engine carries none of the bytes. Promise: what a [`Shell`] started ends with it, unless
//! it detached itself; and also if we are killed, since the helper's input ends then. The helper
//! is in the user's hands: nothing it says is trusted beyond its own container.

mod helper;
mod stream;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use self::helper::Helper;
pub use self::stream::{Ending, Listening, Piece, Running, Stream, Taken, end};
use crate::{
    engine::EngineError,
    workspace::{Inside, SHELLS, Workspaces},
};

/// Longest that the helper may take to answer what it does by itself.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest that it may take to connect somewhere: a name server may be slow.
const CONNECT: Duration = Duration::from_mins(1);

/// Something can't be done in a workspace.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The helper did not start.
    #[error("the workspace's image can't run our helper, which needs python3: {0}")]
    Helper(String),
    /// The user has as many shells as one may.
    #[error("{SHELLS} connections and terminals are in this workspace, which is as many as may be")]
    TooMany,
    /// The helper can't be reached, or has gone.
    #[error("the workspace does not answer")]
    Unreachable(#[from] io::Error),
    /// It may not be done.
    #[error("{0}")]
    Denied(String),
    /// It could not be done there, in the system's words.
    #[error("{0}")]
    Refused(String),
}

/// The size of a terminal, in characters and in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Size {
    pub columns: u32,
    pub rows: u32,
    pub width: u32,
    pub height: u32,
}

/// A terminal for a program.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Its size.
    pub size: Size,
    /// Its modes by their opcodes (RFC 4254 8).
    pub modes: Vec<(u8, u32)>,
}

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file, then the arguments from the 0th on; any bytes but NUL.
    pub command: Vec<Vec<u8>>,
    /// Environment, above that of the container.
    pub env: BTreeMap<String, String>,
    /// Its terminal; without one it has pipes.
    pub terminal: Option<Terminal>,
}

/// Where a stream leads, or where it is listened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host and port, as the container sees it.
    Port(String, u16),
    /// A Unix socket.
    Path(String),
    /// A Unix socket of a new name, for an agent.
    Agent,
}

/// A helper in a user's container, and all that it runs; ends with the last of its holders.
pub struct Shell {
    /// The container.
    pub inside: Inside,
    helper: Helper,
    names: AtomicU64,
}

impl Shell {
    /// Starts a helper.
    ///
    /// # Errors
    /// [`ShellError`] if the engine fails, the image has no `python3`, or its user has too many.
    pub async fn open(workspaces: &Workspaces, inside: Inside) -> Result<Self, ShellError> {
        Ok(Self {
            helper: Helper::start(workspaces, &inside).await?,
            inside,
            names: AtomicU64::new(0),
        })
    }

    /// Cancelled once the helper has ended, and everything with it.
    pub fn ended(&self) -> &CancellationToken {
        self.helper.ended()
    }

    /// A name for a program that will be run.
    pub fn name(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs a program.
    ///
    /// # Errors
    /// [`ShellError`]; that there is no such program is told by its end instead.
    pub async fn run(&self, name: u64, program: &Program) -> Result<Running, ShellError> {
        let words = program.command.iter();
        let words: Vec<String> = words.map(|word| stream::base64(word)).collect();
        let mut request = json!({ "do": "run", "name": name, "argv": words, "env": program.env });
        if let Some(terminal) = &program.terminal {
            let mut pty = sized(terminal.size);
            pty["modes"] = json!(terminal.modes);
            request["pty"] = pty;
        }
        Ok(Running::new(self.helper.ask(request).await?))
    }

    /// Tells a program's terminal its new size.
    ///
    /// # Errors
    /// [`ShellError::Unreachable`].
    pub async fn resize(&self, name: u64, size: Size) -> Result<(), ShellError> {
        let mut request = sized(size);
        request["do"] = json!("resize");
        request["name"] = json!(name);
        self.helper.ask(request).await.map(drop)
    }

    /// Tells a program's terminal each size that is another than the last one, of which `known`
    /// is the first. Never ends.
    pub async fn follow(
        &self,
        name: u64,
        mut sizes: watch::Receiver<Size>,
        mut known: Size,
    ) -> Infallible {
        loop {
            let size = *sizes.borrow_and_update();
            if size != known && size != Size::default() {
                known = size;
                if let Err(error) = self.resize(name, size).await {
                    tracing::debug!(%error, "a new size did not arrive");
                }
            }
            if sizes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Sends a signal (`INT`) to a program's process group, on a terminal to the one in front.
    ///
    /// # Errors
    /// [`ShellError::Unreachable`].
    pub async fn signal(&self, name: u64, signal: &str) -> Result<(), ShellError> {
        let request = json!({ "do": "signal", "name": name, "signal": signal });
        self.helper.ask(request).await.map(drop)
    }

    /// Connects to a place seen from inside the container; `only_itself` to the container alone.
    ///
    /// # Errors
    /// [`ShellError::Refused`] in the system's words.
    pub async fn connect(&self, to: &Place, only_itself: bool) -> Result<Stream, ShellError> {
        let mut request = placed(to);
        request["do"] = json!("connect");
        request["localhost"] = json!(only_itself);
        let stream = self.helper.ask(request).await?;
        in_time(CONNECT, Stream::begin(stream)).await
    }

    /// Listens in the container.
    ///
    /// # Errors
    /// [`ShellError::Refused`] in the system's words.
    pub async fn listen(&self, at: &Place) -> Result<Listening, ShellError> {
        let mut request = placed(at);
        request["do"] = json!("listen");
        let stream = self.helper.ask(request).await?;
        in_time(ANSWER, Listening::begin(stream)).await
    }

    /// Takes a connection that a [`Listening`] told of.
    ///
    /// # Errors
    /// [`ShellError::Refused`] if it was not taken in time.
    pub async fn take(&self, taken: &Taken) -> Result<Stream, ShellError> {
        let request = json!({ "do": "take", "id": taken.id });
        let stream = self.helper.ask(request).await?;
        in_time(ANSWER, Stream::begin(stream)).await
    }
}

async fn in_time<T>(
    most: Duration,
    answer: impl Future<Output = Result<T, ShellError>>,
) -> Result<T, ShellError> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    timeout(most, answer).await.map_err(late)?
}

/// A connection to the helper that is cut, rather than ended, when dropped: whatever hangs on
/// it in the container hears of it at once.
fn cut_on_drop(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

fn sized(size: Size) -> Value {
    json!({ "cols": size.columns, "rows": size.rows, "width": size.width, "height": size.height })
}

fn placed(place: &Place) -> Value {
    match place {
        Place::Port(host, port) => json!({ "host": host, "port": port }),
        Place::Path(path) => json!({ "path": path }),
        Place::Agent => json!({ "agent": true }),
    }
}
