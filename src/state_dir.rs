//! The directory of what must outlive a restart: keys, revocations, what is remembered.
//!
//! Imports nothing of ours. Promise: nobody but its owner can put anything into it, or
//! the log says that they can.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// Who may write in a directory besides its owner.
const OTHERS_WRITE: u32 = 0o022;

/// Makes it for its owner alone, or takes from others the right to write in one that is there:
/// they could put a key of theirs in the place of ours.
///
/// # Errors
/// What the system says: it can't be made, or is no directory.
pub fn prepare(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS_WRITE != 0 {
        let now = mode & 0o777 & !OTHERS_WRITE;
        let taken = fs::set_permissions(path, Permissions::from_mode(now));
        let path = path.display();
        match taken {
            Ok(()) => tracing::warn!(%path, "others could write in the state directory"),
            // Another's, who lets us write.
            Err(error) => tracing::warn!(%path, %error, "others can write in the state directory"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_can_not_write_in_it_whoever_made_it() {
        let dir = std::env::temp_dir().join(crate::secret::random_id());
        let mode = || fs::metadata(&dir).unwrap().permissions().mode() & 0o777;
        prepare(&dir).unwrap();
        assert_eq!(mode(), 0o700);
        for (before, after) in [(0o777, 0o755), (0o770, 0o750), (0o750, 0o750)] {
            fs::set_permissions(&dir, Permissions::from_mode(before)).unwrap();
            prepare(&dir).unwrap();
            assert_eq!(mode(), after, "{before:o}");
        }
        fs::remove_dir(&dir).unwrap();
        fs::write(&dir, "").unwrap();
        assert!(prepare(&dir).is_err());
        fs::remove_file(dir).unwrap();
    }
}
