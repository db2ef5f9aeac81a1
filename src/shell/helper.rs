//! The helper's life: started by the engine, asked by TCP, ended by the end of its input.

use std::{net::SocketAddr, pin::Pin, sync::Mutex, time::Duration};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::ShellError;
use crate::{
    engine::{Attached, Output},
    secret::random_id,
    workspace::{Inside, Workspaces},
};

/// What the helper does; it comes with us and not with the image, so that both fit together.
const SCRIPT: &str = concat!(
    include_str!("helper/loop.py"),
    include_str!("helper/program.py"),
    include_str!("helper/stream.py"),
    include_str!("helper/main.py"),
);
/// Reads the script from its input, since an argument would show in `ps`; the rest of the input
/// is the helper's. `-I -S`: none of the user's own modules. Argument: the script's length.
const BOOT: &str = "import os, sys
n, b = int(sys.argv[1]), b''
while len(b) < n: b += os.read(0, n - len(b)) or sys.exit()
exec(compile(b, 'vestibule', 'exec'))";
/// Longest it may take to listen: a Python starts in 30 ms, on a busy machine in seconds.
const START: Duration = Duration::from_secs(20);
/// Longest a connection to it may take: it is on this machine or the next.
const CONNECT: Duration = Duration::from_secs(5);

/// A running helper.
pub struct Helper {
    addr: SocketAddr,
    key: String,
    ended: CancellationToken,
    /// Its end is the helper's.
    /// The lock only makes it shareable: nobody ever writes to it.
    _lifeline: Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl Helper {
    pub async fn start(workspaces: &Workspaces, inside: &Inside) -> Result<Self, ShellError> {
        let length = SCRIPT.len().to_string();
        let command = ["python3", "-I", "-S", "-c", BOOT, &length].map(str::to_owned);
        let Attached {
            mut input,
            mut output,
        } = workspaces.attach(inside, &command).await?;
        let key = random_id();
        input.write_all(SCRIPT.as_bytes()).await?;
        let hello = format!("{key} {}\n", inside.addr);
        input.write_all(hello.as_bytes()).await?;
        input.flush().await?;
        let mut said = String::new();
        let port = timeout(START, async {
            while let Some(part) = output.next().await {
                let (Output::Out(bytes) | Output::Err(bytes)) = part?;
                said.push_str(&String::from_utf8_lossy(&bytes));
                if let Some(port) = said.strip_suffix('\n').and_then(|port| port.parse().ok()) {
                    return Ok(port);
                }
                if said.len() > 4096 {
                    break;
                }
            }
            let last = said.lines().last().unwrap_or("it ended at once");
            Err(ShellError::Helper(last.to_owned()))
        });
        let port = port
            .await
            .map_err(|_| ShellError::Helper("it did not start in time".into()))??;
        let ended = CancellationToken::new();
        let over = ended.clone().drop_guard();
        tokio::spawn(async move {
            while let Some(part) = output.next().await {
                let Ok(Output::Out(words) | Output::Err(words)) = part else {
                    break;
                };
                tracing::debug!(words = %String::from_utf8_lossy(&words), "the helper complained");
            }
            drop(over);
        });
        Ok(Self {
            addr: (inside.addr, port).into(),
            key,
            ended,
            _lifeline: Mutex::new(input),
        })
    }

    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Sends a request on a connection of its own.
    pub async fn ask(&self, mut request: Value) -> Result<TcpStream, ShellError> {
        request["key"] = json!(self.key);
        let request = request.to_string();
        let ask = async {
            let mut stream = TcpStream::connect(self.addr).await?;
            stream.set_nodelay(true)?;
            let length = u32::try_from(request.len()).map_err(std::io::Error::other)?;
            let mut message = length.to_be_bytes().to_vec();
            message.extend_from_slice(request.as_bytes());
            stream.write_all(&message).await?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = timeout(CONNECT, ask).await;
        Ok(stream.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??)
    }
}
