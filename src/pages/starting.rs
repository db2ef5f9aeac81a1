//! The page of a start under way.

use askama::Template;

use super::{Html, render};

/// A start under way.
#[derive(Clone, Debug, Template)]
#[template(path = "starting.html", config = "src/pages/askama.toml")]
pub struct Starting<'a> {
    /// What people call the app that is being opened.
    pub app_title: &'a str,
    /// Whose workspace it is.
    pub user: &'a str,
    /// What is being done, as a sentence.
    pub step: &'a str,
    /// Which step that is, from 1; 0 before the first.
    pub number: usize,
    /// How many steps there are.
    pub of: usize,
    /// How many starts are before this one, if it waits for its turn.
    pub queue: Option<usize>,
    /// How long the wait may be, in seconds.
    pub estimate_seconds: Option<u64>,
    /// The URL where progress is told as server-sent events.
    pub events: &'a str,
    /// The URL of this page, which a browser without script asks for again.
    pub here: &'a str,
}

/// The page of a start under way; it goes on by itself, with script or without.
pub fn starting(page: &Starting<'_>) -> Html {
    render(page)
}

impl Starting<'_> {
    /// How far the bar goes: to the middle of the present step, as nobody knows more. Out of
    /// [`Self::whole`]; the script counts alike.
    fn done(&self) -> usize {
        self.number.saturating_mul(2).saturating_sub(1)
    }

    fn whole(&self) -> usize {
        self.of.saturating_mul(2).max(1)
    }

    /// The place in the queue and the wait, in words; the script says it alike.
    fn wait(&self) -> String {
        let place = self.queue.map(|before| match before {
            0 => "You are next".to_owned(),
            1 => "1 other is before you".to_owned(),
            more => format!("{more} others are before you"),
        });
        let time = self.estimate_seconds.map(|seconds| match seconds {
            0..=1 => "about 1 second".to_owned(),
            2..=99 => format!("about {seconds} seconds"),
            _ => format!("about {} minutes", seconds.saturating_add(30) / 60),
        });
        let parts: Vec<_> = place.into_iter().chain(time).collect();
        parts.join(" \u{b7} ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(queue: Option<usize>, estimate_seconds: Option<u64>) -> Starting<'static> {
        Starting {
            app_title: "Codespace",
            user: "ann",
            step: "Waiting for a free place",
            number: 0,
            of: 4,
            queue,
            estimate_seconds,
            events: "/e/",
            here: "/h/",
        }
    }

    #[test]
    fn the_wait_is_told_in_words() {
        for (queue, estimate, words) in [
            (None, None, ""),
            (Some(0), None, "You are next"),
            (Some(1), Some(1), "1 other is before you · about 1 second"),
            (
                Some(7),
                Some(99),
                "7 others are before you · about 99 seconds",
            ),
            (None, Some(100), "about 2 minutes"),
            (None, Some(u64::MAX), "about 307445734561825860 minutes"),
        ] {
            let page = at(queue, estimate);
            assert_eq!(page.wait(), words);
            assert!(starting(&page).contains(words));
        }
    }

    #[test]
    fn the_bar_is_full_only_when_nothing_is_left() {
        let mut page = at(None, None);
        for number in 0..=4 {
            page.number = number;
            assert!(page.done() < page.whole(), "{number}");
        }
        page.of = 0;
        assert_eq!(page.whole(), 1, "a bar of nothing is no bar");
    }
}
