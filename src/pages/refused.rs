//! The page of any request that didn't get what it asked for.

use askama::Template;

use super::{Html, render};

/// A request that was refused, or that nobody could answer.
#[derive(Clone, Debug, Template)]
#[template(path = "refused.html", config = "src/pages/askama.toml")]
pub struct Refused<'a> {
    /// The status.
    pub status: u16,
    /// What happened, as a heading.
    pub title: &'a str,
    /// Why, and what to do, as sentences.
    pub detail: &'a str,
    /// Names the request in the log.
    pub request_id: &'a str,
    /// Ways on, the best one first.
    pub actions: &'a [Action<'a>],
}

/// A way on from a page.
#[derive(Clone, Copy, Debug)]
pub struct Action<'a> {
    /// What it says.
    pub label: &'a str,
    /// Where it leads.
    pub href: &'a str,
    /// Whether it changes something, and so is a form of ours and not a link.
    pub post: bool,
}

/// The page of a request that was refused, or that nobody could answer.
pub fn refused(page: &Refused<'_>) -> Html {
    render(page)
}
