//! Whether a workspace computes: by its container's CPU, and by what its apps say.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Workspaces,
    clocks::{Kind, Mover},
    state::{Life, Workspace},
    upstream::Upstream,
};
use crate::{config, names::AppName};

/// What was measured of a workspace, and what its apps said.
#[derive(Debug, Default)]
pub struct Load {
    /// The container, the CPU time it had used, and when.
    last: Option<(Arc<str>, Duration, Instant)>,
    /// What the last window came to.
    pub cpu: Option<Cpu>,
    /// Which apps were asked, whether they computed, and when.
    pub said: BTreeMap<AppName, (bool, Instant)>,
}

/// What a container used in a window.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// CPUs, on average; none if it couldn't be told.
    pub cpus: Option<f64>,
    /// How long the window was.
    pub window: Duration,
    /// When it ended.
    pub at: Instant,
}

impl Load {
    /// Takes in how much a container has used; true if it was busy since it was last measured,
    /// or may have been.
    pub fn measured(&mut self, id: &Arc<str>, used: Option<Duration>, busy_millis: u32) -> bool {
        let now = Instant::now();
        let last = self.last.take().filter(|(of, ..)| of == id);
        let before = last.as_ref().map(|(_, used, _)| *used);
        self.last = used.or(before).map(|used| (Arc::clone(id), used, now));
        let Some((_, before, since)) = last else {
            return false;
        };
        let window = now - since;
        if window.is_zero() {
            return false;
        }
        // A counter that fell is another run's.
        let used = used.map(|used| used.checked_sub(before).unwrap_or(used));
        let cpus = used.map(|used| used.as_secs_f64() / window.as_secs_f64());
        let at = now;
        self.cpu = Some(Cpu { cpus, window, at });
        cpus.is_none_or(|cpus| cpus * 1000.0 >= f64::from(busy_millis))
    }
}

impl Workspaces {
    /// Measures the CPU of every running workspace since the last time, and moves the clocks of
    /// those that were busy. What can't be measured counts as busy: nothing is stopped because
    /// we see badly.
    pub async fn measure_cpu(&self) {
        let known = self.0.by_user.iter();
        let running: Vec<(Arc<Workspace>, Arc<str>)> = known
            .filter_map(|known| {
                let id = match &known.read().life {
                    Life::Running(live) => Arc::clone(&live.id),
                    _ => return None,
                };
                Some((Arc::clone(&known), id))
            })
            .collect();
        let ids: Vec<Arc<str>> = running.iter().map(|(_, id)| Arc::clone(id)).collect();
        let used = self.0.engine.cpu_used(&ids).await;
        let threshold = self.0.idle.busy_cpu_millis;
        for ((workspace, id), used) in running.iter().zip(used) {
            let mut load = workspace
                .load
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if load.measured(id, used, threshold) {
                let kind = Kind::Cpu;
                let by = Mover {
                    kind,
                    ..Mover::default()
                };
                workspace.clocks.busy.moved(workspace.clocks.now(), &by);
            }
        }
    }

    /// Asks those apps of a workspace that can say it whether they compute.
    pub(super) async fn ask_apps(&self, workspace: &Workspace) {
        let up: Vec<(Arc<Upstream>, &config::App, &config::BusyQuestion)> = {
            let state = workspace.read();
            let able = self.0.apps.iter();
            let able = able.filter_map(|(app, config)| Some((app, config, config.busy.as_ref()?)));
            able.filter_map(|(app, config, question)| {
                let upstream = self.running_app(workspace, &state, app)?;
                Some((upstream, config, question))
            })
            .collect()
        };
        for (upstream, config, question) in up {
            let probe = self.probe(&upstream, config);
            let busy = upstream.while_open(probe.says(question)).await;
            if busy {
                let by = Mover {
                    kind: Kind::App,
                    app: Some(upstream.app.clone()),
                    client: None,
                };
                workspace.clocks.busy.moved(workspace.clocks.now(), &by);
            }
            let mut load = workspace
                .load
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            load.said
                .insert(upstream.app.clone(), (busy, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_is_busy_from_the_threshold_on_and_when_it_can_not_be_told() {
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let mut load = Load::default();
        let minute = Duration::from_mins(1);
        let used = |seconds| Some(Duration::from_secs(seconds));
        for (id, used, busy) in [
            (&one, used(100), false), // nothing to compare with
            (&one, used(105), false),
            (&one, used(111), true),
            (&one, None, true),
            (&one, used(2), false), // started anew
            (&other, used(500), false),
            (&other, used(560), true),
        ] {
            assert_eq!(load.measured(id, used, 100), busy, "{id} {used:?}");
            tokio::time::advance(minute).await;
        }
        assert_eq!(load.cpu.unwrap().cpus, Some(1.0));
        assert_eq!(load.cpu.unwrap().window, minute);
    }
}
