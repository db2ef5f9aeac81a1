//! What workspaces use: measured while somebody looks, and for metrics if they are asked for.
//! The engine is asked once for each measurement, the disk walked through in the background,
//! one user's at a time.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Workspaces,
    disk::{self, Disk},
    state::{Life, Live, Workspace},
};
use crate::{engine, names::Username};

/// How often a workspace is measured that somebody looks at.
const LOOK: Duration = Duration::from_secs(3);
/// How often all running ones are, for metrics: the usual interval between scrapes.
const ROUND: Duration = Duration::from_secs(15);
/// How many at once, for metrics.
const AT_ONCE: usize = 4;
/// How long a measured disk is believed while somebody looks, and without.
const DISK_LOOKED_AT: Duration = Duration::from_mins(1);
const DISK: Duration = Duration::from_hours(1);
/// A disk is walked through for at most this part of the time.
const DISK_REST: u32 = 20;

/// What a workspace uses, as last measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPUs in use, over the last few seconds, if it runs: 1.0 is one of them in full.
    pub cpus: Option<f64>,
    /// CPU time in all since this process began; never falls.
    pub cpu_time: Duration,
    /// Memory in bytes, if it runs.
    pub memory: Option<u64>,
    /// Limit of it, in bytes.
    pub memory_limit: Option<u64>,
    /// The user's directory.
    pub disk: Option<Disk>,
}

/// What all workspaces use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// CPU time; never falls.
    pub cpu: Duration,
    /// Memory in bytes.
    pub memory: u64,
    /// Disk in bytes.
    pub disk: u64,
}

/// The measuring of one workspace.
#[derive(Debug, Default)]
pub struct Measuring {
    seen: watch::Sender<Usage>,
    /// Whether a task measures for those who look.
    looked_at: AtomicBool,
    /// The last answer for CPU time: of which run, how much, when.
    last: Mutex<Option<(String, u64, Instant)>>,
    walking: AtomicBool,
    /// When the disk was measured, and how long that took.
    walked: Mutex<Option<(Instant, Duration)>>,
}

impl Measuring {
    /// Takes in what the engine says of a running container.
    fn take_in(&self, live: &Live, usage: engine::Usage) {
        let now = Instant::now();
        let (run, nanos) = (live.run(), usage.cpu_nanos);
        let mut last = lock(&self.last);
        let before = last.as_ref().filter(|(of, ..)| *of == run);
        let (already, since) = before.map_or((0, None), |(_, nanos, at)| (*nanos, Some(*at)));
        // Who asked before somebody else may be answered after them.
        let Some(more) = nanos.checked_sub(already) else {
            return;
        };
        let more = Duration::from_nanos(more);
        let since = since.map(|at| (now - at).as_secs_f64());
        *last = Some((run, nanos, now));
        drop(last);
        self.seen.send_modify(|seen| {
            seen.cpu_time += more;
            seen.cpus = since
                .filter(|since| *since > 0.1)
                .map(|since| more.as_secs_f64() / since);
            seen.memory = Some(usage.memory);
            seen.memory_limit = (usage.memory_limit > 0).then_some(usage.memory_limit);
        });
    }

    /// It doesn't run, or not as it did.
    pub(super) fn rests(&self) {
        self.seen.send_if_modified(|seen| {
            let ran = seen.memory.is_some();
            (seen.cpus, seen.memory, seen.memory_limit) = (None, None, None);
            ran
        });
    }

    /// Whether the disk was not measured for `age`, and not for long enough to do it again.
    fn is_due(&self, age: Duration) -> bool {
        let walked = *lock(&self.walked);
        walked.is_none_or(|(at, took)| at.elapsed() >= age.max(took * DISK_REST))
    }
}

impl Workspaces {
    /// What a user's workspace uses, measured every few seconds as long as somebody holds the
    /// answer, once for all who do.
    pub fn watch_usage(&self, user: &Username) -> watch::Receiver<Usage> {
        let workspace = self.workspace(user);
        let seen = workspace.measuring().seen.subscribe();
        if !workspace.measuring().looked_at.swap(true, Ordering::AcqRel) {
            self.0
                .runtime
                .spawn(self.clone().while_looked_at(workspace));
        }
        seen
    }

    /// What all workspaces use, as last measured.
    pub fn usage_of_all(&self) -> Total {
        let mut total = Total::default();
        for workspace in &self.0.by_user {
            let Some(measured) = workspace.measured() else {
                continue;
            };
            let seen = measured.seen.borrow();
            total.cpu += seen.cpu_time;
            total.memory += seen.memory.unwrap_or_default();
            total.disk += seen.disk.map_or(0, |disk| disk.bytes);
        }
        total
    }

    /// What each workspace uses that was measured, by name.
    pub fn usage_of_each(&self) -> Vec<(Username, Usage)> {
        let known = self.0.by_user.iter();
        let all = known.filter_map(|known| {
            let usage = known.measured()?.seen.borrow().clone();
            Some((known.user.clone(), usage))
        });
        let mut all: Vec<_> = all
            .filter(|(_, usage)| *usage != Usage::default())
            .collect();
        all.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        all
    }

    /// Measures all workspaces in turn until `stop`.
    pub async fn measure_all(self, stop: CancellationToken) {
        let this = &self;
        let running = async {
            let mut rounds = interval(ROUND);
            rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                rounds.tick().await;
                let round = stream::iter(this.everyone());
                round
                    .for_each_concurrent(AT_ONCE, |workspace| async move {
                        this.measure(&workspace).await;
                    })
                    .await;
            }
        };
        let disks = async {
            loop {
                for workspace in this.everyone() {
                    this.measure_disk(&workspace, DISK).await;
                }
                sleep(ROUND).await;
            }
        };
        // Cancel-safe: a measurement that is dropped is made again.
        tokio::select! {
            () = async { tokio::join!(running, disks); } => {}
            () = stop.cancelled() => {}
        }
    }

    fn everyone(&self) -> Vec<Arc<Workspace>> {
        self.0
            .by_user
            .iter()
            .map(|known| Arc::clone(&known))
            .collect()
    }

    async fn while_looked_at(self, workspace: Arc<Workspace>) {
        let measuring = workspace.measuring();
        loop {
            self.measure(&workspace).await;
            if measuring.is_due(DISK_LOOKED_AT) {
                let (this, workspace) = (self.clone(), Arc::clone(&workspace));
                self.0
                    .runtime
                    .spawn(async move { this.measure_disk(&workspace, DISK_LOOKED_AT).await });
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = measuring.seen.closed() => {}
            }
            if measuring.seen.is_closed() {
                measuring.looked_at.store(false, Ordering::Release);
                // Somebody may have come just before the flag fell, and relies on us.
                if measuring.seen.is_closed() || measuring.looked_at.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        }
    }

    async fn measure(&self, workspace: &Workspace) {
        let live = match &workspace.read().life {
            Life::Running(live) => Some(live.clone()),
            _ => None,
        };
        let Some(live) = live else {
            return workspace.measured().into_iter().for_each(Measuring::rests);
        };
        match self.0.engine.usage(&live.id).await {
            // What comes late is of a run that is over.
            Ok(usage) if workspace.read().is_still(&live) => {
                workspace.measuring().take_in(&live, usage);
            }
            Ok(_) => {}
            // It is ending, or the engine is away: others tell.
            Err(error) => tracing::debug!(%error, user = %workspace.user, "not measured"),
        }
    }

    async fn measure_disk(&self, workspace: &Workspace, age: Duration) {
        let measuring = workspace.measuring();
        if !measuring.is_due(age) || measuring.walking.swap(true, Ordering::AcqRel) {
            return;
        }
        let path = self.0.config.data_root.join(workspace.user.escaped());
        // One at a time: the disk is the users'. It is never closed.
        let turn = self.0.walks.acquire().await;
        let began = Instant::now();
        let walked = tokio::task::spawn_blocking(move || disk::measure(&path)).await;
        drop(turn);
        // Without a directory there is nothing to measure yet, and that was quickly found out.
        if let Ok(Ok(disk)) = walked {
            *lock(&measuring.walked) = Some((Instant::now(), began.elapsed()));
            measuring.seen.send_if_modified(|seen| {
                let before = seen.disk.replace(disk);
                before != seen.disk
            });
        }
        measuring.walking.store(false, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cpu_time_is_counted_once_whoever_measures_and_of_every_run() {
        let live = |started_at: &str| Live {
            id: "id".into(),
            addr: [192, 0, 2, 1].into(),
            started_at: started_at.to_owned(),
            closed: CancellationToken::new(),
        };
        let measuring = Measuring::default();
        for (run, seconds, total, cpus) in [
            ("first", 10, 10, None),
            ("first", 14, 14, Some(2.0)),
            ("first", 13, 14, Some(2.0)), // asked before, answered after
            ("first", 15, 15, Some(0.25)),
            ("second", 3, 18, None),
        ] {
            let usage = engine::Usage {
                cpu_nanos: seconds * 1_000_000_000,
                ..engine::Usage::default()
            };
            measuring.take_in(&live(run), usage);
            let seen = measuring.seen.borrow().clone();
            assert_eq!(
                (seen.cpu_time, seen.cpus),
                (Duration::from_secs(total), cpus),
                "{run} {seconds}"
            );
            tokio::time::advance(Duration::from_secs(2)).await;
        }
    }
}
