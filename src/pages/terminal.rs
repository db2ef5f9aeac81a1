//! The page of the terminal.

use askama::Template;

use super::{Html, render};

/// The page of the terminal.
#[derive(Clone, Debug, Template)]
#[template(path = "terminal.html", config = "src/pages/askama.toml")]
pub struct Terminal<'a> {
    /// Whose it is.
    pub user: &'a str,
    /// Whether its shell is still there after the connection was lost.
    pub kept: bool,
    /// Where a shell of another name is found: `/terminal/ann/`.
    pub others: &'a str,
}

/// The page of the terminal; the only one that needs script, and more than [`super::CSP`]: see
/// [`super::TERMINAL_CSP`].
pub fn terminal(page: &Terminal<'_>) -> Html {
    render(page)
}
