//! Who we are to the engine: an id that marks our containers, and the key of their secrets.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::secret::{Secret, random_id};

/// One installation of Vestibule, told apart from others on the same engine.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Value of the label `vestibule.instance`.
    pub id: String,
    /// Key of the secrets that apps are given.
    pub key: Secret,
}

/// A file of the state directory can't be used.
#[derive(Debug, thiserror::Error)]
#[error("can't read or make {path}; is `state_dir` ours to write?")]
pub struct InstanceError {
    path: PathBuf,
    source: io::Error,
}

impl Instance {
    /// Reads the instance of a state directory, made on first use.
    ///
    /// # Errors
    /// [`InstanceError`] naming the file.
    pub fn load(state_dir: &Path) -> Result<Self, InstanceError> {
        let id = read_or_make(&state_dir.join("instance"), || random_id().into_bytes())?;
        let key = read_or_make(&state_dir.join("instance.key"), || {
            Secret::random(32).expose().to_vec()
        })?;
        Ok(Self {
            id: String::from_utf8_lossy(&id).trim().to_owned(),
            key: Secret::new(key),
        })
    }
}

fn read_or_make(path: &Path, make: impl Fn() -> Vec<u8>) -> Result<Vec<u8>, InstanceError> {
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = match opened {
        Ok(mut file) => io::Write::write_all(&mut file, &make()).and_then(|()| file.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    let read = written.and_then(|()| fs::read(path)).and_then(|bytes| {
        if bytes.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is empty",
            ));
        }
        Ok(bytes)
    });
    read.map_err(|source| InstanceError {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_made_once() {
        let dir = std::env::temp_dir().join(random_id());
        fs::create_dir(&dir).unwrap();
        let first = Instance::load(&dir).unwrap();
        let second = Instance::load(&dir).unwrap();
        assert_eq!((first.id, first.key), (second.id, second.key));
        fs::remove_dir_all(dir).unwrap();
    }
}
