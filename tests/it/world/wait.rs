//! Waiting for conditions, never for lengths of time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Waits until `condition` holds; panics with `what` when the deadline is over.
pub async fn until(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition().await {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The outcome of `future`; panics with `what` when the deadline is over.
pub async fn within<T>(what: &str, deadline: Duration, future: impl Future<Output = T>) -> T {
    timeout(deadline, future)
        .await
        .unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}
