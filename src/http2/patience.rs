//! How much a client may ask for that is of no use to it: the frames of all known floods are such
//! (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316 and others).

use tokio::time::{Duration, Instant};

/// Most frames of no use in a moment.
const MOST: u32 = 2000;
/// How many more each second allows.
const EACH_SECOND: u32 = 200;

pub struct Patience {
    left: u32,
    since: Instant,
}

impl Patience {
    pub fn new() -> Self {
        Self {
            left: MOST,
            since: Instant::now(),
        }
    }

    /// A frame that did nothing for the client; false if there were too many.
    #[must_use]
    pub fn spend(&mut self) -> bool {
        if self.left == 0 {
            let seconds = self.since.elapsed().as_secs();
            self.since += Duration::from_secs(seconds);
            let more = u32::try_from(seconds).unwrap_or(MOST);
            self.left = more.saturating_mul(EACH_SECOND).min(MOST);
        }
        let enough = self.left > 0;
        self.left = self.left.saturating_sub(1);
        enough
    }

    /// The client was given something: with it come frames of its own.
    pub fn earn(&mut self) {
        self.left = (self.left + 2).min(MOST);
    }
}
