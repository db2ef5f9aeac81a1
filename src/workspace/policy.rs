//! When a workspace is to be stopped, judged from what its clocks show. Pure.

use super::clocks::{Hand, millis};
use crate::config::Policy;

/// What the clocks of a workspace show, in milliseconds since their zero.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub now: u64,
    /// When it was started.
    pub started: u64,
    pub connected: Hand,
    pub input: Hand,
    pub busy: Hand,
    /// Until when somebody has it kept, or 0.
    pub kept_until: u64,
}

/// What decides when a workspace is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Connected,
    Input,
    Busy,
    /// Somebody has it kept.
    Kept,
    /// It has run for as long as it may.
    Age,
}

impl By {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Input => "input",
            Self::Busy => "busy",
            Self::Kept => "kept",
            Self::Age => "max_age",
        }
    }
}

/// When a workspace is stopped if nothing more happens, and what decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `None`: never, as things stand.
    pub at: Option<u64>,
    pub by: By,
    /// Since when nothing has held it.
    pub quiet_since: u64,
}

impl Verdict {
    /// Later than that by our count, which is cut to milliseconds: never a moment early.
    pub fn is_due(&self, now: u64) -> bool {
        self.at.is_some_and(|at| at < now)
    }
}

/// Judges.
pub fn judge(policy: &Policy, reading: &Reading) -> Verdict {
    let holds = policy.holds;
    // An open connection holds for so long after the last input.
    let connected = match policy.max_connected {
        Some(most) if reading.input.open == 0 => {
            let end = reading.input.at.saturating_add(millis(most));
            match reading.connected {
                Hand { open: 1.., .. } if end > reading.now => reading.connected,
                Hand { open: 1.., .. } => Hand { open: 0, at: end },
                Hand { at, .. } => Hand {
                    open: 0,
                    at: at.min(end),
                },
            }
        }
        _ => reading.connected,
    };
    let hands = [
        (holds.connected, By::Connected, connected),
        (holds.busy, By::Busy, reading.busy),
        (holds.input, By::Input, reading.input),
    ];
    let hands = hands.into_iter().filter(|(holds, ..)| *holds);
    let last = hands.max_by_key(|(_, _, hand)| (hand.open > 0, hand.at));
    let (by, hand) = last.map_or((By::Age, Hand::default()), |(_, by, hand)| (by, hand));
    let quiet_since = if hand.open > 0 {
        reading.now
    } else {
        hand.at.max(reading.started)
    };
    let quiet_end = policy.timeout.filter(|_| hand.open == 0);
    let mut verdict = Verdict {
        at: quiet_end.map(|timeout| quiet_since.saturating_add(millis(timeout))),
        by,
        quiet_since,
    };
    if verdict.at.is_some_and(|at| at < reading.kept_until) {
        verdict.at = Some(reading.kept_until);
        verdict.by = By::Kept;
    }
    if let Some(age) = policy.max_age {
        let end = reading.started.saturating_add(millis(age));
        if verdict.at.is_none_or(|at| at > end) {
            verdict.at = Some(end);
            verdict.by = By::Age;
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Holds;

    const MINUTE: u64 = 60_000;

    fn policy(holds: &str) -> Policy {
        Policy {
            timeout: Some(Duration::from_mins(30)),
            holds: Holds {
                connected: holds.contains("connected"),
                input: holds.contains("input"),
                busy: holds.contains("busy"),
            },
            max_connected: None,
            max_age: None,
        }
    }

    /// Input 10 minutes after the start, computing until 20 after it, a tab open, 25 gone by.
    fn reading() -> Reading {
        let hand = |minutes: u64, open| Hand {
            at: minutes * MINUTE,
            open,
        };
        Reading {
            now: 25 * MINUTE,
            started: 0,
            connected: hand(5, 1),
            input: hand(10, 0),
            busy: hand(20, 0),
            kept_until: 0,
        }
    }

    #[test]
    fn the_last_of_the_clocks_that_hold_decides() {
        for (holds, at, by) in [
            ("input", Some(40), By::Input),
            ("input, busy", Some(50), By::Busy),
            ("input, connected", None, By::Connected),
        ] {
            let verdict = judge(&policy(holds), &reading());
            assert_eq!(
                (verdict.at, verdict.by),
                (at.map(|at| at * MINUTE), by),
                "{holds}"
            );
        }
    }

    #[test]
    fn a_connection_alone_holds_no_longer_than_it_may() {
        let mut policy = policy("connected");
        for (most, at) in [(20, None), (12, Some(22 + 30))] {
            policy.max_connected = Some(Duration::from_mins(most));
            let verdict = judge(&policy, &reading());
            assert_eq!(verdict.at, at.map(|at| at * MINUTE), "{most}");
        }
        let closed = Reading {
            connected: Hand {
                at: 24 * MINUTE,
                open: 0,
            },
            ..reading()
        };
        assert_eq!(judge(&policy, &closed).at, Some((22 + 30) * MINUTE));
    }

    #[test]
    fn a_keep_delays_a_stop_and_an_age_ends_everything() {
        let kept = Reading {
            kept_until: 90 * MINUTE,
            ..reading()
        };
        let mut policy = policy("input");
        assert_eq!(judge(&policy, &kept).at, Some(90 * MINUTE));
        assert_eq!(judge(&policy, &kept).by, By::Kept);
        policy.max_age = Some(Duration::from_hours(1));
        for reading in [
            kept,
            Reading {
                input: Hand { at: 0, open: 1 },
                ..reading()
            },
        ] {
            let verdict = judge(&policy, &reading);
            assert_eq!((verdict.at, verdict.by), (Some(60 * MINUTE), By::Age));
        }
        policy.max_age = None;
        policy.timeout = None;
        assert_eq!(judge(&policy, &reading()).at, None);
    }

    #[test]
    fn nothing_is_due_before_its_time_has_passed_since_the_start() {
        let started = Reading {
            started: 24 * MINUTE,
            ..reading()
        };
        assert_eq!(judge(&policy("input"), &started).at, Some(54 * MINUTE));
    }
}
