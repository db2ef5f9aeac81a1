//! How long we ourselves work on something, whatever it waits for meanwhile.

use std::{future::poll_fn, pin::Pin, time::Duration};

use tokio::time::Instant;

/// Runs `work` and says how long it kept this thread: the sum of its polls. What it waited
/// for (an app's answer, a start, a client) is not in it, wherever it waits. Two looks at the
/// clock for each poll, of which a proxied request has two or three.
/// `work` stays where it is: by value it would be in this future twice.
pub async fn spent<F: Future>(mut work: Pin<&mut F>) -> (F::Output, Duration) {
    let mut spent = Duration::ZERO;
    let output = poll_fn(|cx| {
        let began = Instant::now();
        let polled = work.as_mut().poll(cx);
        spent += began.elapsed();
        polled
    })
    .await;
    (output, spent)
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
        let (output, spent) = spent(pin!(work)).await;
        assert_eq!(output, "done");
        assert_eq!(spent, Duration::from_millis(3));
    }
}
