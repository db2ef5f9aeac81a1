//! How much CPU containers have used, read from the kernel: a file for each, whatever the driver
//! and the version of cgroups (cgroups(7); kernel documentation, cgroup-v1/cpuacct, cgroup-v2).

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    str,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Where this engine's containers have their accounts: all in one place, unless the engine was
/// set up otherwise while some of them ran.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Vec<Place>>);

/// The path of an account, but for the container's id in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    before: String,
    after: String,
}

impl Accounts {
    /// Learns a place from a container's first process. False if that is nothing new, or the
    /// process is none that we can see.
    pub fn learn(&self, id: &str, pid: i64) -> bool {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let place = account(id, &groups, &mounts).and_then(|account| Place::of(&account, id));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = place.filter(|place| !known.contains(place));
        let learned = new.is_some();
        known.extend(new);
        learned
    }

    /// CPU time used since each was started, where that can be told. Reads files.
    pub fn read<T: AsRef<str>>(&self, ids: &[T]) -> Vec<Option<Duration>> {
        let places = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        ids.iter()
            // A group that was left behind in an old place stands still.
            .map(|id| {
                let told = places.iter().filter_map(|place| place.read(id.as_ref()));
                told.max()
            })
            .collect()
    }
}

impl Place {
    fn of(account: &Path, id: &str) -> Option<Self> {
        let (before, after) = account.to_str()?.split_once(id)?;
        Some(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    fn read(&self, id: &str) -> Option<Duration> {
        let mut file = File::open([&self.before, id, &self.after].concat()).ok()?;
        // Enough for what is looked for, in a single call.
        let mut text = [0; 256];
        let length = file.read(&mut text).ok()?;
        used(str::from_utf8(&text[..length]).ok()?)
    }
}

/// CPU time, by the text of `cpuacct.usage`, which is a count of nanoseconds, or of `cpu.stat`.
fn used(text: &str) -> Option<Duration> {
    let micros = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    match micros {
        Some(micros) => Some(Duration::from_micros(micros.trim().parse().ok()?)),
        None => Some(Duration::from_nanos(text.trim().parse().ok()?)),
    }
}

/// A container's account, by its process's groups (`/proc/<pid>/cgroup`) and the mounts
/// (`/proc/self/mountinfo`). A process whose group isn't named for the container is another's:
/// the engine may see process ids that are none of ours.
fn account(id: &str, groups: &str, mounts: &str) -> Option<PathBuf> {
    let groups = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        // The container's own group, however far below it the process is.
        let after = path.find(id)? + id.len();
        let end = path[after..]
            .find('/')
            .map_or(path.len(), |end| after + end);
        Some((controllers, &path[..end]))
    });
    let all: Vec<(&str, &str)> = groups.collect();
    let has = |list: &str, one: &str| list.split(',').any(|word| word == one);
    let v1 = all
        .iter()
        .find(|(controllers, _)| has(controllers, "cpuacct"));
    if let Some((_, path)) = v1 {
        let at = below_mount(mounts, path, |kind, options| {
            kind == "cgroup" && has(options, "cpuacct")
        })?;
        return Some(at.join("cpuacct.usage"));
    }
    let (_, path) = all.iter().find(|(controllers, _)| controllers.is_empty())?;
    let at = below_mount(mounts, path, |kind, _| kind == "cgroup2")?;
    Some(at.join("cpu.stat"))
}

/// Where the group `path` is found below the mount that `wanted` picks by type and options.
fn below_mount(mounts: &str, path: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        let kind = file_system.next()?;
        let options = file_system.nth(1)?;
        let below = Path::new(path).strip_prefix(root).ok()?;
        wanted(kind, options).then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "785f19a7216125d7bffbddc90c7d7b967d1c7693c4b920dd9f01b73b35c4974b";

    #[test]
    fn an_account_is_found_whatever_the_driver_and_the_version() {
        let v1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let v2 = "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let below = "41 31 0:38 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        for (groups, mounts, file) in [
            (
                format!("2:cpu,cpuacct:/docker/{ID}\n0::/docker/{ID}"),
                v1,
                Some(format!(
                    "/sys/fs/cgroup/cpu,cpuacct/docker/{ID}/cpuacct.usage"
                )),
            ),
            (
                format!("0::/system.slice/docker-{ID}.scope"),
                v2,
                Some(format!(
                    "/sys/fs/cgroup/system.slice/docker-{ID}.scope/cpu.stat"
                )),
            ),
            (
                // A container that has made groups of its own.
                format!("0::/docker/{ID}/init"),
                v2,
                Some(format!("/sys/fs/cgroup/docker/{ID}/cpu.stat")),
            ),
            (
                format!("0::/outer/docker/{ID}"),
                below,
                Some(format!("/sys/fs/cgroup/docker/{ID}/cpu.stat")),
            ),
            ("0::/user.slice".to_owned(), v2, None),
            (String::new(), v2, None),
        ] {
            let found = account(ID, &groups, mounts);
            assert_eq!(found, file.map(PathBuf::from), "{groups}");
        }
    }

    #[test]
    fn once_the_place_is_known_every_account_is_found_in_it() {
        let dir = std::env::temp_dir().join(crate::secret::random_id());
        for (id, file, text) in [
            ("one", "cpuacct.usage", "1500000000\n"),
            ("other", "cpuacct.usage", "2500000000\n"),
            ("newer", "cpu.stat", "usage_usec 3500000\nuser_usec 7\n"),
        ] {
            fs::create_dir_all(dir.join(id)).unwrap();
            fs::write(dir.join(id).join(file), text).unwrap();
        }
        let accounts = Accounts::default();
        let ids = ["one", "other", "newer", "none"];
        let [one, other, newer] = [1500, 2500, 3500].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(accounts.read(&ids), [None; 4]);
        for (file, told) in [
            ("one/cpuacct.usage", [one, other, None, None]),
            ("newer/cpu.stat", [one, other, newer, None]),
        ] {
            let id = file.split('/').next().unwrap();
            let place = Place::of(&dir.join(file), id).unwrap();
            accounts.0.lock().unwrap().push(place);
            assert_eq!(accounts.read(&ids), told);
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
