//! A terminal that asks to be let in by SSH: who asks, from where, and the user's answer.

use std::net::IpAddr;

use http::{Response, StatusCode};

use super::{Shared, reply};
use crate::{
    forward::Body,
    pages::{self, Approval, ApprovalState},
    session::Entry,
};

/// The question, or that nobody asks any more.
pub fn page(shared: &Shared, entry: &Entry, code: &str, client: IpAddr) -> Response<Body> {
    let user = &entry.claims().user;
    let state = match shared.approvals.request(code, user) {
        Some(request) => ApprovalState::Asks {
            from: request.from.to_string(),
            seconds: request.age.as_secs(),
            elsewhere: (!is_near(request.from, client)).then(|| client.to_string()),
        },
        None => ApprovalState::Gone,
    };
    show(entry, code, state)
}

/// Answers it.
pub fn answer(shared: &Shared, entry: &Entry, code: &str, allow: bool) -> Response<Body> {
    let user = &entry.claims().user;
    let state = match (shared.approvals.answer(code, entry.claims(), allow), allow) {
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

/// Whether two addresses are in one network, as far as addresses tell: one /24, or one /64 of
/// IPv6.
fn is_near(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.to_bits() >> 8 == other.to_bits() >> 8,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() >> 64 == other.to_bits() >> 64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_network_is_elsewhere() {
        for (one, other, near) in [
            ("192.0.2.1", "192.0.2.254", true),
            ("192.0.2.1", "::ffff:192.0.2.7", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("192.0.2.1", "2001:db8::1", false),
        ] {
            let [one, other] = [one, other].map(|addr| addr.parse().unwrap());
            assert_eq!(is_near(one, other), near, "{one} {other}");
        }
    }
}
