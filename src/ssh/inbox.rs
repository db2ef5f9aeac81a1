//! What a client sent on a channel and nobody has taken yet.
//!
//! Promise: it holds at most [`WINDOW`] bytes, whatever the client does: the client may send
//! more only after as much was passed on, so a slow reader holds back its own channel alone.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use russh::{ChannelId, server::Handle};
use tokio::sync::Notify;

/// How much a client may send before the first of it was passed on, in bytes; OpenSSH's is the
/// same (64 packets of 32 KiB).
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// How much is given back at once: an eighth, so that keystrokes cost no message of their own.
const GRANT: u32 = WINDOW / 8;

/// One channel's.
#[derive(Debug, Default)]
pub struct Inbox {
    held: Mutex<Held>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Held {
    bytes: BytesMut,
    ended: bool,
}

impl Inbox {
    /// Adds what came.
    pub fn push(&self, bytes: &[u8]) {
        self.held().bytes.extend_from_slice(bytes);
        self.wake.notify_one();
    }

    /// Nothing more will come.
    pub fn end(&self) {
        self.held().ended = true;
        self.wake.notify_one();
    }

    /// Takes what is there, or waits for some; `None` at the end. Cancel-safe.
    pub async fn take(&self) -> Option<Bytes> {
        loop {
            {
                let mut held = self.held();
                if !held.bytes.is_empty() {
                    // The allocation goes with it: an idle channel holds none.
                    return Some(std::mem::take(&mut held.bytes).freeze());
                }
                if held.ended {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a channel's window back as its bytes are passed on.
#[derive(Debug)]
pub struct Window {
    handle: Handle,
    id: ChannelId,
    owed: u32,
}

impl Window {
    /// The window of a channel.
    pub fn new(handle: Handle, id: ChannelId) -> Self {
        Self {
            handle,
            id,
            owed: 0,
        }
    }

    /// So many bytes were passed on.
    pub fn passed(&mut self, bytes: usize) {
        self.owed += u32::try_from(bytes).unwrap_or(WINDOW);
        if self.owed >= GRANT {
            self.handle.grant_window(self.id, self.owed);
            self.owed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_came_before_the_end_is_taken_before_it() {
        let inbox = Inbox::default();
        inbox.push(b"one ");
        inbox.push(b"two");
        inbox.end();
        assert_eq!(inbox.take().await.as_deref(), Some(&b"one two"[..]));
        assert_eq!(inbox.take().await, None);
    }
}
