//! Writes what people see: small pages of plain HTML that load nothing from elsewhere.
//!
//! Imports nothing of ours: it is told texts and numbers, and knows no HTTP, session or
//! workspace. Promise: every text it is given is escaped, every page does its work without
//! script, and none needs more than [`CSP`] allows.

mod approval;
mod asset;
mod failed;
mod home;
mod refused;
mod signed_out;
mod starting;
mod terminal;
#[cfg(test)]
mod tests;

pub use self::{
    approval::{Approval, ApprovalState, approval},
    asset::{Asset, asset},
    failed::{Failed, failed},
    home::{Fact, Gauge, Home, HomeApp, HomeSsh, Keep, Live, home, live},
    refused::{Action, Refused, refused},
    signed_out::signed_out,
    starting::{Starting, starting},
    terminal::{Terminal, terminal},
};

/// A rendered HTML document.
pub type Html = String;

/// What a page of ours may do (CSP 3): load our own style, script and pictures, ask our own
/// server, send forms to it, and never stand in another page's frame.
pub const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the terminal's page may do more: xterm.js draws colours by styles of its own making.
pub const TERMINAL_CSP: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; \
    script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Renders a page.
fn render(page: &impl askama::Template) -> Html {
    page.render()
        .expect("templates of texts and numbers have nothing that fails")
}
