//! The page after logging out.

use askama::Template;

use super::{Html, render};

#[derive(Template)]
#[template(path = "signed_out.html", config = "src/pages/askama.toml")]
struct SignedOut<'a> {
    login_url: &'a str,
}

/// The page after logging out, with a link to `login_url` as it is.
pub fn signed_out(login_url: &str) -> Html {
    render(&SignedOut { login_url })
}
