//! The `[workspace]` table: what every user's container is made of.
//!
//! Imports nothing of ours beyond `config`. Promise: no mount can hide or hold a user's home,
//! and the network is one that can keep containers apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
    time::Duration,
};

use super::{
    Isolation, Mount, Workspace, defaults,
    mistake::{Read, Wrong},
    node::{Node, Value},
    section::{Reading, Section},
    values,
};

const SECOND: Duration = Duration::from_secs(1);
/// Longest that a request may wait for its app: proxies in front give up after 30 s or more.
const LONGEST_PATIENCE: Duration = Duration::from_secs(20);
/// Where the user's data is mounted in the container.
const HOME: &str = "/home/user";
/// Networks that Docker makes itself; containers on them reach each other or the host.
const DOCKERS_OWN: [&str; 4] = ["bridge", "default", "host", "none"];

/// All capabilities there are (capabilities(7), Linux 6.1); the engine refuses any other.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Reads `[workspace]`.
pub fn workspace(section: Section<'_>, base: &Path) -> Workspace {
    let isolations = &[("refuse", Isolation::Refuse), ("warn", Isolation::Warn)];
    let image = section.get("image", image);
    let data_root = section.get("data_root", values::path(base));
    let network = section.get("network", network);
    let isolation = section.get("isolation", values::one_of(isolations));
    let memory = section.get("memory", values::size);
    let cpus = section.get("cpus", values::cpus(0.1));
    let pids = section.get("pids", values::number(16, 1 << 22));
    let capabilities = section.get("capabilities", values::list(capability));
    let items = section.get("mounts", |node| match &node.value {
        Value::Array(items) => Ok(items.clone()),
        other => Err(format!("must be a list of tables, not {other}").into()),
    });
    let mounts = items.map(|items| mounts(section.reading, items, base));
    let env = section.get("env", env);
    let max_starting = section.get("max_starting", values::number(1, 1000));
    let patience = section.get(
        "patience",
        values::duration(Duration::ZERO, LONGEST_PATIENCE),
    );
    let ready_timeout = section.get("ready_timeout", values::duration(SECOND, SECOND * 3600));
    let stop_grace = section.get("stop_grace", values::duration(SECOND, SECOND * 600));
    section.finish();
    Workspace {
        image: image.unwrap_or_else(|| defaults::IMAGE.to_owned()),
        data_root: data_root.unwrap_or_else(|| defaults::DATA_ROOT.into()),
        network: network.unwrap_or_else(|| defaults::NETWORK.to_owned()),
        isolation: isolation.unwrap_or(defaults::ISOLATION),
        memory: memory.unwrap_or(defaults::MEMORY),
        cpu_millis: cpus.unwrap_or(defaults::CPU_MILLIS),
        pids: pids.unwrap_or(defaults::PIDS),
        capabilities: capabilities.unwrap_or_else(defaults::capabilities),
        mounts: mounts.unwrap_or_default(),
        env: env.unwrap_or_default(),
        max_starting: max_starting.unwrap_or(defaults::MAX_STARTING),
        patience: patience.unwrap_or(defaults::PATIENCE),
        ready_timeout: ready_timeout.unwrap_or(defaults::READY_TIMEOUT),
        stop_grace: stop_grace.unwrap_or(defaults::STOP_GRACE),
    }
}

/// An image reference; the engine knows its grammar, but none has a space.
fn image(node: &Node) -> Read<String> {
    let text = values::text(node)?;
    if text.contains(char::is_whitespace) {
        let what = r#"must be an image such as "vestibule-workspace:latest""#;
        return Err(format!("{what}, not {text:?}").into());
    }
    Ok(text)
}

/// The name of a network that is ours alone (the engine's own rule for names).
fn network(node: &Node) -> Read<String> {
    let text = values::text(node)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let good = (2..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed);
    if !good {
        let what = "must be a name of 2 to 64 letters, digits, `_`, `.` and `-`";
        return Err(format!("{what}, not {text:?}").into());
    }
    if DOCKERS_OWN.contains(&text.as_str()) {
        return Err(format!("can't be {text:?}: that is Docker's own network").into());
    }
    Ok(text)
}

/// A capability (capabilities(7)), with or without its `CAP_`.
fn capability(node: &Node) -> Read<String> {
    let text = values::text(node)?;
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if CAPABILITIES.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!(r#"must name single capabilities such as "NET_RAW", not {text:?}"#).into())
}

fn env(node: &Node) -> Read<BTreeMap<String, String>> {
    values::table(node, |name, value| {
        values::variable_name(name)?;
        Ok((name.to_owned(), values::any_text(value)?))
    })
}

fn mounts(reading: &Reading, items: Vec<Node>, base: &Path) -> Vec<Mount> {
    let mut mounts = Vec::new();
    let mut targets = BTreeSet::new();
    for item in items {
        let place = item.place.clone();
        let expected = "`source` and `target`";
        let Some(section) = Section::of_item(reading, "workspace.mounts", item, expected) else {
            continue;
        };
        let source = section.need("source", r#""/srv/shared""#, values::path(base));
        let target = section.need("target", r#""/shared""#, target);
        let optional = section.get("optional", values::yes_or_no);
        section.finish();
        if let Some(target) = target.as_ref().filter(|target| targets.contains(*target)) {
            let what = format!("two of `workspace.mounts` have the target {target:?}");
            reading.mistake(&place, what);
        }
        targets.extend(target.clone());
        if let (Some(source), Some(target)) = (source, target) {
            mounts.push(Mount {
                source,
                target,
                optional: optional.unwrap_or_default(),
            });
        }
    }
    mounts
}

fn target(node: &Node) -> Read<String> {
    let text = values::text(node)?;
    let path = values::plain(Path::new(&text));
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if !path.is_absolute() || climbs {
        return Err(format!(r#"must be an absolute path such as "/shared", not {text:?}"#).into());
    }
    if path.starts_with(HOME) || Path::new(HOME).starts_with(&path) {
        let what = format!("can't be {text:?}: it would hide {HOME}, where the user's files are");
        return Err(Wrong::from(what));
    }
    Ok(path.display().to_string())
}
