//! A moment's wait that costs next to nothing: one timer for all that wait on a thread.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use slab::Slab;
use tokio::time::sleep;

/// How long a moment is, at most.
const MOMENT: Duration = Duration::from_millis(100);

/// What waits on one thread; a clone is another handle of the same.
#[derive(Clone, Default)]
pub struct Moments(Rc<Waiting>);

#[derive(Default)]
struct Waiting {
    /// How to wake each; nothing once its moment is over.
    wakers: RefCell<Slab<Option<Waker>>>,
    /// Whether a task ends their moment.
    ticking: Cell<bool>,
}

/// A place among those that wait.
struct Place<'a> {
    among: &'a Waiting,
    key: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.among.wakers.borrow_mut().remove(self.key);
    }
}

impl Moments {
    /// What `work` comes to, or `None` if it goes on when the moment is over.
    pub async fn within<F: Future>(&self, mut work: Pin<&mut F>) -> Option<F::Output> {
        let mut place: Option<Place> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let mut wakers = self.0.wakers.borrow_mut();
            let Some(Place { key, .. }) = place else {
                let key = wakers.insert(Some(cx.waker().clone()));
                place = Some(Place {
                    among: &self.0,
                    key,
                });
                if !self.0.ticking.replace(true) {
                    tokio::task::spawn_local(self.clone().tick());
                }
                return Poll::Pending;
            };
            match &mut wakers[key] {
                Some(waker) => {
                    waker.clone_from(cx.waker());
                    Poll::Pending
                }
                None => Poll::Ready(None),
            }
        })
        .await
    }

    /// Ends the moment of all that wait, for as long as there are any.
    async fn tick(self) {
        loop {
            sleep(MOMENT).await;
            let mut wakers = self.0.wakers.borrow_mut();
            if wakers.is_empty() {
                self.0.ticking.set(false);
                return;
            }
            let over = wakers.iter_mut().filter_map(|(_, waker)| waker.take());
            let over: Vec<Waker> = over.collect();
            // Whoever is woken may leave.
            drop(wakers);
            over.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use tokio::{task::LocalSet, time::Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_is_told_of_and_leaves_no_trace() {
        let moments = Moments::default();
        let waits = async {
            let began = Instant::now();
            let (soon, never, now) = (sleep(MOMENT / 2), pending::<()>(), async {});
            let (soon, never, now) = (pin!(soon), pin!(never), pin!(now));
            let told = tokio::join!(
                moments.within(soon),
                moments.within(never),
                moments.within(now),
            );
            assert_eq!(told, (Some(()), None, Some(())));
            assert!(began.elapsed() <= MOMENT + Duration::from_millis(1));
            assert!(moments.0.wakers.borrow().is_empty());
            sleep(2 * MOMENT).await;
            assert!(!moments.0.ticking.get());
            // The task that had ended is there again.
            assert_eq!(moments.within(pin!(pending::<()>())).await, None);
        };
        LocalSet::new().run_until(waits).await;
    }
}
