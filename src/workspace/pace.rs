//! How often workspaces are looked at: as often as the shortest policy asks for.

use std::time::Duration;

use super::{clocks::millis, rounds};
use crate::config::{Config, Policy};

/// Longest pause between two looks: a stop is at most this late. Shortest one, for those who try
/// it out with a time-out of seconds.
const LOOKS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// The same for windows of CPU: long enough that an IDE's own rounds don't show, and that ten
/// thousand workspaces cost next to nothing.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// How often workspaces are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks for what is due.
    pub look: Duration,
    /// Between two measurements of CPU.
    pub window: Duration,
    /// How long a new socket's traffic says nothing, in milliseconds.
    pub(super) settle: u64,
}

impl Pace {
    /// The pace that a configuration asks for.
    pub fn of(config: &Config) -> Self {
        let apps = config.apps.values().map(|app| &app.policy);
        let policies = apps.chain([&config.idle.policy]);
        let limits = policies.flat_map(|policy: &Policy| [policy.timeout, policy.max_age]);
        let shortest = limits.flatten().min().unwrap_or(Duration::MAX);
        let within = |time: Duration, (least, most)| time.clamp(least, most);
        Self {
            look: within(shortest / 10, LOOKS),
            window: within(shortest / 6, WINDOWS),
            settle: rounds::SETTLE.min(millis(shortest / 4)),
        }
    }
}
