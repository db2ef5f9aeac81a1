//! The file that revocations are kept in: JSON, readable by its owner alone, replaced as a whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::list::{Cut, List, Record, Revocation};
use crate::{names::Username, secret::random_id};

/// Name of the file in the state directory.
const NAME: &str = "revocations.json";

/// Revocations can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// Writing failed.
    #[error("can't write {path}: a restart would forget what was revoked")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Reading failed.
    #[error("can't read {path}, which says whose sessions were revoked; let us read it again")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It isn't what we wrote.
    #[error(
        "{path} is damaged, so it is not known whose sessions were revoked; bring back a copy, \
         or remove it together with cookie.key beside it, and all log in again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The file. Who writes it waits for whoever does already.
#[derive(Debug)]
pub struct RevokedFile {
    path: PathBuf,
    writing: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    number: u64,
    floor: Cut,
    revoked: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: String,
    id: String,
    number: u64,
    before: u64,
    until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

impl RevokedFile {
    pub fn at(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join(NAME),
            writing: Mutex::default(),
        }
    }

    /// What was written last; `None` if nothing ever was.
    pub fn read(&self) -> Result<Option<List>, RevocationsError> {
        let path = || self.path.clone();
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .and_then(list)
                .map(Some)
                .map_err(|source| RevocationsError::Damaged {
                    path: path(),
                    source,
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RevocationsError::Read {
                path: path(),
                source,
            }),
        }
    }

    /// Writes `list` as it is once nobody else writes.
    pub fn write(&self, list: impl FnOnce() -> List) -> Result<(), RevocationsError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(&written(list()))
            .map_err(|source| RevocationsError::Write {
                path: self.path.clone(),
                source,
            })
    }

    /// The new file gets the name once it is whole and on disk; then the name is, too.
    fn replace(&self, written: &Written) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let draft = folder.join(format!(".{NAME}.{}", random_id()));
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        let replaced = serde_json::to_vec(written)
            .map_err(io::Error::from)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&draft, &self.path))
            .and_then(|()| File::open(folder)?.sync_all());
        if replaced.is_err() {
            // Best effort: a draft is never read.
            let _ = fs::remove_file(&draft);
        }
        replaced
    }
}

fn written(list: List) -> Written {
    let lines = list.records.into_iter().map(|(what, record)| Line {
        kind: what.kind().to_owned(),
        id: what.id().to_owned(),
        number: record.cut.number,
        before: record.cut.before,
        until: record.until,
        of: record.of.map(|user| user.to_string()),
    });
    Written {
        number: list.number,
        floor: list.floor,
        revoked: lines.collect(),
    }
}

fn list(written: Written) -> Result<List, serde_json::Error> {
    let wrong = serde::de::Error::custom;
    let records = written.revoked.into_iter().map(|line| {
        let what = Revocation::parse(&line.kind, &line.id).map_err(wrong)?;
        let of = line.of.as_deref().map(Username::parse).transpose();
        let cut = Cut {
            number: line.number,
            before: line.before,
        };
        let record = Record {
            cut,
            until: line.until,
            of: of.map_err(serde::de::Error::custom)?,
        };
        Ok((what, record))
    });
    Ok(List {
        number: written.number,
        floor: written.floor,
        records: records.collect::<Result<_, _>>()?,
    })
}
