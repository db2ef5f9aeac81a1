//! Stops workspaces that are due.
//!
//! Imports `workspace`. Promise: it decides nothing by itself; whether a workspace is due is
//! asked again in the moment of its stop, under the lock of its starts.

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::workspace::{Pace, Workspaces};

/// How many are stopped side by side.
const AT_ONCE: usize = 8;

/// Measures workspaces and stops those that are due, until `stop`.
pub async fn run(workspaces: Workspaces, stop: CancellationToken) {
    let Pace { look, window, .. } = workspaces.pace();
    let mut looks = interval(look);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut measured: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        // Before the look: what began to compute meanwhile is seen.
        if measured.is_none_or(|at| at.elapsed() >= window) {
            workspaces.measure_cpu().await;
            measured = Some(Instant::now());
        }
        stream::iter(workspaces.all_due())
            .for_each_concurrent(AT_ONCE, |user| {
                let workspaces = &workspaces;
                async move { workspaces.stop_if_due(&user).await }
            })
            .await;
    }
}
