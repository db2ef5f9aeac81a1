//! What waits, counted: how much for a user in memory and in files, and in all; and channels.
//!
//! Promise: a user gets a share of what is left, of the bound as of the disk, so that few never
//! take it all from the others.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    pace::Pace,
    segment::{Segment, Waiting},
};
use crate::names::Username;

/// Most bytes in memory for one user.
const MEMORY_EACH: u64 = 32 << 20;
/// The same for all of them: beyond it more goes to the disk.
const MEMORY: u64 = 512 << 20;
/// Most bytes in files for all users.
const FILES: u64 = 4 << 30;
/// Which part of what is left one user may have: at first 1 GiB, a film that is sent to a process
/// that sleeps.
const SHARE: u64 = 4;
/// Most channels of one user, in times of a connection's.
const CONNECTIONS: usize = 4;

/// Counts what waits for all users.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    files: u64,
    channels: usize,
    used: Used,
    by_user: DashMap<Username, Arc<User>>,
}

#[derive(Debug, Default)]
struct Used {
    memory: AtomicU64,
    files: AtomicU64,
}

#[derive(Debug)]
struct User {
    used: Used,
    channels: Arc<Semaphore>,
}

impl Store {
    /// Files go into `dir`, for as long as they are open; a connection has so many channels.
    pub fn new(dir: PathBuf, channels: usize) -> Arc<Self> {
        Self::bounded(dir, channels, FILES)
    }

    /// The same with another bound for files.
    pub fn bounded(dir: PathBuf, channels: usize, files: u64) -> Arc<Self> {
        Arc::new(Self {
            dir,
            files,
            channels,
            used: Used::default(),
            by_user: DashMap::new(),
        })
    }

    /// How much lies in memory, and in files.
    #[cfg(test)]
    pub fn all(&self) -> (u64, u64) {
        let used = &self.used;
        (used.memory.load(Relaxed), used.files.load(Relaxed))
    }

    /// What a connection of this user counts on.
    pub fn account(self: &Arc<Self>, user: &Username, pace: &Arc<Pace>) -> Account {
        let new = || {
            Arc::new(User {
                used: Used::default(),
                channels: Arc::new(Semaphore::new(CONNECTIONS * self.channels)),
            })
        };
        Account {
            user: Arc::clone(&self.by_user.entry(user.clone()).or_insert_with(new)),
            store: Arc::clone(self),
            pace: Arc::clone(pace),
        }
    }
}

/// Where what waits for a connection is counted.
#[derive(Clone, Debug)]
pub struct Account {
    store: Arc<Store>,
    user: Arc<User>,
    /// How the connection is read.
    pub pace: Arc<Pace>,
}

impl Account {
    /// A place for one more channel of this user.
    pub fn channel(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.user.channels).try_acquire_owned().ok()
    }

    /// Counts bytes in memory, if they may be there.
    pub fn remember(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let own = add(&self.user.used.memory, bytes);
        let all = add(&self.store.used.memory, bytes);
        let fits = own <= MEMORY_EACH && all <= MEMORY;
        if !fits {
            self.give_back(|used| &used.memory, bytes);
        }
        fits
    }

    /// They are there no more.
    pub fn forget(&self, bytes: usize) {
        self.give_back(|used| &used.memory, bytes as u64);
    }

    /// Writes what waits, behind what is in `last` or into a new file, if it may be kept; to be
    /// called where one may wait for a disk.
    pub fn write(&self, last: Option<Arc<Segment>>, bytes: &[u8]) -> io::Result<Waiting> {
        let segment = match last {
            Some(last) => last,
            None => Segment::new(&self.store.dir, self)?,
        };
        segment.write(bytes)
    }

    /// Counts bytes in files, if they may be there.
    pub fn take(&self, bytes: u64) -> io::Result<()> {
        let disk = rustix::fs::statvfs(&self.store.dir)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let own = add(&self.user.used.files, bytes);
        let all = add(&self.store.used.files, bytes);
        if own > share(self.store.files, free, all, own) {
            self.untake(bytes);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(())
    }

    /// They are there no more.
    pub fn untake(&self, bytes: u64) {
        self.give_back(|used| &used.files, bytes);
    }

    fn give_back(&self, count: fn(&Used) -> &AtomicU64, bytes: u64) {
        for used in [&self.user.used, &self.store.used] {
            count(used).fetch_sub(bytes, Relaxed);
        }
    }
}

fn add(count: &AtomicU64, bytes: u64) -> u64 {
    count.fetch_add(bytes, Relaxed) + bytes
}

/// How much a user may have in files who has `own` of the `all` that are there: never more than
/// half of the disk's free space goes to all users, as it was without these files.
fn share(most: u64, free: u64, all: u64, own: u64) -> u64 {
    let most = most.min(free.saturating_add(all) / 2);
    most.saturating_sub(all.saturating_sub(own)) / SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_gets_a_share_of_what_is_left_of_the_bound_and_of_the_disk() {
        for (what, free, all, own, expected) in [
            ("the first", 1 << 40, 0, 0, 1024),
            ("what one has is no less for it", 1 << 40, 900, 900, 1024),
            ("the second", 1 << 40, 1024, 0, 768),
            ("much is taken", 1 << 40, 4000, 0, 24),
            ("a small disk", 800, 0, 0, 100),
            ("one that is filled by these files", 500, 300, 0, 25),
            ("one that is full of other things", 0, 100, 100, 12),
            ("a full one", 0, 4000, 4000, 500),
            ("nothing is left", 0, 4096, 0, 0),
        ] {
            assert_eq!(share(4096, free, all, own), expected, "{what}");
        }
    }
}
