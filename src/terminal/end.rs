//! How a terminal in the browser ended: a Close for the page, a word for the audit log.

use tokio_tungstenite::tungstenite::{
    Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::shell::{Ending, ShellError};

/// Longest reason of a Close, in bytes (RFC 6455 5.5).
const LONGEST: usize = 123;

/// How a terminal in the browser ended.
#[derive(Debug)]
pub enum End {
    /// The shell did.
    Shell(Ending),
    /// The browser left.
    Left,
    /// Its session ended.
    Session,
    /// The workspace was stopped.
    Stopped,
    /// We are told to stop.
    Restart,
    /// More was typed than can be kept.
    TooMuch,
    /// The browser said what no page of ours says.
    Malformed,
    /// There is no shell.
    Failed(ShellError),
}

impl End {
    /// A stable word for the audit log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Shell(Ending::Code(_) | Ending::Signal { .. }) => "exit",
            Self::Shell(Ending::Lost) => "lost",
            Self::Left => "client",
            Self::Session => "session-ended",
            Self::Stopped => "stopped",
            Self::Restart => "restart",
            Self::TooMuch => "too-much-input",
            Self::Malformed => "malformed",
            Self::Failed(_) => "failed",
        }
    }

    /// The Close, whose reason is for people; none for a browser that has gone.
    pub fn close(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Shell(Ending::Code(0)) => (CloseCode::Normal, "The shell has ended.".to_owned()),
            Self::Shell(Ending::Code(code)) => (
                CloseCode::Normal,
                format!("The shell has ended with exit code {code}."),
            ),
            Self::Shell(Ending::Signal { name, .. }) => (
                CloseCode::Normal,
                format!("The shell was ended by SIG{name}."),
            ),
            Self::Shell(Ending::Lost) => (
                CloseCode::Error,
                "The connection to the workspace was lost.".to_owned(),
            ),
            Self::Left => return None,
            Self::Session => (CloseCode::Policy, "Your session has ended.".to_owned()),
            Self::Stopped => (CloseCode::Away, "The workspace was stopped.".to_owned()),
            Self::Restart => (CloseCode::Restart, "The server restarts.".to_owned()),
            Self::TooMuch => (
                CloseCode::Size,
                "More input waits for this shell than can be kept.".to_owned(),
            ),
            Self::Malformed => (
                CloseCode::Protocol,
                "The page and the server don't understand each other.".to_owned(),
            ),
            Self::Failed(error) => (CloseCode::Error, format!("No shell: {error}.")),
        };
        let cut = reason.floor_char_boundary(LONGEST);
        Some(CloseFrame {
            code,
            reason: Utf8Bytes::from(&reason[..cut]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_reason_that_a_close_can_hold() {
        let long = "é".repeat(500);
        for (end, code, reason) in [
            (End::Shell(Ending::Code(0)), 1000, "The shell has ended."),
            (End::Shell(Ending::Code(7)), 1000, "exit code 7"),
            (
                End::Shell(Ending::Signal {
                    name: long.clone(),
                    core: false,
                }),
                1000,
                "SIG",
            ),
            (End::Session, 1008, "session"),
            (End::Stopped, 1001, "stopped"),
            (End::Restart, 1012, "restarts"),
            (End::TooMuch, 1009, "input"),
            (End::Failed(ShellError::Helper(long)), 1011, "python3"),
        ] {
            let close = end.close().unwrap();
            assert_eq!(u16::from(close.code), code, "{end:?}");
            assert!(close.reason.contains(reason), "{end:?}: {}", close.reason);
            assert!(close.reason.len() <= LONGEST, "{end:?}");
        }
        assert!(End::Left.close().is_none());
    }
}
