//! How long we ourselves work on something, whatever it waits for meanwhile.

use std::{future::poll_fn, pin::Pin, time::Duration};

use tokio::time::Instant;

/// Runs `work`, which began at `since`. Says how long it kept this thread, the sum of its polls,
/// and when it ended. What it waited for (an app's answer, a start, a client) is not in the sum,
/// wherever it waits. One look at the clock for each poll, of which a proxied request has two or
/// three, and another for each but the first.
/// `work` stays where it is: by value it would be in this future twice.
pub async fn spent<F: Future>(
    since: Instant,
    mut work: Pin<&mut F>,
) -> (F::Output, Duration, Instant) {
    let (mut since, mut spent) = (Some(since), Duration::ZERO);
    poll_fn(|cx| {
        let since = since.take().unwrap_or_else(Instant::now);
        let polled = work.as_mut().poll(cx);
        let now = Instant::now();
        spent += now - since;
        polled.map(|output| (output, spent, now))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_is_not_working() {
        let work = async {
            tokio::time::advance(Duration::from_millis(3)).await;
            tokio::time::sleep(Duration::from_mins(1)).await;
            "done"
        };
        let began = Instant::now();
        let (output, spent, ended) = spent(began, pin!(work)).await;
        assert_eq!(output, "done");
        assert_eq!(spent, Duration::from_millis(3));
        assert_eq!(ended, Instant::now());
        assert_eq!(ended - began, Duration::from_millis(60_003));
    }
}
