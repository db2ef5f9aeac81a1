//! Our own keys, by which clients know us again: made once, readable by their owner alone.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::Engine as _;
use russh::keys::{
    PrivateKey, decode_secret_key,
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

/// Reads the host keys of a state directory, made on first use: Ed25519, and RSA if asked for.
///
/// # Errors
/// [`HostKeyError`] naming the file.
pub fn load(state_dir: &Path, rsa: bool) -> Result<Vec<PrivateKey>, HostKeyError> {
    type Make = fn() -> io::Result<PrivateKey>;
    let all: [(&str, Make); 2] = [("ed25519", make_ed25519), ("rsa", make_rsa)];
    let wanted = &all[..if rsa { 2 } else { 1 }];
    let keys = wanted.iter().map(|(kind, make)| {
        let path = state_dir.join(format!("ssh_host_{kind}_key"));
        read_or_make(&path, *make).map_err(|source| HostKeyError { path, source })
    });
    keys.collect()
}

fn read_or_make(path: &Path, make: fn() -> io::Result<PrivateKey>) -> io::Result<PrivateKey> {
    match fs::read(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = make()?;
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

fn make_ed25519() -> io::Result<PrivateKey> {
    let seed = Secret::random(32);
    let seed = seed.expose().try_into().map_err(io::Error::other)?;
    Ok(PrivateKey::from(Ed25519Keypair::from_seed(seed)))
}

/// Of 3072 bits, as `ssh-keygen` makes them.
fn make_rsa() -> io::Result<PrivateKey> {
    let made = KeyPair::generate(KeySize::Rsa3072).map_err(io::Error::other)?;
    let der: Pkcs8V1Der = made.as_der().map_err(io::Error::other)?;
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    decode_secret_key(&pem, None).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_host_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = std::env::temp_dir().join(crate::secret::random_id());
        fs::create_dir(&dir).unwrap();
        let [one, both, again] = [false, true, true].map(|rsa| load(&dir, rsa).unwrap());
        assert_eq!((one.len(), both.len()), (1, 2));
        assert_eq!(one[0].public_key(), both[0].public_key());
        assert_eq!(both[1].public_key(), again[1].public_key());
        assert!(both[1].algorithm().is_rsa());
        for file in ["ssh_host_ed25519_key", "ssh_host_rsa_key"] {
            let mode = fs::metadata(dir.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
