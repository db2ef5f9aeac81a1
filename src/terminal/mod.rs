//! The terminal in the browser: a WebSocket that ends here, and a shell behind it, by the same
//! bridge as SSH.
//!
//! Imports `shell` and `workspace`. Binary messages are what is typed and what is shown; text
//! messages from the page are [`Told`]; a Close says in its reason, for people, how it ended.
//! Promise: a browser that reads slowly or not at all holds back its own shell alone, and no more
//! than 1 MiB of its input and what is on its way lie here meanwhile.

mod client;
mod end;

use std::time::Duration;

use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::{interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;

use self::client::{Client, Told};
pub use self::{client::size, end::End};
use crate::{
    shell::{Ending, Piece, Program, Running, Shell, Size, Terminal},
    workspace::{Inside, OpenSocket, Workspaces},
};

/// Longest message of a page; it sends larger pastes in pieces.
const LONGEST: usize = 64 * 1024;
/// The most that is sent at once.
const PIECE: usize = 32 * 1024;
/// So often an idle page hears of us, as proxies in between take silence for an end.
const BEAT: Duration = Duration::from_secs(30);
/// How long a proper end may take: the Close and the browser's own.
const PARTING: Duration = Duration::from_millis(500);
/// How long after a shell's end it may be known that its container ended.
const SETTLE: Duration = Duration::from_secs(1);

/// Has tmux keep a shell.
const KEEP: &str = include_str!("keep.sh");
/// Recalls what such a shell has shown.
const RECALL: &str = include_str!("recall.sh");

/// A shell for a browser.
pub struct Opening {
    /// Where it runs.
    pub inside: Inside,
    /// Its name: the same name is the same shell, if tmux keeps it.
    pub name: Name,
    /// Whether tmux does.
    pub tmux: bool,
    /// How large it is shown.
    pub size: Size,
    /// Told of what passes.
    pub open: OpenSocket,
    /// Cancelled when the browser's session has ended.
    pub ended: CancellationToken,
    /// Cancelled when we should stop.
    pub stop: CancellationToken,
}

/// What tells a user's shells apart: 1 to 32 of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The name in a path's rest, which begins with `/`; `main` if there is none.
    pub fn in_path(rest: &str) -> Option<Self> {
        let name = match rest.strip_prefix('/')? {
            "" => "main",
            name => name,
        };
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        (name.len() <= 32 && name.bytes().all(allowed)).then(|| Self(name.to_owned()))
    }
}

/// Runs a shell for the browser behind `stream`, until either ends; tells the browser how.
pub async fn run<S>(stream: S, workspaces: &Workspaces, opening: Opening) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bounds = WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST))
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(bounds)).await;
    let container = opening.inside.closed.clone();
    let (ended, stop) = (opening.ended.clone(), opening.stop.clone());
    // Cancel-safe: what was given to the socket whole goes out before the Close. In this order,
    // as each is the reason of those below.
    let end = tokio::select! {
        biased;
        () = ended.cancelled() => End::Session,
        () = container.cancelled() => End::Stopped,
        () = stop.cancelled() => End::Restart,
        end = talk(&mut socket, workspaces, opening) => end,
    };
    let end = match end {
        // A container that ends takes its shells along, a moment before we hear of it.
        End::Shell(Ending::Lost | Ending::Signal { .. })
            if timeout(SETTLE, container.cancelled()).await.is_ok() =>
        {
            End::Stopped
        }
        end => end,
    };
    if let Some(close) = end.close() {
        let part = async {
            socket.close(Some(close)).await?;
            while socket.next().await.transpose()?.is_some() {}
            // Over HTTP/2, a stream that is dropped before its end has broken off.
            socket.get_mut().shutdown().await?;
            Ok::<_, Error>(())
        };
        // A browser that is gone, or in its own way, hears nothing.
        let _ = timeout(PARTING, part).await;
    }
    end
}

async fn talk<S>(socket: &mut WebSocketStream<S>, workspaces: &Workspaces, opening: Opening) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [recall, shell] = programs(&opening);
    let Opening {
        inside,
        size,
        open,
        tmux,
        ..
    } = opening;
    let client = Client::new(size, open);
    let (mut to_page, mut from_page) = socket.split();
    let show = async {
        let bridge = Shell::open(workspaces, inside).await?;
        if tmux {
            let mut running = bridge.run(bridge.name(), &recall).await?;
            speak(&mut running, &mut to_page, &client).await;
        }
        let name = bridge.name();
        let mut running = bridge.run(name, &shell).await?;
        let input = running.input.take();
        Ok(tokio::select! {
            ending = speak(&mut running, &mut to_page, &client) => {
                ending.map_or(End::Left, End::Shell)
            }
            () = client.type_into(input) => End::Shell(Ending::Lost),
            never = bridge.follow(name, client.sizes(), size) => match never {},
        })
    };
    tokio::select! {
        end = hear(&mut from_page, &client) => end,
        end = show => end.unwrap_or_else(End::Failed),
    }
}

/// What is run for a browser: what recalls the shell's last lines, and the shell.
fn programs(opening: &Opening) -> [Program; 2] {
    let name = opening.name.0.as_str();
    let rows = opening.size.rows.to_string();
    let program = |command: &[&str], terminal| Program {
        command: command
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        env: [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        terminal,
    };
    let script = ["/bin/sh", "sh", "-c"];
    let recall = [&script[..], &[RECALL, "recall", name, &rows]].concat();
    let shell = if opening.tmux {
        [&script[..], &[KEEP, "keep", name]].concat()
    } else {
        vec!["/bin/bash", "-bash", "-l"]
    };
    let terminal = Terminal {
        size: opening.size,
        // IUTF8 (RFC 8160): a rubout takes away a whole character.
        modes: vec![(42, 1)],
    };
    [program(&recall, None), program(&shell, Some(terminal))]
}

/// Hears what the page says, to its end. Never waits for the shell: a new size, and room for
/// what the shell says, come the same way as what is typed.
async fn hear<S>(from_page: &mut S, client: &Client) -> End
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    loop {
        match from_page.next().await {
            Some(Ok(Message::Binary(typed))) => {
                if !client.typed(&typed) {
                    return End::TooMuch;
                }
            }
            Some(Ok(Message::Text(text))) => match Told::parse(&text) {
                Some(told) => client.told(told),
                None => return End::Malformed,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_))) => {
                return End::Malformed;
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Left,
        }
    }
}

/// Passes on what the shell says, as fast as the page shows it; `None` once the page has gone.
async fn speak<S>(running: &mut Running, to_page: &mut S, client: &Client) -> Option<Ending>
where
    S: Sink<Message> + Unpin,
{
    let mut beat = interval(BEAT);
    beat.tick().await;
    loop {
        // Cancel-safe, both: a piece is there or not.
        let message = tokio::select! {
            piece = async { client.room().await; running.next(PIECE).await } => match piece {
                Piece::Out(bytes) | Piece::Err(bytes) => {
                    client.shown(bytes.len());
                    Message::Binary(bytes)
                }
                Piece::End(ending) => return Some(ending),
            },
            _ = beat.tick() => Message::Ping(tokio_tungstenite::tungstenite::Bytes::new()),
        };
        to_page.send(message).await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_shell_and_nothing_else() {
        for (rest, name) in [
            ("/", Some("main")),
            ("/build-2", Some("build-2")),
            ("/a/b", None),
            ("/A", None),
            ("/%61", None),
            ("/;reboot", None),
            ("/$(x)", None),
            ("", None),
        ] {
            let found = Name::in_path(rest);
            assert_eq!(found, name.map(|name| Name(name.to_owned())), "{rest}");
        }
        let longest = format!("/{}", "a".repeat(32));
        assert!(Name::in_path(&longest).is_some());
        assert!(Name::in_path(&(longest + "a")).is_none());
    }
}
