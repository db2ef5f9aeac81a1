//! Our own key, by which clients know us again: made once, readable by its owner alone.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use russh::keys::{
    PrivateKey,
    ssh_key::{LineEnding, private::Ed25519Keypair},
};

use crate::secret::Secret;

/// The host key can't be read or made.
#[derive(Debug, thiserror::Error)]
#[error("can't read or make the SSH host key {path}; is `state_dir` ours to write?")]
pub struct HostKeyError {
    path: PathBuf,
    source: io::Error,
}

/// Reads the host key of a state directory, made on first use.
///
/// # Errors
/// [`HostKeyError`] naming the file.
pub fn load(state_dir: &Path) -> Result<PrivateKey, HostKeyError> {
    let path = state_dir.join("ssh_host_ed25519_key");
    read_or_make(&path).map_err(|source| HostKeyError { path, source })
}

fn read_or_make(path: &Path) -> io::Result<PrivateKey> {
    match fs::read(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let seed = Secret::random(32);
            let seed = seed.expose().try_into().map_err(io::Error::other)?;
            let key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
            let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            io::Write::write_all(&mut file, text.as_bytes())?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_host_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = std::env::temp_dir().join(crate::secret::random_id());
        fs::create_dir(&dir).unwrap();
        let [first, second] = [(), ()].map(|()| load(&dir).unwrap());
        assert_eq!(first.public_key(), second.public_key());
        let mode = fs::metadata(dir.join("ssh_host_ed25519_key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(dir).unwrap();
    }
}
