//! Files in which bytes wait, unlinked and counted: how much for a user, and in all.
//!
//! Promise: what was counted is given back with its file, however that ends.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use dashmap::DashMap;

use super::pace::Pace;
use crate::{names::Username, secret::random_id};

/// Length of a file; one that was read to its end is dropped, and its blocks with it.
const SEGMENT: u64 = 64 << 20;
/// Most bytes in files for one user: a process that sleeps while a film is sent to it.
const MOST_EACH: u64 = 1 << 30;
/// The same for all users.
const MOST: u64 = 4 << 30;

/// Counts what lies in files.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    most_each: u64,
    most: u64,
    all: AtomicU64,
    by_user: DashMap<Username, Arc<AtomicU64>>,
}

impl Store {
    /// Files go into `dir`, for as long as they are open.
    pub fn new(dir: PathBuf) -> Arc<Self> {
        Self::bounded(dir, MOST_EACH, MOST)
    }

    /// The same with other bounds.
    pub fn bounded(dir: PathBuf, most_each: u64, most: u64) -> Arc<Self> {
        Arc::new(Self {
            dir,
            most_each,
            most,
            all: AtomicU64::new(0),
            by_user: DashMap::new(),
        })
    }

    /// How much lies in files.
    #[cfg(test)]
    pub fn all(&self) -> u64 {
        self.all.load(Relaxed)
    }

    /// What a connection of this user counts on.
    pub fn account(self: &Arc<Self>, user: &Username, pace: &Arc<Pace>) -> Account {
        Account {
            store: Arc::clone(self),
            user: Arc::clone(&self.by_user.entry(user.clone()).or_default()),
            pace: Arc::clone(pace),
        }
    }
}

/// Where a connection's bytes in files are counted.
#[derive(Clone, Debug)]
pub struct Account {
    store: Arc<Store>,
    user: Arc<AtomicU64>,
    pace: Arc<Pace>,
}

impl Account {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let counts = [
            (&self.store.all, self.store.most),
            (&self.user, self.store.most_each),
        ];
        for (taken, (count, most)) in counts.iter().enumerate() {
            if count.fetch_add(bytes, Relaxed) + bytes > *most {
                for (count, _) in &counts[..=taken] {
                    count.fetch_sub(bytes, Relaxed);
                }
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        Ok(())
    }

    /// Something that waits in a file, or before one, was taken.
    pub fn took(&self) {
        self.pace.took();
    }

    /// A new file.
    pub fn file(&self) -> io::Result<Waiting> {
        let path = self.store.dir.join(format!("ssh-{}", random_id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        // Nobody else ever sees it, and it can't be left behind.
        fs::remove_file(&path)?;
        Ok(Waiting {
            file: Arc::new(file),
            written: 0,
            read: 0,
            account: self.clone(),
        })
    }
}

/// A file of what waits: written at its end, read from its beginning.
#[derive(Debug)]
pub struct Waiting {
    file: Arc<File>,
    written: u64,
    read: u64,
    account: Account,
}

/// A part of a file, to be read without holding it.
#[derive(Debug)]
pub struct Part {
    file: Arc<File>,
    at: u64,
    /// How long it is.
    pub length: usize,
}

impl Part {
    /// Reads it; to be called where one may wait for a disk.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.length];
        self.file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes.into())
    }
}

impl Waiting {
    /// Whether the next one should be begun.
    pub fn is_full(&self) -> bool {
        self.written >= SEGMENT
    }

    /// Adds what came, if it may be kept.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        self.account.take(length)?;
        // Counted before it is written, as it is given back by this count.
        let at = self.written;
        self.written += length;
        self.account.pace.spilled(length);
        self.file.write_all_at(bytes, at)
    }

    /// What is read next, at most so much.
    pub fn next(&self, most: usize) -> Part {
        let left = usize::try_from(self.written - self.read).unwrap_or(most);
        Part {
            file: Arc::clone(&self.file),
            at: self.read,
            length: left.min(most),
        }
    }

    /// So much was read; says whether that was all.
    pub fn passed(&mut self, length: usize) -> bool {
        let length = length as u64;
        self.read += length;
        self.account.pace.unspilled(length);
        self.read == self.written
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.account.store.all.fetch_sub(self.written, Relaxed);
        self.account.user.fetch_sub(self.written, Relaxed);
        self.account.pace.unspilled(self.written - self.read);
    }
}
