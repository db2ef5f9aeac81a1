//! The page on which a user lets a terminal in.

use askama::Template;

use super::{Html, render};

/// The page on which a user lets a terminal in.
#[derive(Clone, Debug, Template)]
#[template(path = "approval.html", config = "src/pages/askama.toml")]
pub struct Approval<'a> {
    /// Who is asked.
    pub user: &'a str,
    /// What the terminal shows.
    pub code: &'a str,
    /// How far it is.
    pub state: ApprovalState,
}

/// How far a terminal's request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// It waits for an answer.
    Asks {
        /// The address it comes from.
        from: String,
        /// For how long it has waited.
        seconds: u64,
        /// The browser's address, if it is in another network.
        elsewhere: Option<String>,
    },
    /// It was let in.
    Allowed,
    /// It was sent away.
    Denied,
    /// Nobody waits under this code.
    Gone,
}

/// The page on which a user lets a terminal in.
pub fn approval(page: &Approval<'_>) -> Html {
    render(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_waits_can_be_let_in() {
        for (state, asks) in [
            (
                ApprovalState::Asks {
                    from: "192.0.2.1".to_owned(),
                    seconds: 3,
                    elsewhere: None,
                },
                true,
            ),
            (ApprovalState::Allowed, false),
            (ApprovalState::Denied, false),
            (ApprovalState::Gone, false),
        ] {
            let page = approval(&Approval {
                user: "ann",
                code: "ABCD2345",
                state,
            });
            assert_eq!(
                page.contains("/_vestibule/ssh/ABCD2345/allow"),
                asks,
                "{page}"
            );
        }
    }

    #[test]
    fn a_terminal_that_is_elsewhere_is_told_aloud() {
        for (elsewhere, aloud) in [(None, false), (Some("198.51.100.1".to_owned()), true)] {
            let page = approval(&Approval {
                user: "ann",
                code: "ABCD2345",
                state: ApprovalState::Asks {
                    from: "192.0.2.1".to_owned(),
                    seconds: 3,
                    elsewhere,
                },
            });
            assert_eq!(
                page.contains("this browser at 198.51.100.1"),
                aloud,
                "{page}"
            );
        }
    }
}
