//! Tells the connections of one thread to end with their requests.

use std::{cell::Cell, pin::Pin, task::Context};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Whether, and when, connections should end. They ask at each of their turns: that reads a flag,
/// and takes no lock.
#[derive(Default)]
pub struct Drain {
    has_begun: Cell<bool>,
    told: CancellationToken,
}

impl Drain {
    /// Tells all of the thread, now and from now on.
    pub fn begin(&self) {
        // Before it wakes anybody, who then reads this.
        self.has_begun.set(true);
        self.told.cancel();
    }

    /// Waits for it to begin.
    pub async fn begun(&self) {
        self.told.cancelled().await;
    }

    /// For a task that has more to do than to wait for it.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch {
            drain: self,
            told: Some(Box::pin(self.told.cancelled())),
            waits: false,
        }
    }
}

/// One task's view of a [`Drain`].
pub(super) struct Watch<'a> {
    drain: &'a Drain,
    /// Gone once it was told.
    told: Option<Pin<Box<WaitForCancellationFuture<'a>>>>,
    /// Whether the task would be woken.
    waits: bool,
}

impl Watch<'_> {
    /// Whether it has begun; said once. To be asked by one task alone, which is woken for it.
    pub fn just_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if self.waits && !self.drain.has_begun.get() {
            return false;
        }
        let Some(told) = &mut self.told else {
            return false;
        };
        self.waits = true;
        let begun = told.as_mut().poll(cx).is_ready();
        if begun {
            self.told = None;
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, rc::Rc, task::Poll};

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    #[tokio::test]
    async fn each_is_told_once_whenever_it_came() {
        let drain = Rc::new(Drain::default());
        let told = Rc::new(Cell::new(0));
        let watches = || {
            let (drain, told) = (Rc::clone(&drain), Rc::clone(&told));
            tokio::task::spawn_local(async move {
                let mut watch = drain.watch();
                poll_fn(|cx| {
                    if watch.just_begun(cx) {
                        told.set(told.get() + 1);
                        assert!(!watch.just_begun(cx));
                        return Poll::Ready(());
                    }
                    Poll::Pending
                })
                .await;
            })
        };
        let stages = async {
            let before = watches();
            yield_now().await;
            assert_eq!(told.get(), 0);
            drain.begin();
            drain.begun().await;
            before.await.unwrap();
            watches().await.unwrap();
            assert_eq!(told.get(), 2);
        };
        LocalSet::new().run_until(stages).await;
    }
}
