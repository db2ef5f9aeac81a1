//! What a client sent on a channel and nobody has taken yet.
//!
//! russh opens a channel's window again as data comes, not as it is taken (its issue 392), so a
//! client can always send more, and its loop must never wait for a reader: window changes for our
//! own output come the same way. So what waits is kept here: first in memory, beyond that in
//! unlinked files, both bounded for a user and in all. Promise: nothing is reordered,
//! [`Inbox::push`] waits for the disk at most and never for the reader, no thread waits for the
//! disk with it, and what was counted is given back.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::{sync::Notify, task::spawn_blocking};

use super::{
    segment::{Part, Segment, Waiting},
    store::Account,
};

/// Most that one channel holds in memory, in bytes.
const MEMORY: usize = 2 << 20;
/// How much is taken at once: so little that a slow reader is seen to read. The longest that a
/// client sends at once is half of it.
const PIECE: usize = 64 << 10;

/// One channel's.
#[derive(Debug)]
pub struct Inbox {
    account: Account,
    held: Mutex<Held>,
    wake: Notify,
    overflowed: Notify,
}

/// What is in memory came before what is in files.
#[derive(Debug, Default)]
struct Held {
    memory: VecDeque<BytesMut>,
    in_memory: usize,
    files: VecDeque<Waiting>,
    ended: bool,
    /// Whatever comes is dropped.
    deaf: bool,
}

/// What is taken next.
enum Next {
    Bytes(Bytes),
    In(Part),
    Nothing,
    End,
}

impl Inbox {
    /// An empty one.
    pub fn new(account: Account) -> Self {
        Self {
            account,
            held: Mutex::default(),
            wake: Notify::new(),
            overflowed: Notify::new(),
        }
    }

    /// Adds what came. What is beyond all bounds is lost, and with it the channel:
    /// [`Inbox::overflow`]. For one writer.
    pub async fn push(&self, bytes: &[u8]) {
        if let Err(last) = self.remember(bytes) {
            let (account, bytes) = (self.account.clone(), bytes.to_vec());
            match spawn_blocking(move || account.write(last, &bytes)).await {
                Ok(Ok(written)) => self.held().add(written),
                error => {
                    tracing::debug!(?error, "what waits for a process can't be kept");
                    self.overflows();
                }
            }
        }
        self.wake.notify_one();
    }

    /// Keeps bytes in memory, or tells which file they go to, if there is one to go on with.
    fn remember(&self, bytes: &[u8]) -> Result<(), Option<Arc<Segment>>> {
        let mut held = self.held();
        if held.deaf {
            return Ok(());
        }
        let in_memory = held.files.is_empty() && held.in_memory + bytes.len() <= MEMORY;
        if in_memory && self.account.remember(bytes.len()) {
            held.remember(bytes);
            return Ok(());
        }
        Err(held.files.back().and_then(Waiting::segment))
    }

    /// Nobody will take any more: what waits is dropped, and so is what comes.
    pub fn deafen(&self) {
        let deaf = Held {
            deaf: true,
            ..Held::default()
        };
        let held = mem::replace(&mut *self.held(), deaf);
        self.account.forget(held.in_memory);
    }

    fn overflows(&self) {
        self.deafen();
        self.overflowed.notify_one();
    }

    /// Nothing more will come.
    pub fn end(&self) {
        self.held().ended = true;
        self.wake.notify_one();
    }

    /// Waits until something could not be kept. Cancel-safe.
    pub async fn overflow(&self) {
        self.overflowed.notified().await;
    }

    /// Takes what is there, or waits for some; `None` at the end. For one reader, who may stop
    /// waiting only for good.
    pub async fn take(&self) -> Option<Bytes> {
        loop {
            let (next, more_in_files) = {
                let mut held = self.held();
                (held.next(), !held.files.is_empty())
            };
            match next {
                Next::Bytes(bytes) => {
                    self.account.forget(bytes.len());
                    // Another channel's reader is no sign that this one's goes on.
                    if more_in_files {
                        self.account.pace.took();
                    }
                    return Some(bytes);
                }
                Next::In(part) => {
                    let length = part.length;
                    let read = spawn_blocking(move || part.read()).await;
                    if let Ok(Ok(bytes)) = read {
                        self.held().passed(length);
                        self.account.pace.took();
                        return Some(bytes);
                    }
                    // Never an end that was none: the channel is lost.
                    self.overflows();
                }
                Next::Nothing => self.wake.notified().await,
                Next::End => return None,
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.deafen();
    }
}

impl Held {
    /// Keeps bytes in memory; small ones share a piece.
    fn remember(&mut self, bytes: &[u8]) {
        self.in_memory += bytes.len();
        match self.memory.back_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE => last.extend_from_slice(bytes),
            _ => self.memory.push_back(bytes.into()),
        }
    }

    /// Takes in what was written to a file; meanwhile the rest of that may have been read.
    fn add(&mut self, written: Waiting) {
        if self.deaf {
            return;
        }
        let rest = match self.files.back_mut() {
            Some(last) => last.join(written),
            None => Some(written),
        };
        self.files.extend(rest);
    }

    fn next(&mut self) -> Next {
        if let Some(bytes) = self.memory.pop_front() {
            self.in_memory -= bytes.len();
            return Next::Bytes(bytes.freeze());
        }
        match self.files.front() {
            Some(first) => Next::In(first.next(PIECE)),
            None if self.ended => Next::End,
            None => Next::Nothing,
        }
    }

    /// So much of the first file was read.
    fn passed(&mut self, length: usize) {
        let Some(first) = self.files.front_mut() else {
            return;
        };
        if first.passed(length) {
            self.files.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::store::Store, *};
    use crate::names::Username;

    fn store(files: u64) -> Arc<Store> {
        Store::bounded(std::env::temp_dir(), 1, files)
    }

    fn inbox(store: &Arc<Store>, user: &str) -> Inbox {
        let user = Username::parse(user).unwrap();
        Inbox::new(store.account(&user, &Arc::default()))
    }

    fn piece(number: u8) -> Vec<u8> {
        vec![number; 1 << 20]
    }

    #[tokio::test]
    async fn nothing_is_lost_or_reordered_between_memory_and_files() {
        let store = store(1 << 30);
        let inbox = inbox(&store, "ann");
        let mut taken = Vec::new();
        for number in 0..8 {
            inbox.push(&piece(number)).await;
        }
        assert_eq!(store.all(), (2 << 20, 6 << 20), "most of it is in a file");
        // While the file is read, more comes.
        for number in 8..12 {
            taken.extend_from_slice(&inbox.take().await.unwrap());
            inbox.push(&piece(number)).await;
        }
        inbox.push(b"the last").await;
        inbox.end();
        while let Some(bytes) = inbox.take().await {
            taken.extend_from_slice(&bytes);
        }
        let sent: Vec<u8> = (0..12).flat_map(piece).chain(*b"the last").collect();
        assert!(taken == sent, "{} of {}", taken.len(), sent.len());
        assert_eq!(store.all(), (0, 0), "what was read is given back");
    }

    async fn fill(inbox: &Inbox, pieces: u8) {
        for number in 0..pieces {
            inbox.push(&piece(number)).await;
        }
    }

    #[tokio::test]
    async fn many_channels_of_a_user_hold_little_in_memory_and_the_rest_in_files() {
        let store = store(1 << 30);
        let channels: Vec<Inbox> = (0..20).map(|_| inbox(&store, "ann")).collect();
        for channel in &channels {
            fill(channel, 2).await;
        }
        let other = inbox(&store, "bob");
        fill(&other, 2).await;
        assert_eq!(store.all(), ((32 + 2) << 20, 8 << 20));
        channels[0].deafen();
        fill(&other, 1).await;
        assert_eq!(store.all(), ((30 + 2) << 20, 9 << 20));
        drop((channels, other));
        assert_eq!(store.all(), (0, 0));
    }

    #[tokio::test]
    async fn who_has_too_much_waiting_overflows_and_nobody_else_does() {
        // Of which one may have a quarter.
        let store = store(16 << 20);
        let [ann, also_ann, bob, eve] =
            ["ann", "ann", "bob", "eve"].map(|user| inbox(&store, user));
        fill(&ann, 2 + 3).await;
        fill(&also_ann, 2 + 2).await;
        also_ann.overflow().await;
        assert!(!ann.held().deaf);
        fill(&bob, 2 + 3).await;
        assert!(!bob.held().deaf);
        fill(&eve, 2 + 3).await;
        eve.overflow().await;
        for inbox in [ann, also_ann, bob, eve] {
            drop(inbox);
        }
        assert_eq!(store.all(), (0, 0));
        for user in ["ann", "bob", "eve"] {
            let again = inbox(&store, user);
            fill(&again, 2 + 3).await;
            assert!(!again.held().deaf, "{user}");
        }
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_comes() {
        let inbox = Arc::new(inbox(&store(0), "ann"));
        let reader = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { (inbox.take().await, inbox.take().await) }
        });
        tokio::task::yield_now().await;
        inbox.push(b"words").await;
        tokio::task::yield_now().await;
        inbox.end();
        assert_eq!(
            reader.await.unwrap(),
            (Some(Bytes::from_static(b"words")), None)
        );
    }
}
