//! The page of a start that failed.

use askama::Template;

use super::{Html, render};

/// A start that failed.
#[derive(Clone, Debug, Template)]
#[template(path = "failed.html", config = "src/pages/askama.toml")]
pub struct Failed<'a> {
    /// What people call the app that was to be opened.
    pub app_title: &'a str,
    /// What failed, as a heading.
    pub title: &'a str,
    /// Why, as a sentence.
    pub why: &'a str,
    /// Names this failure in the log.
    pub id: &'a str,
    /// The app's last lines; shown to the owner, so the caller must know that it is.
    pub log_tail: &'a [String],
    /// In how many seconds another try makes sense.
    pub retry_seconds: u64,
    /// The URL where another try is made.
    pub here: &'a str,
}

/// The page of a start that failed.
pub fn failed(page: &Failed<'_>) -> Html {
    render(page)
}
