//! A user's own page.

use askama::Template;

use super::{Html, render};

/// A user's own page.
#[derive(Clone, Debug, Template)]
#[template(path = "home.html", config = "src/pages/askama.toml")]
pub struct Home<'a> {
    /// Whose it is.
    pub user: &'a str,
    /// The workspace's state in a word: `absent`, `stopped`, `starting`, `running`, `stopping`,
    /// `paused` or `failed`.
    pub state: &'a str,
    /// What that means, as a sentence that needn't say the word again; may be empty.
    pub state_sentence: String,
    /// What can be opened.
    pub apps: Vec<HomeApp<'a>>,
    /// How many connections are open.
    pub open: usize,
    /// How much more quiet ends it, in words: `27 minutes`.
    pub stops_in: Option<String>,
    /// Whether that is so near that it should be said aloud.
    pub about_to_stop: bool,
    /// Whether the next start makes the container anew.
    pub update_pending: bool,
    /// Whether there is anything to stop.
    pub can_stop: bool,
    /// Something that was just done, as a sentence.
    pub notice: Option<&'a str>,
}

/// An app on the home page.
#[derive(Clone, Debug)]
pub struct HomeApp<'a> {
    /// What people call it.
    pub title: &'a str,
    /// Where it is.
    pub href: String,
    /// Whether it runs.
    pub up: bool,
}

/// A user's own page.
pub fn home(page: &Home<'_>) -> Html {
    render(page)
}

impl Home<'_> {
    /// The state as people say it.
    fn word(&self) -> &str {
        match self.state {
            "absent" => "new",
            word => word,
        }
    }

    /// The colour of a state: a class of the style sheet, whatever word the state is.
    fn tone(&self) -> &'static str {
        match self.state {
            "running" => "is-good",
            "starting" | "stopping" | "paused" => "is-wait",
            "failed" => "is-bad",
            _ => "is-off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_and_a_colour() {
        for (state, shown) in [
            ("absent", r#"is-off" data-fresh><span class="word">new<"#),
            (
                "stopped",
                r#"is-off" data-fresh><span class="word">stopped<"#,
            ),
            (
                "starting",
                r#"is-wait" data-fresh><span class="word">starting<"#,
            ),
            (
                "running",
                r#"is-good" data-fresh><span class="word">running<"#,
            ),
            ("failed", r#"is-bad" data-fresh><span class="word">failed<"#),
            (
                "unheard-of",
                r#"is-off" data-fresh><span class="word">unheard-of<"#,
            ),
        ] {
            let page = home(&Home {
                user: "ann",
                state,
                state_sentence: String::new(),
                apps: Vec::new(),
                open: 0,
                stops_in: None,
                about_to_stop: true,
                update_pending: false,
                can_stop: false,
                notice: None,
            });
            assert!(page.contains(shown), "{page}");
            assert!(!page.contains("/_vestibule/stop"), "{page}");
        }
    }
}
