//! How much disk a directory takes: `du`, bounded and safe against whoever owns the files.

use std::{
    collections::HashSet,
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat},
    io,
};
use tokio::time::Instant;

/// Most entries that are looked at, and longest that it may take: a home with several copies
/// of a large environment is below both.
const MOST_ENTRIES: usize = 2_000_000;
const LONGEST: Duration = Duration::from_mins(1);
/// Most directories that wait to be looked through: their names are held meanwhile.
const MOST_WAITING: usize = 50_000;
/// Deepest that directories are followed; each level holds a file descriptor open.
const DEEPEST: usize = 128;

/// How much disk a directory takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// In bytes, as allocated.
    pub bytes: u64,
    /// Whether that is all: a directory too large to look through has at least so much.
    pub whole: bool,
}

/// A walk under way.
struct Walk {
    disk: Disk,
    left: usize,
    /// How many directories wait, over all levels.
    waiting: usize,
    end: Instant,
    /// File system of the directory itself: what is mounted in it is somebody else's.
    device: u64,
    /// Files with several names that were counted.
    seen: HashSet<u64>,
}

/// Measures `path`. Blocks, for up to a minute. Links are never followed, and each step goes by
/// the open directory above it: renaming things meanwhile leads nowhere else.
///
/// # Errors
/// What the system says of the directory itself; what can't be read in it is left out.
pub fn measure(path: &Path) -> io::Result<Disk> {
    let top = open(CWD, path)?;
    let own = rustix::fs::fstat(&top)?;
    let mut walk = Walk {
        disk: Disk {
            bytes: size(&own),
            whole: true,
        },
        left: MOST_ENTRIES,
        waiting: 0,
        end: Instant::now() + LONGEST,
        device: own.st_dev,
        seen: HashSet::new(),
    };
    walk.directory(&top, 0);
    Ok(walk.disk)
}

fn open(at: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// A block is 512 bytes, whatever the file system's are (stat(2)).
fn size(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default() * 512
}

impl Walk {
    fn directory(&mut self, directory: &OwnedFd, depth: usize) {
        let Ok(entries) = Dir::read_from(directory) else {
            return;
        };
        let mut below: Vec<CString> = Vec::new();
        for entry in entries.map_while(Result::ok) {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if self.left == 0 || Instant::now() > self.end {
                self.disk.whole = false;
                return;
            }
            self.left -= 1;
            let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if stat.st_dev != self.device
                || (!is_directory && stat.st_nlink > 1 && !self.seen.insert(stat.st_ino))
            {
                continue;
            }
            self.disk.bytes += size(&stat);
            if is_directory && self.waiting < MOST_WAITING {
                self.waiting += 1;
                below.push(name.to_owned());
            } else if is_directory {
                self.disk.whole = false;
            }
        }
        if depth == DEEPEST && !below.is_empty() {
            self.disk.whole = false;
            return;
        }
        for name in below {
            self.waiting -= 1;
            if let Ok(below) = open(directory, name.as_c_str()) {
                self.directory(&below, depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::PathBuf};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("vestibule-disk-{}", crate::secret::random_id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn every_file_counts_once_and_no_link_is_followed() {
        let folder = Folder::new();
        let big = vec![7; 1 << 20];
        let outside = Folder::new();
        fs::write(outside.0.join("file"), &big).unwrap();
        let empty = measure(&folder.0).unwrap().bytes;
        fs::create_dir_all(folder.0.join("a/b")).unwrap();
        fs::write(folder.0.join("a/b/file"), &big).unwrap();
        fs::hard_link(folder.0.join("a/b/file"), folder.0.join("again")).unwrap();
        symlink(&outside.0, folder.0.join("directory")).unwrap();
        symlink(outside.0.join("file"), folder.0.join("link")).unwrap();
        symlink(&folder.0, folder.0.join("a/loop")).unwrap();
        let disk = measure(&folder.0).unwrap();
        assert!(disk.whole);
        let grown = disk.bytes - empty;
        assert!(
            ((1 << 20)..(1 << 20) + (64 << 10)).contains(&grown),
            "{grown}"
        );
        assert!(
            measure(&folder.0.join("directory")).is_err(),
            "a link is no directory"
        );
    }

    #[test]
    fn what_is_too_deep_is_told_to_be_more() {
        let folder = Folder::new();
        let mut path = folder.0.clone();
        for _ in 0..DEEPEST + 2 {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        assert!(!measure(&folder.0).unwrap().whole);
    }
}
