//! A terminal that asks to be let in by SSH: who asks, from where, and the user's answer.

use http::{Response, StatusCode};

use super::{Shared, reply};
use crate::{
    forward::Body,
    pages::{self, Terminal, TerminalState},
    session::Entry,
};

/// The question, or that nobody asks any more.
pub fn page(shared: &Shared, entry: &Entry, code: &str) -> Response<Body> {
    let user = &entry.claims().user;
    let state = match shared.approvals.request(code, user) {
        Some(request) => TerminalState::Asks {
            from: request.from.to_string(),
            seconds: request.age.as_secs(),
        },
        None => TerminalState::Gone,
    };
    show(entry, code, state)
}

/// Answers it.
pub fn answer(shared: &Shared, entry: &Entry, code: &str, allow: bool) -> Response<Body> {
    let user = &entry.claims().user;
    let state = match (shared.approvals.answer(code, entry.claims(), allow), allow) {
        (false, _) => TerminalState::Gone,
        (true, true) => TerminalState::Allowed,
        (true, false) => TerminalState::Denied,
    };
    if state != TerminalState::Gone {
        tracing::info!(target: "audit", event = "ssh_approval", %user,
            session = entry.claims().session, how = if allow { "allowed" } else { "denied" });
    }
    show(entry, code, state)
}

fn show(entry: &Entry, code: &str, state: TerminalState) -> Response<Body> {
    let status = match state {
        TerminalState::Gone => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let user = entry.claims().user.as_str();
    reply::page(status, pages::terminal(&Terminal { user, code, state }))
}
