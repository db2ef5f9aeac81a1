//! Whether a key is a user's: a directory of `authorized_keys` files, read each time, so that a
//! key that was taken away is gone at once.

use std::{io, net::IpAddr, path::PathBuf, time::SystemTime};

use russh::keys::PublicKey;
use tokio::io::AsyncReadExt as _;

use super::authorized::{self, Permits};
use crate::names::Username;

/// Longest file of keys that is read: some thousand keys.
const LONGEST_FILE: u64 = 1 << 20;

/// Where keys come from.
#[derive(Debug)]
pub struct Keys {
    directory: Option<PathBuf>,
}

impl Keys {
    /// Keys of a directory with a file for each user, if there is one.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory }
    }

    /// What `key` may do as `user` from `client`, if it may log in at all. A source that can't
    /// be read lets nobody in.
    pub async fn find(&self, user: &Username, key: &PublicKey, client: IpAddr) -> Option<Permits> {
        let directory = self.directory.as_ref()?;
        // A username holds no slash and is neither `.` nor `..`.
        let path = directory.join(user.as_str());
        let text = match read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a file of keys can't be read");
                return None;
            }
        };
        authorized::find(&text, key, client, SystemTime::now())
    }
}

async fn read(path: &std::path::Path) -> io::Result<String> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text).await?;
    Ok(text)
}
