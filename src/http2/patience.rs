//! How much a client may ask for that is of no use to it: the frames of all known floods are such
//! (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316 and others).

use tokio::time::{Duration, Instant};

use super::bounds::{USELESS, USELESS_EACH_SECOND};

/// How many more such frames are borne.
pub struct Patience {
    left: u32,
    since: Instant,
}

impl Patience {
    pub fn new() -> Self {
        Self {
            left: USELESS,
            since: Instant::now(),
        }
    }

    /// So many frames, or work of as many, did nothing for the client; false if that was too much.
    #[must_use]
    pub fn spend(&mut self, frames: u32) -> bool {
        if self.left < frames {
            let seconds = self.since.elapsed().as_secs();
            self.since += Duration::from_secs(seconds);
            let more = u32::try_from(seconds).unwrap_or(USELESS);
            let more = more.saturating_mul(USELESS_EACH_SECOND);
            self.left = self.left.saturating_add(more).min(USELESS);
        }
        let enough = self.left >= frames;
        self.left = self.left.saturating_sub(frames);
        enough
    }

    /// The client was given something: with it come so many frames of its own.
    pub fn earn(&mut self, frames: usize) {
        let frames = u32::try_from(frames).unwrap_or(USELESS);
        self.left = self.left.saturating_add(frames).min(USELESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_comes_back_with_time_and_is_earned_but_never_more_than_at_first() {
        let mut patience = Patience::new();
        let spent = |patience: &mut Patience| (0..10_000).take_while(|_| patience.spend(1)).count();
        assert_eq!(spent(&mut patience), USELESS as usize);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(spent(&mut patience), 2 * USELESS_EACH_SECOND as usize);
        patience.earn(3);
        assert_eq!(spent(&mut patience), 3);
        (0..USELESS).for_each(|_| patience.earn(1));
        assert_eq!(spent(&mut patience), USELESS as usize);
    }
}
