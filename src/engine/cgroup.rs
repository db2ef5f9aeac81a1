//! How much CPU containers have used, read from the kernel: a file for each, whatever the driver
//! and the version of cgroups (cgroups(7); kernel documentation, cgroup-v1/cpuacct, cgroup-v2).

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Where containers' accounts are found, once they were looked for.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<HashMap<Arc<str>, Account>>);

/// A file that tells CPU time.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Account {
    /// `cpuacct.usage`: nanoseconds.
    V1(PathBuf),
    /// `cpu.stat`: `usage_usec` and more.
    V2(PathBuf),
}

impl Accounts {
    /// Those of `ids` whose accounts aren't known yet. All others are forgotten.
    pub fn unknown(&self, ids: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A few strangers cost less than to look for them each time.
        if known.len() > 2 * ids.len() {
            known.retain(|id, _| ids.contains(id));
        }
        let unknown = ids.iter().filter(|id| !known.contains_key(*id));
        unknown.cloned().collect()
    }

    /// Looks for a container's account by its first process.
    pub fn find(&self, id: &Arc<str>, pid: i64) {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if let Some(account) = account(id, &groups, &mounts) {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(Arc::clone(id), account);
        }
    }

    /// CPU time used since each was started, where that can be told. Reads files.
    pub fn read(&self, ids: &[Arc<str>]) -> Vec<Option<Duration>> {
        let accounts: Vec<Option<Account>> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ids.iter().map(|id| known.get(id).cloned()).collect()
        };
        accounts
            .iter()
            .map(|account| account.as_ref()?.read())
            .collect()
    }
}

impl Account {
    fn read(&self) -> Option<Duration> {
        match self {
            Self::V1(file) => {
                let text = fs::read_to_string(file).ok()?;
                Some(Duration::from_nanos(text.trim().parse().ok()?))
            }
            Self::V2(file) => {
                let text = fs::read_to_string(file).ok()?;
                let mut lines = text.lines();
                let used = lines.find_map(|line| line.strip_prefix("usage_usec "))?;
                Some(Duration::from_micros(used.trim().parse().ok()?))
            }
        }
    }
}

/// A container's account, by its process's groups (`/proc/<pid>/cgroup`) and the mounts
/// (`/proc/self/mountinfo`). A process whose group isn't named for the container is another's:
/// the engine may see process ids that are none of ours.
fn account(id: &str, groups: &str, mounts: &str) -> Option<Account> {
    let mut groups = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        path.contains(id).then_some((controllers, path))
    });
    let has = |list: &str, one: &str| list.split(',').any(|word| word == one);
    let all: Vec<(&str, &str)> = groups.by_ref().collect();
    let v1 = all
        .iter()
        .find(|(controllers, _)| has(controllers, "cpuacct"));
    if let Some((_, path)) = v1 {
        let at = place(mounts, path, |kind, options| {
            kind == "cgroup" && has(options, "cpuacct")
        })?;
        return Some(Account::V1(at.join("cpuacct.usage")));
    }
    let (_, path) = all.iter().find(|(controllers, _)| controllers.is_empty())?;
    let at = place(mounts, path, |kind, _| kind == "cgroup2")?;
    Some(Account::V2(at.join("cpu.stat")))
}

/// Where the group `path` is found below the mount that `wanted` picks by type and options.
fn place(mounts: &str, path: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
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
                format!("0::/outer/docker/{ID}"),
                below,
                Some(format!("/sys/fs/cgroup/docker/{ID}/cpu.stat")),
            ),
            ("0::/user.slice".to_owned(), v2, None),
            (String::new(), v2, None),
        ] {
            let found = account(ID, &groups, mounts).map(|account| match account {
                Account::V1(file) | Account::V2(file) => file.display().to_string(),
            });
            assert_eq!(found, file, "{groups}");
        }
    }

    #[test]
    fn both_kinds_of_file_are_read() {
        let dir = std::env::temp_dir().join(crate::secret::random_id());
        fs::create_dir(&dir).unwrap();
        let (v1, v2) = (dir.join("v1"), dir.join("v2"));
        fs::write(&v1, "1500000000\n").unwrap();
        fs::write(&v2, "usage_usec 1500000\nuser_usec 7\n").unwrap();
        for account in [Account::V1(v1), Account::V2(v2)] {
            assert_eq!(account.read(), Some(Duration::from_millis(1500)));
        }
        assert_eq!(Account::V1(dir.join("none")).read(), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
