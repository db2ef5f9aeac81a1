//! Cookies and bearer tokens in headers, our `Set-Cookie`, and the key our cookies are signed
//! with.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header};

use super::keys::MIN_SECRET;
use crate::{
    secret::{Secret, random_id},
    text,
};

/// Our session cookie. `__Host-` has the browser keep it to this host and HTTPS (RFC 6265bis
/// 4.1.3.2), so that no sibling host can set one of this name.
pub(super) const SESSION_COOKIE: &str = "__Host-vestibule-session";
/// The cookie of a login that has begun.
pub(super) const STATE_COOKIE: &str = "__Host-vestibule-state";

/// Name of the cookie key's file in the state directory.
const KEY_FILE: &str = "cookie.key";
/// Longest cookie key read, in bytes; ours have 32.
const MAX_KEY: u64 = 1024;

/// Every value of the cookies of this name, in the order the client sent them. Read as bytes:
/// another cookie beside ours may hold any, and must not hide it.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .flat_map(|line| text::split(line.as_bytes(), b';'))
        .filter_map(move |pair| {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            std::str::from_utf8(value.strip_prefix(b"=")?).ok()
        })
}

/// Every token of an `Authorization: Bearer` (RFC 6750 2.1).
pub(super) fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::AUTHORIZATION)
        .into_iter()
        .filter_map(|line| line.to_str().ok()?.trim_ascii().split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_ascii())
}

/// A `Set-Cookie` value; a `left` of zero removes the cookie.
pub(super) fn set(name: &str, value: &str, left: Duration) -> HeaderValue {
    let left = left.as_secs();
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={left}");
    HeaderValue::try_from(text).expect("cookie names and values of ours are visible ASCII")
}

/// The key that signs our cookies can't be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("can't use {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Others could read the key, and so sign a cookie for anybody.
    #[error(
        "{path} is readable by others (mode {mode:o}); if one may have read it, remove it, and a new \
         one is made; otherwise `chmod 600` it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not a key of ours.
    #[error("{path} holds no key of 32 to 1024 bytes; remove it, and a new one is made")]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

/// Whether cookies may have been given out by an installation with this state directory.
pub(super) fn has_cookie_key(state_dir: &Path) -> bool {
    state_dir.join(KEY_FILE).exists()
}

/// The key our cookies are signed with: the one in `state_dir`, or a new one if there is none.
/// Its file is readable by its owner alone.
///
/// # Errors
/// [`StateError`] if it can't be read or made, or others can read it.
pub fn cookie_key(state_dir: &Path) -> Result<Secret, StateError> {
    let path = state_dir.join(KEY_FILE);
    match File::open(&path) {
        Ok(file) => read_key(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_key(state_dir, &path).map_err(|source| StateError::Io {
                path: path.clone(),
                source,
            })?;
            let file = File::open(&path).map_err(|source| StateError::Io {
                path: path.clone(),
                source,
            })?;
            read_key(file, &path)
        }
        Err(source) => Err(StateError::Io { path, source }),
    }
}

fn read_key(file: File, path: &Path) -> Result<Secret, StateError> {
    let io = |source| StateError::Io {
        path: path.to_owned(),
        source,
    };
    let about = file.metadata().map_err(io)?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(StateError::Exposed { path, mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_KEY + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() < MIN_SECRET || bytes.len() as u64 > MAX_KEY {
        let path = path.to_owned();
        return Err(StateError::Unusable { path });
    }
    Ok(Secret::new(bytes))
}

/// Makes a key under a name of its own, whole and on disk, before it gets the name others look
/// for. If somebody else was first, theirs stays.
fn make_key(state_dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    let draft = state_dir.join(format!(".{KEY_FILE}.{}", random_id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let linked = file
        .write_all(Secret::random(MIN_SECRET).expose())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&draft)?;
    linked
}
