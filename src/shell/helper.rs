//! The helper's life: started by the engine, asked by TCP, ended by the end of its input.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

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
    include_str!("helper/address.py"),
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

/// Most connections to it that are being opened at once: a helper that was stopped takes none,
/// and each costs us a descriptor until then.
const OPENING: usize = 64;

/// A running helper.
pub struct Helper {
    addr: SocketAddr,
    key: String,
    ended: CancellationToken,
    /// Cancelled once its container has ended.
    closed: CancellationToken,
    /// Places for connections that are being opened.
    opening: Semaphore,
    /// Its end is the helper's.
    _lifeline: DropGuard,
}

impl Helper {
    pub async fn start(workspaces: &Workspaces, inside: &Inside) -> Result<Self, ShellError> {
        let place = inside.shell_place().ok_or(ShellError::TooMany)?;
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
        let (over, left) = (ended.clone().drop_guard(), CancellationToken::new());
        let lifeline = left.clone().drop_guard();
        tokio::spawn(async move {
            let listened = async {
                while let Some(Ok(Output::Out(words) | Output::Err(words))) = output.next().await {
                    let words = String::from_utf8_lossy(&words);
                    tracing::debug!(%words, "the helper complained");
                }
            };
            let cut = async {
                left.cancelled().await;
                // To let go of it is no end: the other half holds the connection.
                let _ = input.shutdown().await;
            };
            // Its place is free once it has ended: one that does not is in the workspace still.
            let (_over, _place) = (over, place);
            let mut listened = std::pin::pin!(listened);
            tokio::select! {
                () = &mut listened => {}
                () = cut => listened.await,
            }
        });
        Ok(Self {
            addr: (inside.addr, port).into(),
            key,
            ended,
            closed: inside.closed.clone(),
            opening: Semaphore::new(OPENING),
            _lifeline: lifeline,
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
            let _place = self.opening.acquire().await.map_err(io::Error::other)?;
            let mut stream = TcpStream::connect(self.addr).await?;
            // Whoever has the address of a container that has gone must not hear the key.
            if self.ended.is_cancelled() || self.closed.is_cancelled() {
                return Err(io::ErrorKind::NotConnected.into());
            }
            stream.set_nodelay(true)?;
            let length = u32::try_from(request.len()).map_err(io::Error::other)?;
            let mut message = length.to_be_bytes().to_vec();
            message.extend_from_slice(request.as_bytes());
            stream.write_all(&message).await?;
            Ok::<_, io::Error>(stream)
        };
        let stream = timeout(CONNECT, ask).await;
        Ok(stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    fn helper(addr: SocketAddr) -> Helper {
        Helper {
            addr,
            key: "key".to_owned(),
            ended: CancellationToken::new(),
            closed: CancellationToken::new(),
            opening: Semaphore::new(OPENING),
            _lifeline: CancellationToken::new().drop_guard(),
        }
    }

    #[tokio::test]
    async fn the_key_is_told_to_nobody_once_the_container_has_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut heard = [0; 4];
        let at = listener.local_addr().unwrap();
        for gone in [
            |one: &Helper| one.closed.cancel(),
            |one: &Helper| one.ended.cancel(),
        ] {
            let helper = helper(at);
            let _stream = helper.ask(json!({})).await.unwrap();
            let (mut other, _) = listener.accept().await.unwrap();
            other.read_exact(&mut heard).await.unwrap();
            gone(&helper);
            assert!(helper.ask(json!({})).await.is_err());
            let (mut other, _) = listener.accept().await.unwrap();
            assert_eq!(other.read(&mut heard).await.unwrap_or(0), 0);
        }
    }

    #[test]
    fn the_proxys_machine_is_known_by_every_way_to_write_its_address() {
        let script = concat!(
            include_str!("helper/address.py"),
            include_str!("helper/address_test.py")
        );
        let tried = std::process::Command::new("python3")
            .args(["-I", "-S", "-c", script])
            .output();
        let tried = tried.unwrap();
        let said = String::from_utf8_lossy(&tried.stderr);
        assert!(tried.status.success(), "{said}");
    }

    #[tokio::test]
    async fn whoever_asks_a_helper_that_takes_nothing_waits_for_a_place() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let helper = Arc::new(helper(listener.local_addr().unwrap()));
        for _ in 0..10 * OPENING {
            let helper = Arc::clone(&helper);
            tokio::spawn(async move { helper.ask(json!({})).await.map(drop) });
        }
        while helper.opening.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(open < 5 * OPENING, "{open}");
    }
}
