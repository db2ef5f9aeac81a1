//! A session channel: a shell, a command or `sftp` in the workspace.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use russh::{ChannelWriteHalf, Sig, server::Msg};
use tokio::{
    io::AsyncWriteExt as _,
    net::tcp::OwnedWriteHalf,
    sync::{mpsc, watch},
    time::{Instant, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Client, Held},
    inbox::Inbox,
    pace::Pace,
};
use crate::{
    shell::{Ending, Piece, Program, Running, Shell, Size, Terminal},
    workspace::Entering,
};

/// SSH's number of standard error (RFC 4254 5.2).
const STDERR: u32 = 1;
/// What `ssh` itself ends with when something went wrong that no program said.
const FAILED: u32 = 255;
/// The most that is sent at once; the packets of every client take it.
const PIECE: usize = 32 * 1024;
/// Most signals that wait for one program; more are dropped.
const SIGNALS: usize = 8;
/// Where the image keeps it.
const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";

/// Why a channel whose [`Inbox`] overflowed is closed.
const TOO_MUCH: &str = "more input waits for this program than can be kept";

/// What a client asks a channel to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A login shell.
    Shell,
    /// A command for the shell.
    Command(Vec<u8>),
    /// A subsystem.
    Subsystem(String),
}

/// A session channel as its connection sees it.
pub struct SessionChannel {
    prepared: Option<Prepared>,
    size: watch::Sender<Size>,
    signals: mpsc::Sender<String>,
}

/// What is known of a program before it is asked for.
pub struct Prepared {
    /// Its environment, as far as the client may set it.
    pub env: BTreeMap<String, String>,
    /// Its terminal.
    pub terminal: Option<Terminal>,
    writer: ChannelWriteHalf<Msg>,
    inbox: Arc<Inbox>,
    closed: CancellationToken,
    held: Held,
    size: watch::Receiver<Size>,
    signals: mpsc::Receiver<String>,
}

impl SessionChannel {
    /// A channel on which nothing runs yet.
    pub fn new(mut prepared: Prepared) -> Self {
        let size = watch::Sender::new(Size::default());
        prepared.size = size.subscribe();
        let (signals, received) = mpsc::channel(SIGNALS);
        prepared.signals = received;
        Self {
            size,
            signals,
            prepared: Some(prepared),
        }
    }

    /// What is still to be run.
    pub fn prepared(&mut self) -> Option<&mut Prepared> {
        self.prepared.as_mut()
    }

    /// Takes what is to be run; a channel runs one program.
    pub fn take(&mut self) -> Option<Prepared> {
        self.prepared.take()
    }

    /// The terminal has a new size.
    pub fn resize(&mut self, size: Size) {
        if let Some(terminal) = self.prepared.as_mut().and_then(|p| p.terminal.as_mut()) {
            terminal.size = size;
        }
        self.size.send_replace(size);
    }

    /// Passes a signal on to the program, if there is one and it takes them as fast as they come.
    pub fn signal(&self, signal: &Sig) {
        if self.prepared.is_none() {
            let _ = self.signals.try_send(name_of(signal));
        }
    }
}

impl Prepared {
    /// Nothing but a channel.
    pub fn new(
        writer: ChannelWriteHalf<Msg>,
        inbox: Arc<Inbox>,
        closed: CancellationToken,
        held: Held,
    ) -> Self {
        Self {
            env: BTreeMap::new(),
            terminal: None,
            writer,
            inbox,
            closed,
            held,
            size: watch::Sender::new(Size::default()).subscribe(),
            signals: mpsc::channel(1).1,
        }
    }

    /// Runs what was asked for, to its end or the channel's.
    pub async fn run(mut self, client: Arc<Client>, asked: Asked) {
        let closed = self.closed.clone();
        tokio::select! {
            () = self.run_open(&client, asked) => {}
            // Dropped with the program's connection, which hangs up on it.
            () = closed.cancelled() => {}
        }
    }

    async fn run_open(&mut self, client: &Arc<Client>, asked: Asked) {
        let shell = match self.enter(client, &asked).await {
            Ok(shell) => shell,
            Err(why) => return self.fail(&why).await,
        };
        let program = self.program(client, asked);
        let name = shell.name();
        let mut running = match shell.run(name, &program).await {
            Ok(running) => running,
            Err(error) => return self.fail(&error.to_string()).await,
        };
        let open = self.held.inside(client, &shell);
        if let Some(input) = running.input.take() {
            let (inbox, closed) = (Arc::clone(&self.inbox), self.closed.clone());
            let open = Arc::clone(&open);
            client.spawn(async move {
                tokio::select! {
                    () = pass_on(&inbox, input, |_| open.input()) => {}
                    () = closed.cancelled() => {}
                }
            });
        }
        // A terminal may be written to for nobody, as a clock does.
        let said = || {
            if self.terminal.is_none() {
                open.output();
            }
        };
        let size = program.terminal.map(|terminal| terminal.size);
        let sizes = self.size.clone();
        let resizes = async {
            match size {
                Some(first) => shell.follow(name, sizes, first).await,
                None => std::future::pending().await,
            }
        };
        let signals = signals(&shell, name, &mut self.signals);
        let ending = tokio::select! {
            ending = speak(&mut running, &self.writer, &client.pace, said) => ending,
            never = resizes => match never {},
            never = signals => match never {},
            () = self.inbox.overflow() => return self.fail(TOO_MUCH).await,
        };
        self.end(client, ending).await;
    }

    /// The helper in the workspace; whoever waits at a terminal sees how far it is.
    async fn enter(&self, client: &Arc<Client>, asked: &Asked) -> Result<Arc<Shell>, String> {
        let entered = client.shell();
        if self.terminal.is_none() || *asked != Asked::Shell {
            return entered.await.map_err(|error| error.to_string());
        }
        tokio::select! {
            entered = entered => entered.map_err(|error| error.to_string()),
            // The client has gone.
            () = self.show(client.progress()) => Err("nobody waits any more".to_owned()),
        }
    }

    /// Writes a line that counts the seconds, from the first one on.
    async fn show(&self, progress: watch::Receiver<Option<Entering>>) {
        let began = Instant::now();
        let mut beat = interval(Duration::from_secs(1));
        beat.tick().await;
        loop {
            beat.tick().await;
            let what = match &*progress.borrow() {
                Some(Entering::Queued { position: 0, .. }) => "You are next".to_owned(),
                Some(Entering::Queued { position, .. }) => {
                    format!("{position} others are before you")
                }
                _ => "Starting your workspace".to_owned(),
            };
            let line = format!(
                "\r\x1b[K{what} ... {} s\r\n\x1b[A",
                began.elapsed().as_secs()
            );
            if self.writer.data_bytes(line.into_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn program(&mut self, client: &Client, asked: Asked) -> Program {
        let mut env = std::mem::take(&mut self.env);
        let (peer, local) = (client.peer, client.local);
        let [from, to] = [peer, local].map(|addr| addr.ip().to_canonical());
        env.insert(
            "SSH_CONNECTION".to_owned(),
            format!("{from} {} {to} {}", peer.port(), local.port()),
        );
        // bash reads ~/.bashrc for a command because of this one, as people expect.
        env.insert(
            "SSH_CLIENT".to_owned(),
            format!("{from} {} {}", peer.port(), local.port()),
        );
        if let Some(agent) = client.agent_path() {
            env.insert("SSH_AUTH_SOCK".to_owned(), agent);
        }
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        let shell = |command: &[u8]| words(&[b"/bin/bash", b"bash", b"-c", command]);
        let command = match (&client.permits.command, asked) {
            (Some(forced), asked) => {
                let original = match asked {
                    Asked::Shell => None,
                    Asked::Command(command) => Some(String::from_utf8_lossy(&command).into_owned()),
                    Asked::Subsystem(_) => Some(SFTP_SERVER.to_owned()),
                };
                if let Some(original) = original {
                    env.insert("SSH_ORIGINAL_COMMAND".to_owned(), original);
                }
                shell(forced.as_bytes())
            }
            (None, Asked::Shell) => words(&[b"/bin/bash", b"-bash", b"-l"]),
            (None, Asked::Command(command)) => shell(&command),
            (None, Asked::Subsystem(_)) => words(&[SFTP_SERVER.as_bytes(), b"sftp-server"]),
        };
        Program {
            command,
            env,
            terminal: self.terminal.clone(),
        }
    }

    /// Says why nothing was run.
    async fn fail(&self, why: &str) {
        let line = format!("vestibule: {why}\r\n").into_bytes();
        // A client that has gone needs no reason.
        let _ = self.writer.extended_data_bytes(STDERR, line).await;
        let _ = self.writer.exit_status(FAILED).await;
        let _ = self.writer.close().await;
    }

    async fn end(&self, client: &Client, ending: Ending) {
        let id = self.writer.id();
        // All of it goes to a client that may have gone.
        let _ = match ending {
            // Before the end of the output: nothing may be written behind that (RFC 4254 5.3).
            Ending::Lost => return self.fail("the workspace ended").await,
            Ending::Code(code) => {
                let _ = self.writer.eof().await;
                self.writer.exit_status(code).await.map_err(|_| ())
            }
            Ending::Signal { name, core } => {
                let _ = self.writer.eof().await;
                let signal = signal_of(&name);
                client
                    .handle
                    .exit_signal_request(id, signal, core, String::new(), String::new())
                    .await
            }
        };
        let _ = self.writer.close().await;
    }
}

/// Passes on what a program says, as fast as the client takes it.
async fn speak(
    running: &mut Running,
    writer: &ChannelWriteHalf<Msg>,
    pace: &Pace,
    said: impl Fn(),
) -> Ending {
    loop {
        let piece = running.next(PIECE).await;
        let _sending = pace.sending();
        let sent = match piece {
            Piece::Out(bytes) => writer.data_bytes(bytes).await,
            Piece::Err(bytes) => writer.extended_data_bytes(STDERR, bytes).await,
            Piece::End(ending) => return ending,
        };
        if sent.is_err() {
            return Ending::Lost;
        }
        said();
    }
}

/// Passes on what a client says, as fast as it is taken, and then its end; tells `sent` of each
/// piece's length.
pub async fn pass_on(inbox: &Inbox, mut to: OwnedWriteHalf, sent: impl Fn(usize)) {
    while let Some(bytes) = inbox.take().await {
        sent(bytes.len());
        if to.write_all(&bytes).await.is_err() {
            // Nobody reads it any more; the client hears the end by itself.
            return inbox.deafen();
        }
    }
    let _ = to.shutdown().await;
}

/// Passes signals on to a program, one after the other; ends with the channel alone.
async fn signals(shell: &Shell, name: u64, signals: &mut mpsc::Receiver<String>) -> Infallible {
    while let Some(signal) = signals.recv().await {
        if let Err(error) = shell.signal(name, &signal).await {
            tracing::debug!(%error, "a signal did not arrive");
        }
    }
    std::future::pending().await
}

fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.chars().take(32).collect(),
        known => format!("{known:?}"),
    }
}

fn signal_of(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}
