//! Places for what is open at once: so many in all, and so many for each who opens.
//!
//! Imports nothing of ours. Promise: a place comes back when it is dropped, and who holds none is
//! forgotten.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;

/// Places of which each key may hold some; counted over all threads.
#[derive(Debug)]
pub struct Places<K: Eq + Hash> {
    most: usize,
    most_each: usize,
    taken: AtomicUsize,
    by_key: DashMap<K, usize>,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// `most` places in all, `most_each` for one key.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_each,
            taken: AtomicUsize::new(0),
            by_key: DashMap::new(),
        })
    }

    /// Takes a place, or `None` if there is none left. Without a key it counts only in all.
    pub fn take(self: &Arc<Self>, key: Option<K>) -> Option<Place<K>> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // From here on it is given back, whether it is one or not.
        let mut place = Place {
            places: Arc::clone(self),
            key: None,
        };
        let Some(key) = key else {
            return Some(place);
        };
        let mut count = self.by_key.entry(key.clone()).or_default();
        *count += 1;
        let fits = *count <= self.most_each;
        drop(count);
        place.key = Some(key);
        fits.then_some(place)
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    key: Option<K>,
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = &self.key {
            self.places.by_key.remove_if_mut(key, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_one_and_in_all_and_come_back() {
        let places = Places::new(4, 2);
        let (first, second) = (places.take(Some("ann")), places.take(Some("ann")));
        assert!(first.is_some() && second.is_some());
        assert!(places.take(Some("ann")).is_none());
        let others = (places.take(None), places.take(None));
        assert!(others.0.is_some() && others.1.is_some());
        assert!(places.take(Some("bob")).is_none(), "four in all");
        drop(first);
        assert!(places.take(Some("ann")).is_some());
        drop((second, others));
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
        assert!(places.by_key.is_empty());
    }

    #[test]
    fn nobody_is_remembered_for_having_been_refused() {
        let places = Places::new(1, 1);
        let held = places.take(None);
        assert!(places.take(Some("ann")).is_none());
        drop(held);
        assert!(places.by_key.is_empty());
        let none_each = Places::new(1, 0);
        assert!(none_each.take(Some("ann")).is_none());
        assert!(none_each.by_key.is_empty());
        assert!(none_each.take(None).is_some());
    }
}
