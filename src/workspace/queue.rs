//! The queue of starts: only so many at once, and everyone who waits knows their place.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// First come, first served.
#[derive(Debug)]
pub struct Queue {
    at_once: usize,
    permits: Semaphore,
    next: AtomicU64,
    waiting: watch::Sender<BTreeSet<u64>>,
    /// How long starts take, as a moving average.
    usual: Mutex<Option<Duration>>,
}

/// A place in the queue, given up when dropped.
struct Ticket<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.queue.waiting.send_modify(|waiting| {
            waiting.remove(&self.number);
        });
    }
}

impl Queue {
    /// A queue of which `at_once` are served at the same time.
    pub fn new(at_once: usize) -> Self {
        Self {
            at_once,
            permits: Semaphore::new(at_once),
            next: AtomicU64::new(0),
            waiting: watch::Sender::new(BTreeSet::new()),
            usual: Mutex::new(None),
        }
    }

    /// Waits for a turn; `tell` hears the place (0 is next) and how long it may take.
    pub async fn turn(&self, tell: impl Fn(usize, Option<Duration>)) -> SemaphorePermit<'_> {
        if let Ok(permit) = self.permits.try_acquire() {
            return permit;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.send_modify(|waiting| {
            waiting.insert(number);
        });
        let ticket = Ticket {
            queue: self,
            number,
        };
        let mut waiting = self.waiting.subscribe();
        let permit = self.permits.acquire();
        tokio::pin!(permit);
        loop {
            let before = waiting.borrow_and_update().range(..number).count();
            tell(before, self.estimate(before));
            // Cancel-safe: the permit's place is kept in the pinned future.
            tokio::select! {
                permit = &mut permit => {
                    drop(ticket);
                    return permit.expect("the semaphore is never closed");
                }
                _ = waiting.changed() => {}
            }
        }
    }

    /// Learns how long a start took.
    pub fn took(&self, time: Duration) {
        let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        *usual = Some(usual.map_or(time, |usual| (usual * 3 + time) / 4));
    }

    fn estimate(&self, before: usize) -> Option<Duration> {
        let usual = *self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        let rounds = u32::try_from(before / self.at_once + 1).unwrap_or(u32::MAX);
        usual.map(|usual| usual.saturating_mul(rounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn those_who_wait_are_served_in_their_order_and_know_it() {
        let queue = Arc::new(Queue::new(1));
        queue.took(Duration::from_secs(4));
        let first = queue
            .turn(|_, _| panic!("nobody is before the first"))
            .await;
        let (told, mut places) = tokio::sync::mpsc::unbounded_channel();
        let mut waiters = Vec::new();
        for name in ["second", "third"] {
            let (queue, told) = (Arc::clone(&queue), told.clone());
            waiters.push(tokio::spawn(async move {
                let tell = |place, estimate| told.send((name, place, estimate)).unwrap();
                let turn = queue.turn(tell).await;
                drop(turn);
            }));
            let place = waiters.len() - 1;
            let estimate = Some(Duration::from_secs(4 * (place as u64 + 1)));
            assert_eq!(places.recv().await, Some((name, place, estimate)));
        }
        drop(first);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert!(queue.waiting.borrow().is_empty());
    }
}
