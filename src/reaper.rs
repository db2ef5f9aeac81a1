//! Stops quiet workspaces.
//!
//! Imports `workspace` and `config`. Promise: it decides nothing by itself; whether a workspace
//! is quiet is asked again in the moment of its stop, under the lock of its starts.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{config::Idle, workspace::Workspaces};

/// How many are stopped side by side.
const AT_ONCE: usize = 8;
/// Longest pause between two looks: a stop is at most this late.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Shortest one, for those who try it out with a timeout of seconds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// Looks for quiet workspaces until `stop`.
pub async fn run(workspaces: Workspaces, idle: Idle, stop: CancellationToken) {
    let Some(timeout) = idle.timeout else { return };
    let mut looks = interval((timeout / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        let quiet = stream::iter(workspaces.quiet(timeout));
        quiet
            .for_each_concurrent(AT_ONCE, |user| {
                let workspaces = &workspaces;
                async move { workspaces.stop_if_quiet(&user, timeout).await }
            })
            .await;
    }
}
