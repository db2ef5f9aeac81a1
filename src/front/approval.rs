//! A terminal that asks to be let in by SSH: who asks, from where, and the user's answer.

use http::{Response, StatusCode};

use super::{Shared, reply};
use crate::{
    forward::Body,
    pages::{self, Approval, ApprovalState},
    session::Entry,
};

/// The question, or that nobody asks any more.
pub fn page(shared: &Shared, entry: &Entry, code: &str) -> Response<Body> {
    let user = &entry.claims().user;
    let state = match shared.approvals.request(code, user) {
        Some(request) => ApprovalState::Asks {
            from: request.from.to_string(),
            seconds: request.age.as_secs(),
        },
        None => ApprovalState::Gone,
    };
    show(entry, code, state)
}

/// Answers it.
pub fn answer(shared: &Shared, entry: &Entry, code: &str, allow: bool) -> Response<Body> {
    let user = &entry.claims().user;
    let answer = allow.then(|| entry.claims().session.clone());
    let state = match (shared.approvals.answer(code, user, answer), allow) {
        (false, _) => ApprovalState::Gone,
        (true, true) => ApprovalState::Allowed,
        (true, false) => ApprovalState::Denied,
    };
    if state != ApprovalState::Gone {
        tracing::info!(target: "audit", event = "ssh_approval", %user,
            session = entry.claims().session, how = if allow { "allowed" } else { "denied" });
    }
    show(entry, code, state)
}

fn show(entry: &Entry, code: &str, state: ApprovalState) -> Response<Body> {
    let status = match state {
        ApprovalState::Gone => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let user = entry.claims().user.as_str();
    reply::page(status, pages::approval(&Approval { user, code, state }))
}
