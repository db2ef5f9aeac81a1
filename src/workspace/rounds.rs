//! Whether a person is behind what a WebSocket's client sends, judged by lengths alone.
//!
//! Pure. An open tab is never silent: it sends small rounds of its own. So each socket is
//! measured by itself, in windows of five seconds: a window's excess is what lies above one and
//! a half times the socket's floor, and a person is there once the excess of a minute is more
//! than any idle tab's was. A tab that sleeps sends the same, once a minute and all at once. docs/idle.md tells what was measured; tests/traces holds it.

/// Length of a window in milliseconds: the period of code-server's rounds.
const WINDOW: u64 = 5000;
/// Windows in a minute.
const MINUTE: usize = 12;
/// Bytes of excess in a minute that nobody's doing explains: a dozen keys in a terminal. An idle
/// tab came to 104 (code-server looks after its storage now and then).
const ALLOWANCE: u32 = 160;
/// No floor is believed to lie above this until the socket was watched for [`REMEMBERED`]
/// minutes: whoever types from the first moment on must not pass for an idle tab.
const HIGHEST_NEW_FLOOR: u32 = 96;
/// Minutes that the floor is learned from. A person who types through nearly all of them without
/// some rest is taken for a louder tab, and no sooner.
const REMEMBERED: usize = 10;
/// Which of a minute's windows, from the lowest, speaks for it. A round now and then falls into the
/// window before or after its own, so the lowest are too low; a person rests in so many.
const LOW: usize = 4;
/// How long after its opening a socket is left alone, in milliseconds: an IDE that loads, or a
/// tab that comes back after a break of the line, sends much of its own.
pub const SETTLE: u64 = 60_000;

/// Windows of silence after which what comes may have been held back: a browser lets the timers
/// of a hidden tab run once a minute (Chromium's intensive throttling of timers), and then all at
/// once.
const ASLEEP: u32 = 6;
/// Most windows that are believed to be held back.
const LONGEST_SLEEP: u32 = 13;

/// What is remembered of one socket. Some 80 bytes: every open socket has one.
#[derive(Clone, Debug)]
pub struct Rounds {
    opened: u64,
    /// Windows that were not counted, at the beginning.
    settle: u32,
    /// Number of the present window, counted from the opening.
    window: u32,
    /// Bytes in the present window.
    bytes: u32,
    /// Bytes in the windows of this minute that are over, and their excess.
    total: u32,
    excess: u32,
    /// How many windows before the present one were silent.
    silent: u32,
    minutes: u32,
    /// The lowest windows of this minute, in order.
    lowest: [u16; LOW],
    /// The last of those of each of the last minutes.
    floors: [u16; REMEMBERED],
    /// What a window of each of the last minutes held on average.
    levels: [u16; REMEMBERED],
}

impl Rounds {
    /// A socket opened at `opened` (milliseconds), left alone for its first `settle`.
    pub fn new(opened: u64, settle: u64) -> Self {
        Self {
            opened,
            settle: u32::try_from(settle.div_ceil(WINDOW)).unwrap_or(u32::MAX),
            window: 0,
            bytes: 0,
            total: 0,
            excess: 0,
            silent: 0,
            minutes: 0,
            lowest: [u16::MAX; LOW],
            floors: [u16::MAX; REMEMBERED],
            levels: [u16::MAX; REMEMBERED],
        }
    }

    /// Takes in so many bytes sent at `now` (milliseconds), and says whether a person is behind
    /// what came lately.
    pub fn sent(&mut self, now: u64, bytes: u64) -> bool {
        let window = now.saturating_sub(self.opened) / WINDOW;
        self.pass_to(u32::try_from(window).unwrap_or(u32::MAX));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        self.window >= self.settle && self.excess.saturating_add(self.over()) > ALLOWANCE
    }

    /// How far the present window lies above what it may hold by itself.
    fn over(&self) -> u32 {
        let held_back = match self.silent {
            ASLEEP.. => self.silent * self.level(),
            _ => 0,
        };
        let own = self.floor() + held_back;
        self.bytes.saturating_sub(own + own / 2)
    }

    /// A low percentile of what the last minutes' quiet windows held: low enough for a person's
    /// pauses, not as low as a stall of the line.
    fn floor(&self) -> u32 {
        match (self.percentile(self.floors, 4), self.known()) {
            (floor, REMEMBERED) => floor,
            (floor, _) => floor.min(HIGHEST_NEW_FLOOR),
        }
    }

    /// What a window holds on average, in most minutes.
    fn level(&self) -> u32 {
        match self.known() {
            0 => HIGHEST_NEW_FLOOR,
            _ => self.percentile(self.levels, 2),
        }
    }

    /// How many minutes are remembered.
    fn known(&self) -> usize {
        (self.minutes as usize).min(REMEMBERED)
    }

    /// The value that one in `of` of the remembered minutes lie below.
    fn percentile(&self, mut minutes: [u16; REMEMBERED], of: usize) -> u32 {
        minutes.sort_unstable();
        minutes[self.known() / of].into()
    }

    fn pass_to(&mut self, window: u32) {
        // After a long silence, what was before it is forgotten anyway.
        for _ in 0..(REMEMBERED + 1) * MINUTE {
            if self.window >= window {
                break;
            }
            self.end_window();
            self.window += 1;
        }
        self.window = self.window.max(window);
    }

    fn end_window(&mut self) {
        if self.window >= self.settle {
            self.excess = self.excess.saturating_add(self.over());
            self.total = self.total.saturating_add(self.bytes);
            let bytes = u16::try_from(self.bytes).unwrap_or(u16::MAX);
            if let Some(place) = self.lowest.iter().position(|low| bytes < *low) {
                self.lowest[place..].rotate_right(1);
                self.lowest[place] = bytes;
            }
            if ((self.window - self.settle + 1) as usize).is_multiple_of(MINUTE) {
                self.end_minute();
            }
        }
        self.silent = match self.bytes {
            0 => LONGEST_SLEEP.min(self.silent + 1),
            _ => 0,
        };
        self.bytes = 0;
    }

    fn end_minute(&mut self) {
        let place = self.minutes as usize % REMEMBERED;
        self.floors[place] = self.lowest[LOW - 1];
        let level = self.total as usize / MINUTE;
        self.levels[place] = u16::try_from(level).unwrap_or(u16::MAX);
        self.lowest = [u16::MAX; LOW];
        self.minutes = self.minutes.saturating_add(1);
        (self.total, self.excess) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds one window's bytes at a time, and says in which a person was seen.
    fn seen(rounds: &mut Rounds, windows: impl IntoIterator<Item = u64>) -> Vec<bool> {
        let first = u64::from(rounds.window);
        let windows = windows.into_iter().enumerate();
        windows
            .map(|(n, bytes)| rounds.sent((first + n as u64 + 1) * WINDOW, bytes))
            .collect()
    }

    fn idle(windows: usize) -> Vec<u64> {
        [82, 86, 80, 85, 100]
            .into_iter()
            .cycle()
            .take(windows)
            .collect()
    }

    #[test]
    fn an_idle_tab_is_nobody_from_its_loading_on() {
        let mut rounds = Rounds::new(0, SETTLE);
        let loading = [200_000, 9000, 5000, 3000, 400, 90, 85];
        assert!(!seen(&mut rounds, loading).contains(&true));
        assert!(!seen(&mut rounds, idle(2000)).contains(&true));
    }

    #[test]
    fn one_who_types_is_seen_within_a_minute_and_for_as_long_as_they_do() {
        let mut rounds = Rounds::new(0, SETTLE);
        seen(&mut rounds, idle(60));
        let typing = [750, 700, 90, 82, 600, 85].into_iter().cycle().take(1000);
        let seen = seen(&mut rounds, typing);
        assert!(seen.chunks(12).all(|minute| minute.contains(&true)));
    }

    #[test]
    fn one_who_types_without_rest_from_the_first_moment_is_seen_for_minutes() {
        let mut rounds = Rounds::new(0, SETTLE);
        let seen = seen(&mut rounds, std::iter::repeat_n(750, 12 * 10));
        assert!(seen[12..].iter().all(|seen| *seen));
    }

    #[test]
    fn a_louder_tab_is_learned_and_a_stall_is_not() {
        let mut rounds = Rounds::new(0, SETTLE);
        seen(&mut rounds, std::iter::repeat_n(5, 12 * 20));
        assert!(seen(&mut rounds, idle(12)).contains(&true));
        seen(&mut rounds, idle(12 * 12));
        assert!(!seen(&mut rounds, idle(12 * 20)).contains(&true));
        // Nothing for 15 s, and what was held up all at once: that is a little excess, once.
        let stalled = seen(&mut rounds, [0, 0, 0, 340].into_iter().chain(idle(8)));
        assert!(stalled.contains(&true));
        assert!(!seen(&mut rounds, idle(12 * 20)).contains(&true));
    }

    #[test]
    fn a_sleeping_tab_is_nobody_and_one_who_comes_back_to_it_is_seen() {
        let asleep = || [0; 11].into_iter().chain([390]).cycle();
        let mut rounds = Rounds::new(0, SETTLE);
        seen(&mut rounds, idle(60));
        assert!(!seen(&mut rounds, asleep().take(12 * 60)).contains(&true));
        // A tab that connects again while it sleeps.
        let mut rounds = Rounds::new(0, SETTLE);
        assert!(!seen(&mut rounds, asleep().take(12 * 60)).contains(&true));
        assert!(seen(&mut rounds, [400, 800, 90, 700]).contains(&true));
    }

    #[test]
    fn a_silent_socket_needs_little_and_is_not_counted_through() {
        let mut rounds = Rounds::new(0, SETTLE);
        assert!(!rounds.sent(10_000, 5000), "as it is opened");
        assert!(
            rounds.sent(u64::MAX / 2, 700),
            "a cell is run a long time later"
        );
        assert!(size_of::<Rounds>() <= 96);
    }
}
