//! What is remembered of a user's workspace when the proxy ends: until when it is kept, and why
//! it was last stopped. One small file for each user in `state_dir`.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::names::Username;

/// Why and when a workspace was last stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastStop {
    /// When (RFC 3339).
    pub at: String,
    /// `idle`, `max_age`, `user`, `operator`, `outside` or `out_of_memory`.
    pub reason: String,
    /// The same as a sentence.
    pub because: String,
}

/// What a user's file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Until when the workspace is kept (RFC 3339).
    pub kept_until: Option<String>,
    /// Its last stop.
    pub last_stop: Option<Box<LastStop>>,
}

impl Remembered {
    /// For how long from now on it is kept.
    pub fn kept_for(&self) -> Option<Duration> {
        let until = humantime::parse_rfc3339(self.kept_until.as_deref()?).ok()?;
        until.duration_since(SystemTime::now()).ok()
    }
}

/// The files.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub fn new(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join("workspaces"),
        }
    }

    /// What is remembered of a user's workspace; nothing if it can't be read.
    pub fn read(&self, user: &Username) -> Remembered {
        let text = match fs::read(self.file(user)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Remembered::default(),
            Err(error) => {
                tracing::warn!(%user, %error, "what is remembered of a workspace can't be read");
                return Remembered::default();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%user, %error, "what was remembered of a workspace is damaged");
            Remembered::default()
        })
    }

    /// Remembers, whole or not at all. Whatever is lost by a failure is only a sentence and a
    /// delay, so it stops nothing.
    pub fn write(&self, user: &Username, remembered: &Remembered) {
        let written = serde_json::to_vec(remembered)
            .map_err(io::Error::other)
            .and_then(|text| {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&self.folder)?;
                let file = self.file(user);
                let new = file.with_extension("new");
                fs::write(&new, text)?;
                fs::rename(new, file)
            });
        if let Err(error) = written {
            tracing::warn!(%user, %error, "a workspace's last stop can't be remembered");
        }
    }

    fn file(&self, user: &Username) -> PathBuf {
        self.folder.join(format!("{}.json", user.escaped()))
    }
}

/// A time as it is told and remembered.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_broken_is_nothing() {
        let dir = std::env::temp_dir().join(crate::secret::random_id());
        let (memory, user) = (Memory::new(&dir), Username::parse("ann.b").unwrap());
        assert_eq!(memory.read(&user), Remembered::default());
        let hour = SystemTime::now() + Duration::from_hours(1);
        let remembered = Remembered {
            kept_until: Some(rfc3339(hour)),
            last_stop: Some(Box::new(LastStop {
                at: rfc3339(SystemTime::now()),
                reason: "idle".into(),
                because: "nothing happened".into(),
            })),
        };
        memory.write(&user, &remembered);
        assert_eq!(memory.read(&user), remembered);
        assert!(remembered.kept_for().unwrap() > Duration::from_mins(59));
        fs::write(memory.file(&user), "{").unwrap();
        assert_eq!(memory.read(&user), Remembered::default());
        fs::remove_dir_all(dir).unwrap();
    }
}
