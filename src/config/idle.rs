//! `[idle]`: which clocks hold a workspace, and for how long; of the site, and of an app.
//!
//! Imports `values`. Promise: an app's policy is whole: what it doesn't say is the site's.

use std::time::Duration;

use super::{
    defaults,
    mistake::Read,
    node::{Node, Value},
    section::Section,
    values,
};

const SECOND: Duration = Duration::from_secs(1);
/// As long as the word `1year` means in a time.
const YEAR: Duration = Duration::from_hours(24 * 365 + 6);

/// When workspaces are stopped.
#[derive(Clone, Debug)]
pub struct Idle {
    /// The site's policy, for workspaces in which no app runs.
    pub policy: Policy,
    /// How long before its stop a workspace is said to be about to stop.
    pub notice: Duration,
    /// Longest that somebody may have one kept.
    pub longest_keep: Duration,
    /// Thousandths of a CPU from which on a container is busy.
    pub busy_cpu_millis: u32,
}

/// When a workspace is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long all clocks that hold must have stood still; `None`: never stopped for that.
    pub timeout: Option<Duration>,
    /// Which clocks hold.
    pub holds: Holds,
    /// How long after the last input an open connection holds; `None`: as long as it is open.
    pub max_connected: Option<Duration>,
    /// How long a workspace may run, whatever happens in it; `None`: as long as it likes.
    pub max_age: Option<Duration>,
}

/// Which clocks hold a workspace; at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Something is open.
    pub connected: bool,
    /// A person did something.
    pub input: bool,
    /// Something computes.
    pub busy: bool,
}

impl Policy {
    /// The more generous of two, key by key: of the apps that run in one workspace.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let longer = |a: Option<Duration>, b: Option<Duration>| Some(a?.max(b?));
        Self {
            timeout: longer(self.timeout, other.timeout),
            holds: Holds {
                connected: self.holds.connected || other.holds.connected,
                input: self.holds.input || other.holds.input,
                busy: self.holds.busy || other.holds.busy,
            },
            max_connected: longer(self.max_connected, other.max_connected),
            max_age: longer(self.max_age, other.max_age),
        }
    }
}

/// Reads `[idle]`.
pub fn idle(section: Section<'_>) -> Idle {
    let policy = policy(&section, "", &defaults::POLICY);
    let notice = section.get("notice", values::duration(SECOND, YEAR));
    let longest_keep = section.get("longest_keep", values::duration(SECOND, YEAR));
    let busy_cpu = section.get("busy_cpu", values::cpus(0.001));
    section.finish();
    Idle {
        policy,
        notice: notice.unwrap_or(defaults::NOTICE),
        longest_keep: longest_keep.unwrap_or(defaults::LONGEST_KEEP),
        busy_cpu_millis: busy_cpu.unwrap_or(defaults::BUSY_CPU_MILLIS),
    }
}

/// Reads the keys of a policy, each with `prefix` before it; what isn't there is `under`'s.
pub fn policy(section: &Section<'_>, prefix: &str, under: &Policy) -> Policy {
    let limit = |key: &str| section.get(&format!("{prefix}{key}"), limit);
    let holds = section.get(&format!("{prefix}holds"), holds);
    Policy {
        timeout: limit("timeout").unwrap_or(under.timeout),
        holds: holds.unwrap_or(under.holds),
        max_connected: limit("max_connected").unwrap_or(under.max_connected),
        max_age: limit("max_age").unwrap_or(under.max_age),
    }
}

/// A time, or `"never"` for none.
fn limit(node: &Node) -> Read<Option<Duration>> {
    match &node.value {
        Value::Text(text) if text == "never" => Ok(None),
        _ => values::duration(SECOND, YEAR)(node).map(Some),
    }
}

fn holds(node: &Node) -> Read<Holds> {
    const CLOCKS: &[(&str, Holds)] = &[
        (
            "connected",
            Holds {
                connected: true,
                input: false,
                busy: false,
            },
        ),
        (
            "input",
            Holds {
                connected: false,
                input: true,
                busy: false,
            },
        ),
        (
            "busy",
            Holds {
                connected: false,
                input: false,
                busy: true,
            },
        ),
    ];
    let all = values::list(values::one_of(CLOCKS))(node)?;
    if all.is_empty() {
        return Err("must name a clock: connected, input or busy".into());
    }
    Ok(all.into_iter().fold(Holds::default(), |all, one| Holds {
        connected: all.connected || one.connected,
        input: all.input || one.input,
        busy: all.busy || one.busy,
    }))
}
