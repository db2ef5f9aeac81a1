//! Files in which bytes wait: unlinked, written at their end, read from their beginning.
//!
//! Promise: what was counted is given back with its file, however that ends.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::store::Account;
use crate::secret::random_id;

/// Length of a file; one that was read to its end is dropped, and its blocks with it.
const LENGTH: u64 = 64 << 20;

/// A file of what waits. One at a time writes to it.
#[derive(Debug)]
pub struct Segment {
    file: Arc<File>,
    written: AtomicU64,
    account: Account,
}

impl Segment {
    /// A new one, which nobody else ever sees, and which can't be left behind.
    pub fn new(dir: &Path, account: &Account) -> io::Result<Arc<Self>> {
        let path = dir.join(format!("ssh-{}", random_id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        fs::remove_file(&path)?;
        Ok(Arc::new(Self {
            file: Arc::new(file),
            written: AtomicU64::new(0),
            account: account.clone(),
        }))
    }

    /// Adds what came, if it may be kept.
    pub fn write(self: Arc<Self>, bytes: &[u8]) -> io::Result<Waiting> {
        let length = bytes.len() as u64;
        self.account.take(length)?;
        // Counted before it is written, as it is given back by this count.
        let at = self.written.fetch_add(length, Relaxed);
        self.file.write_all_at(bytes, at)?;
        self.account.pace.spilled(length);
        Ok(Waiting {
            segment: self,
            at,
            length,
        })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.account.untake(*self.written.get_mut());
        // To free its blocks takes the disk's time, which whoever drops it may not have.
        if let Ok(runtime) = Handle::try_current() {
            let file = Arc::clone(&self.file);
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// What waits in one file.
#[derive(Debug)]
pub struct Waiting {
    segment: Arc<Segment>,
    at: u64,
    length: u64,
}

/// A part of a file, to be read without holding it.
#[derive(Debug)]
pub struct Part {
    segment: Arc<Segment>,
    at: u64,
    /// How long it is.
    pub length: usize,
}

impl Part {
    /// Reads it; to be called where one may wait for a disk.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.length];
        self.segment.file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes.into())
    }
}

impl Waiting {
    /// The file, if more should be written to it.
    pub fn segment(&self) -> Option<Arc<Segment>> {
        let full = self.segment.written.load(Relaxed) >= LENGTH;
        (!full).then(|| Arc::clone(&self.segment))
    }

    /// Takes in what was written behind it; gives it back if it is in another file.
    pub fn join(&mut self, mut next: Self) -> Option<Self> {
        if !Arc::ptr_eq(&self.segment, &next.segment) {
            return Some(next);
        }
        self.length += std::mem::take(&mut next.length);
        None
    }

    /// What is read next, at most so much.
    pub fn next(&self, most: usize) -> Part {
        Part {
            segment: Arc::clone(&self.segment),
            at: self.at,
            length: usize::try_from(self.length).map_or(most, |left| left.min(most)),
        }
    }

    /// So much was read; says whether that was all.
    pub fn passed(&mut self, length: usize) -> bool {
        let length = length as u64;
        self.at += length;
        self.length -= length;
        self.segment.account.pace.unspilled(length);
        self.length == 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.segment.account.pace.unspilled(self.length);
    }
}
