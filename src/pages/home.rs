//! A user's own page.

use askama::Template;

use super::{Html, render};

/// A user's own page.
#[derive(Clone, Debug, Template)]
#[template(path = "home.html", config = "src/pages/askama.toml")]
pub struct Home<'a> {
    /// Whose it is.
    pub user: &'a str,
    /// Something that was just done, as a sentence.
    pub notice: Option<&'a str>,
    /// The URL where [`live`] is told anew, as server-sent events.
    pub events: &'a str,
    /// How to come in by SSH, if one can.
    pub ssh: Option<HomeSsh>,
    /// What changes while the page is open.
    pub live: Live<'a>,
}

/// The way in by SSH.
#[derive(Clone, Debug)]
pub struct HomeSsh {
    /// What to type.
    pub command: String,
    /// A password that is good for some minutes, if one was asked for.
    pub password: Option<String>,
}

/// What changes while the page is open.
#[derive(Clone, Debug, Template)]
#[template(path = "live.html", config = "src/pages/askama.toml")]
pub struct Live<'a> {
    /// The workspace's state in a word: `absent`, `stopped`, `starting`, `running`, `stopping`,
    /// `paused` or `failed`.
    pub state: &'a str,
    /// What that means, as a sentence that needn't say the word again; may be empty.
    pub state_sentence: String,
    /// What can be opened.
    pub apps: Vec<HomeApp<'a>>,
    /// In how long it will be stopped, in words, if that is to be said aloud: `4 minutes`.
    pub about_to_stop: Option<String>,
    /// What the workspace uses.
    pub gauges: Vec<Gauge>,
    /// What else there is to know of it.
    pub facts: Vec<Fact>,
    /// What its clocks say, and why it was last stopped.
    pub why: Vec<Fact>,
    /// How it can be kept by a click, while it runs.
    pub keep: Option<Keep>,
    /// Whether there is anything to stop.
    pub can_stop: bool,
}

/// A click that keeps a workspace.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Where it is posted.
    pub action: String,
    /// For how long, in words.
    pub time: String,
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

/// How much is used of something.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// Of what: `Memory`.
    pub label: &'static str,
    /// How much: `1.2 GB`.
    pub value: String,
    /// Out of what: `of 8 GB`; may be empty.
    pub of: String,
    /// The same in percent, if there is a limit.
    pub percent: Option<u8>,
}

/// Something to know.
#[derive(Clone, Debug)]
pub struct Fact {
    /// About what, in a word or two.
    pub label: &'static str,
    /// What, in a few words.
    pub text: String,
    /// Less important words after it.
    pub more: Option<String>,
}

/// A user's own page.
pub fn home(page: &Home<'_>) -> Html {
    render(page)
}

/// The part of the page that changes, as it is now; the script puts it in place of the old one.
pub fn live(part: &Live<'_>) -> Html {
    render(part)
}

impl Live<'_> {
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
        for (state, tone, word) in [
            ("absent", "is-off", "new"),
            ("stopped", "is-off", "stopped"),
            ("starting", "is-wait", "starting"),
            ("running", "is-good", "running"),
            ("failed", "is-bad", "failed"),
            ("unheard-of", "is-off", "unheard-of"),
        ] {
            let part = Live {
                state,
                state_sentence: String::new(),
                apps: Vec::new(),
                about_to_stop: None,
                gauges: Vec::new(),
                facts: Vec::new(),
                why: vec![],
                keep: None,
                can_stop: false,
            };
            let text = live(&part);
            let shown =
                format!(r#"<p class="state {tone}" aria-live="polite"><span class="word">{word}<"#);
            assert!(text.contains(&shown), "{text}");
            assert!(!text.contains("/_vestibule/stop"), "{text}");
        }
    }
}
