//! A socket between Vestibule and the engine: it keeps what Vestibule asked for, and can go away
//! or freeze as an engine might.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::watch,
    task::JoinSet,
};

use super::lock;

/// The tap. Dropped, it takes its connections with it.
pub struct Tap {
    /// Where Vestibule finds it.
    pub path: PathBuf,
    engine: PathBuf,
    asked: Arc<Mutex<Vec<u8>>>,
    frozen: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Tap {
    /// Opens a tap at `path` on the engine behind `engine`.
    pub fn open(path: PathBuf, engine: &str) -> Self {
        let tap = Self {
            path,
            engine: engine.into(),
            asked: Arc::default(),
            frozen: watch::Sender::new(false),
            tasks: Mutex::default(),
        };
        tap.come_back();
        tap
    }

    /// Everything Vestibule has asked so far, as text.
    pub fn asked(&self) -> String {
        String::from_utf8_lossy(&lock(&self.asked)).into_owned()
    }

    /// The engine ends: its socket and all connections are gone.
    pub fn go_away(&self) {
        lock(&self.tasks).abort_all();
        std::fs::remove_file(&self.path).unwrap();
    }

    /// The engine is there again.
    pub fn come_back(&self) {
        let listener = UnixListener::bind(&self.path).unwrap();
        let (engine, asked) = (self.engine.clone(), self.asked.clone());
        let frozen = self.frozen.subscribe();
        lock(&self.tasks).spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (engine, asked) = (engine.clone(), asked.clone());
                let (one, other) = (frozen.clone(), frozen.clone());
                connections.spawn(async move {
                    let server = UnixStream::connect(engine).await.unwrap();
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::join!(
                        pass(from_client, to_server, one, |bytes| lock(&asked)
                            .extend(bytes)),
                        pass(from_server, to_client, other, |_| {}),
                    );
                });
            }
        });
    }

    /// The engine accepts and says nothing, or goes on.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }
}

/// Passes bytes on while nothing is frozen.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
    mut note: impl FnMut(&[u8]),
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        note(&buffer[..size]);
        let thawed = frozen.wait_for(|frozen| !frozen).await.is_ok();
        if !thawed || to.write_all(&buffer[..size]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
