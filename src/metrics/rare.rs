//! What happens seldom: starts, stops, denials, failures of the engine. Found by label.

use std::sync::{Mutex, PoisonError};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counts<const N: usize> = Family<Labels<N>, Counter>;
type Times = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// Upper bounds of a start's steps, in seconds: from a look at the image to the longest
/// `workspace.ready_timeout` that makes sense.
const STEP_BOUNDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Counters of what happens seldom. Every label's value is a word of ours; a clone counts
/// together with it.
#[derive(Clone, Debug)]
pub struct Rare {
    starts: Counts<1>,
    steps: Times,
    stops: Counts<1>,
    denied: Counts<1>,
    logins: Counts<1>,
    engine_errors: Counts<1>,
}

impl Default for Rare {
    fn default() -> Self {
        let times: fn() -> Histogram = || Histogram::new(STEP_BOUNDS);
        Self {
            starts: Family::default(),
            steps: Family::new_with_constructor(times),
            stops: Family::default(),
            denied: Family::default(),
            logins: Family::default(),
            engine_errors: Family::default(),
        }
    }
}

impl Rare {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rare = Self::default();
        let counts = [
            (
                "starts",
                "Starts that ended, by how: `ok` or the cause of the failure",
                &rare.starts,
            ),
            ("stops", "Workspaces stopped, by reason", &rare.stops),
            (
                "auth_denied",
                "Requests refused for who sent them, by reason",
                &rare.denied,
            ),
            (
                "auth_logins",
                "Log-ins by hand-off, by how they ended",
                &rare.logins,
            ),
            (
                "engine_errors",
                "Calls to the container engine that failed, by kind",
                &rare.engine_errors,
            ),
        ];
        for (name, help, counts) in counts {
            registry.register(name, help, counts.clone());
        }
        let help = "Time that a step of a start took";
        registry.register("start_step_seconds", help, rare.steps.clone());
        // There from the beginning, so that the first one is seen as an increase.
        for (counts, label, value) in [
            (&rare.starts, "outcome", "ok"),
            (&rare.stops, "reason", "idle"),
            (&rare.denied, "reason", "no_session"),
            (&rare.logins, "outcome", "ok"),
            (&rare.engine_errors, "kind", "unreachable"),
        ] {
            counts.get_or_create(&[(label, value)]).inc_by(0);
        }
        rare
    }

    /// Begins to time a start.
    pub fn start(&self) -> StartTimer {
        StartTimer {
            rare: self.clone(),
            step: Mutex::new(("queue", Instant::now())),
        }
    }

    /// A workspace was stopped.
    pub fn stopped(&self, reason: &'static str) {
        self.stops.get_or_create(&[("reason", reason)]).inc();
    }

    /// A request was refused for who sent it, or for want of a session.
    pub fn denied(&self, reason: &'static str) {
        self.denied.get_or_create(&[("reason", reason)]).inc();
    }

    /// A hand-off ended: `ok`, or why not.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A call to the engine failed.
    pub fn engine_failed(&self, kind: &'static str) {
        self.engine_errors.get_or_create(&[("kind", kind)]).inc();
    }
}

/// Times the steps of one start, of which the first is the wait for its turn.
#[derive(Debug)]
pub struct StartTimer {
    rare: Rare,
    step: Mutex<(&'static str, Instant)>,
}

impl StartTimer {
    /// The step before is over, and `step` begins.
    pub fn step(&self, step: &'static str) {
        let mut present = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, began) = std::mem::replace(&mut *present, (step, Instant::now()));
        let took = began.elapsed().as_secs_f64();
        self.rare
            .steps
            .get_or_create(&[("step", before)])
            .observe(took);
    }

    /// The start is over: `ok`, or the cause of the failure in a word.
    pub fn end(&self, outcome: &'static str) {
        self.step("over");
        self.rare
            .starts
            .get_or_create(&[("outcome", outcome)])
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn each_step_of_a_start_is_timed_by_itself() {
        let metrics = Metrics::new([]);
        let timer = metrics.rare.start();
        for (seconds, next) in [(7, "image"), (0, "container"), (2, "ready")] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            timer.step(next);
        }
        tokio::time::advance(Duration::from_secs(40)).await;
        timer.end("ok");
        let text = metrics.encode().unwrap();
        for line in [
            "vestibule_start_step_seconds_sum{step=\"queue\"} 7.0",
            "vestibule_start_step_seconds_sum{step=\"container\"} 2.0",
            "vestibule_start_step_seconds_bucket{step=\"ready\",le=\"30\"} 0",
            "vestibule_start_step_seconds_bucket{step=\"ready\",le=\"60\"} 1",
            "vestibule_starts_total{outcome=\"ok\"} 1",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} in\n{text}");
        }
        assert!(!text.contains("over"), "{text}");
    }
}
