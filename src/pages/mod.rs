//! What people see: small pages of plain HTML, written on this machine alone.
//!
//! Imports nothing of ours: it is told texts and numbers. Promise: every text is escaped; no page
//! needs script, and none loads anything from elsewhere ([`CSP`] would not let it).

use askama::Template;

/// A rendered page.
pub type Html = String;

/// What our own pages may do (CSP 3): load our own style, script and picture, ask our own
/// server, send forms to it, and never be shown in a frame.
pub const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A start under way.
#[derive(Debug, Template)]
#[template(path = "starting.html")]
pub struct Starting<'a> {
    /// What is being opened.
    pub app_title: &'a str,
    /// What is being done, as a sentence.
    pub step: &'a str,
    /// Which step it is, from 1.
    pub number: usize,
    /// How many steps there are.
    pub of: usize,
    /// How many others are before this one, if it waits in the queue.
    pub queue: Option<usize>,
    /// How long the wait may be, in seconds.
    pub estimate_seconds: Option<u64>,
    /// Where the progress is told as server-sent events.
    pub events: &'a str,
}

/// A start that failed.
#[derive(Debug, Template)]
#[template(path = "failed.html")]
pub struct Failed<'a> {
    /// What was to be opened.
    pub app_title: &'a str,
    /// Why that failed.
    pub why: &'a str,
    /// Names the failure in the log.
    pub id: &'a str,
    /// The app's last lines.
    pub log_tail: &'a [String],
    /// When another try makes sense, in seconds.
    pub retry_seconds: u64,
    /// Where another try is made.
    pub here: &'a str,
}

/// After logging out.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut<'a> {
    /// Where to log in again.
    pub login_url: &'a str,
}

/// Whatever was refused.
#[derive(Debug, Template)]
#[template(path = "refused.html")]
pub struct Refused<'a> {
    /// The status, in digits.
    pub status: u16,
    /// What happened.
    pub title: &'a str,
    /// Why, and what to do.
    pub detail: &'a str,
    /// Names the request in the log.
    pub request_id: &'a str,
    /// A way on: what it says, and where it leads.
    pub way_on: Option<(&'a str, &'a str)>,
}

/// A user's own page.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct Home<'a> {
    /// Whose page it is.
    pub user: &'a str,
    /// The state in one word, which is also a class of the style sheet.
    pub state: &'a str,
    /// The same as a sentence.
    pub sentence: &'a str,
    /// What can be opened.
    pub apps: Vec<HomeApp<'a>>,
    /// When it will be stopped if it stays quiet.
    pub stops_in: Option<String>,
    /// Whether the next start makes it anew.
    pub update_pending: bool,
    /// Whether there is something to stop.
    pub can_stop: bool,
}

/// An app on the home page.
#[derive(Debug)]
pub struct HomeApp<'a> {
    /// What people call it.
    pub title: &'a str,
    /// Where it is.
    pub href: String,
    /// Whether it runs.
    pub up: bool,
}

/// Renders a page.
///
/// # Panics
/// Never: the templates are checked when they are compiled, and a `String` takes any text.
pub fn render(page: &impl Template) -> Html {
    page.render()
        .expect("a template of texts and numbers renders")
}

/// A file that our pages load.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// The file of this name.
pub fn asset(name: &str) -> Option<Asset> {
    let asset = |content_type, bytes| {
        Some(Asset {
            content_type,
            bytes,
        })
    };
    match name {
        "page.css" => asset("text/css; charset=utf-8", include_bytes!("page.css")),
        "page.js" => asset("text/javascript; charset=utf-8", include_bytes!("page.js")),
        "mark.svg" => asset("image/svg+xml", include_bytes!("mark.svg")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<script>alert(1)</script>\"'&";

    fn all() -> Vec<Html> {
        let lines = [EVIL.to_owned()];
        vec![
            render(&Starting {
                app_title: EVIL,
                step: EVIL,
                number: 2,
                of: 4,
                queue: Some(3),
                estimate_seconds: Some(9),
                events: EVIL,
            }),
            render(&Failed {
                app_title: EVIL,
                why: EVIL,
                id: EVIL,
                log_tail: &lines,
                retry_seconds: 2,
                here: EVIL,
            }),
            render(&SignedOut { login_url: EVIL }),
            render(&Refused {
                status: 403,
                title: EVIL,
                detail: EVIL,
                request_id: EVIL,
                way_on: Some((EVIL, EVIL)),
            }),
            render(&Home {
                user: EVIL,
                state: "running",
                sentence: EVIL,
                apps: vec![HomeApp {
                    title: EVIL,
                    href: EVIL.to_owned(),
                    up: true,
                }],
                stops_in: Some(EVIL.to_owned()),
                update_pending: true,
                can_stop: true,
            }),
        ]
    }

    #[test]
    fn no_text_becomes_markup() {
        for page in all() {
            assert!(!page.contains("<script>"), "{page}");
            assert!(!page.contains("\"'&\""), "{page}");
        }
    }

    #[test]
    fn every_page_is_whole_and_loads_nothing_from_elsewhere() {
        for page in all() {
            for part in [
                "<!doctype html>",
                "<html lang=\"en\">",
                "<title>",
                "width=device-width",
                "<main",
            ] {
                assert!(page.contains(part), "{part} is not in {page}");
            }
            assert_eq!(page.matches("<h1").count(), 1);
            for outside in ["://", "style=", "onclick", "javascript:"] {
                assert!(!page.contains(outside), "{outside} is in {page}");
            }
        }
        for name in ["page.css", "page.js"] {
            let text = String::from_utf8_lossy(asset(name).unwrap().bytes);
            assert!(!text.contains("//") && !text.contains("@import"), "{name}");
        }
        assert!(asset("../mod.rs").is_none());
    }
}
