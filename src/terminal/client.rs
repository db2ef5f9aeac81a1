//! What is known of a page: how much of the output it still has to show, what it typed and the
//! shell has not taken yet, and its size.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt as _,
    net::tcp::OwnedWriteHalf,
    sync::{Notify, watch},
};

use crate::{shell::Size, workspace::OpenSocket};

/// How much output may be on its way to a page that has not shown it yet: some screens full, and
/// more than a far network holds.
pub const WINDOW: usize = 512 * 1024;
/// How much input may wait for a shell: a large paste. What is larger is no paste.
pub const MOST_INPUT: usize = 1024 * 1024;
/// Most columns and rows; more than any screen has.
const LARGEST: u32 = 1000;

/// What a page tells beside what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// It has so many columns and rows.
    Size(u32, u32),
    /// It has shown so many bytes more.
    Shown(usize),
}

impl Told {
    /// Reads what a page tells: `{"size":[80,24]}`.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A size in characters that makes sense.
pub fn size(columns: u32, rows: u32) -> Size {
    Size {
        columns: columns.clamp(1, LARGEST),
        rows: rows.clamp(1, LARGEST),
        ..Size::default()
    }
}

/// A page.
pub struct Client {
    open: Mutex<OpenSocket>,
    sizes: watch::Sender<Size>,
    /// Bytes sent that it has not shown.
    unseen: AtomicUsize,
    seen: Notify,
    input: Mutex<BytesMut>,
    came: Notify,
}

impl Client {
    pub fn new(size: Size, open: OpenSocket) -> Self {
        Self {
            open: Mutex::new(open),
            sizes: watch::Sender::new(size),
            unseen: AtomicUsize::new(0),
            seen: Notify::new(),
            input: Mutex::default(),
            came: Notify::new(),
        }
    }

    /// Each size it takes.
    pub fn sizes(&self) -> watch::Receiver<Size> {
        self.sizes.subscribe()
    }

    /// A person typed; false if the shell takes so little that it can't be kept.
    pub fn typed(&self, bytes: &Bytes) -> bool {
        let mut open = lock(&self.open);
        open.up(bytes.len());
        open.input();
        drop(open);
        let mut input = lock(&self.input);
        if input.len() + bytes.len() > MOST_INPUT {
            return false;
        }
        input.extend_from_slice(bytes);
        drop(input);
        self.came.notify_one();
        true
    }

    pub fn told(&self, told: Told) {
        match told {
            Told::Size(columns, rows) => {
                self.sizes.send_replace(size(columns, rows));
            }
            Told::Shown(bytes) => {
                // Whoever claims more than was sent gains nothing.
                let less = |unseen: usize| Some(unseen.saturating_sub(bytes));
                let _ = self.unseen.fetch_update(Relaxed, Relaxed, less);
                self.seen.notify_one();
            }
        }
    }

    /// Waits until more may be sent.
    pub async fn room(&self) {
        while self.unseen.load(Relaxed) >= WINDOW {
            self.seen.notified().await;
        }
    }

    /// So much more is on its way to be shown.
    pub fn shown(&self, bytes: usize) {
        self.unseen.fetch_add(bytes, Relaxed);
        lock(&self.open).down(bytes);
    }

    /// Passes on what is typed, as fast as the shell takes it. Ends once it takes no more.
    pub async fn type_into(&self, shell: Option<OwnedWriteHalf>) {
        let Some(mut shell) = shell else {
            return;
        };
        loop {
            // The allocation goes with it: an idle page holds none.
            let typed = std::mem::take(&mut *lock(&self.input));
            if typed.is_empty() {
                self.came.notified().await;
            } else if shell.write_all(&typed).await.is_err() {
                // How the shell ended is told with its output.
                return std::future::pending().await;
            }
        }
    }
}

/// None of these locks is held where anything can panic, or over an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
