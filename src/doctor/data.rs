//! The users' directories: whose they are, and whether there is room.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, StatVfs, access, statvfs};

use super::Finding;
use crate::{config::Config, workspace::UID};

/// How many directories are looked at.
const LOOKED_AT: usize = 20_000;
/// How many of them are named.
const NAMED: usize = 3;
/// Free space in bytes below which an editor can't save for long, or not at all.
const LITTLE: u64 = 2 << 30;
const NONE: u64 = 64 << 20;

pub fn examine(config: &Config) -> Vec<Finding> {
    let root = &config.workspace.data_root;
    let place = root.display();
    let found = match fs::metadata(root) {
        Ok(about) if about.is_dir() => owners(root),
        Ok(_) => Finding::fail(
            "data",
            format!("{place} is not a directory"),
            "set `workspace.data_root` to a directory",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::ok(
            "data",
            format!("{place} is not there yet; the first start makes it"),
        ),
        Err(error) => Finding::fail(
            "data",
            format!("{place} can't be looked at: {error}"),
            "let vestibule's user into the directories above it",
        ),
    };
    vec![rights(root).unwrap_or(found), space(root)]
}

/// What keeps us from making a user's directory, if anything does.
fn rights(root: &Path) -> Option<Finding> {
    let uid = rustix::process::geteuid().as_raw();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if uid != UID && !may_give_away(&status) {
        return Some(Finding::fail(
            "data",
            format!(
                "user id {uid} can't give a new directory to user id {UID}, whose the files are"
            ),
            "run vestibule as root, as user id 1000, or with CAP_CHOWN (systemd: \
             `AmbientCapabilities=CAP_CHOWN`)",
        ));
    }
    let above = nearest(root);
    access(&above, Access::WRITE_OK | Access::EXEC_OK)
        .is_err()
        .then(|| {
            Finding::fail(
                "data",
                format!("user id {uid} may not write to {}", above.display()),
                format!(
                    "`chown {uid} {}`, or run vestibule as its owner",
                    above.display()
                ),
            )
        })
}

/// Whether `CAP_CHOWN`, bit 0, is in effect (proc(5), capabilities(7)).
fn may_give_away(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|bits| bits & 1 == 1)
}

fn owners(root: &Path) -> Finding {
    let place = root.display();
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => {
            return Finding::fail(
                "data",
                format!("{place} can't be read: {error}"),
                "let vestibule's user read it",
            );
        }
    };
    let (mut count, mut wrong) = (0_usize, Vec::new());
    for entry in entries.flatten().take(LOOKED_AT) {
        let Ok(about) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        // mkfs makes this one at the top of a disk.
        if !about.is_dir() || entry.file_name() == "lost+found" {
            continue;
        }
        count += 1;
        if about.uid() != UID || about.mode() & 0o700 != 0o700 {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mode = about.mode() & 0o777;
            wrong.push(format!("{name} (owner {}, mode {mode:o})", about.uid()));
        }
    }
    if wrong.is_empty() {
        return Finding::ok(
            "data",
            format!("the {count} directories in {place} belong to user id {UID}"),
        );
    }
    let more = match wrong.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    wrong.truncate(NAMED);
    Finding::fail(
        "data",
        format!(
            "the workspace's user (id {UID}) can't write to its files in {place}: {}{more}",
            wrong.join(", ")
        ),
        format!("`chown -R 1000:1000 {place}/<name>` and `chmod u+rwx {place}/<name>` for each"),
    )
}

fn space(root: &Path) -> Finding {
    let above = nearest(root);
    let Ok(disk) = statvfs(&above) else {
        return Finding::warn(
            "disk",
            format!(
                "the disk of {} can't be asked for its free space",
                above.display()
            ),
            "see `df`",
        );
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let left = format!("{} MiB free for {}", free >> 20, root.display());
    let todo = "make room, or move `workspace.data_root` to a larger disk";
    if free < NONE || without_inodes(&disk) {
        let files = format!("{left}, and {} more files", disk.f_favail);
        Finding::fail("disk", files, todo)
    } else if free < LITTLE {
        Finding::warn("disk", left, todo)
    } else {
        Finding::ok("disk", left)
    }
}

/// Whether there is no room for another file; some file systems don't count them.
fn without_inodes(disk: &StatVfs) -> bool {
    disk.f_files > 0 && disk.f_favail == 0
}

/// The directory itself, or the nearest above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_give_files_away_is_read_from_the_kernel() {
        for (status, expected) in [
            ("Name:\tx\nCapEff:\t000001ffffffffff\n", true),
            ("CapEff:\t0000000000000001\n", true),
            ("CapEff:\t0000000000000400\n", false),
            ("CapEff:\t0000000000000000\n", false),
            ("", false),
        ] {
            assert_eq!(may_give_away(status), expected, "{status:?}");
        }
    }
}
