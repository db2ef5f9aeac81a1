//! Hand-offs: once, soon, and for the browser that asked (C1, C2).

use std::{sync::Barrier, thread};

use super::*;
use crate::session::{Claims, Denied, Handoff, Reason};

fn offer(sessions: &Sessions, changes: &Value) -> Result<Handoff, Reason> {
    let payload = with(handoff_payload("j-1"), changes);
    let token = token(&handoff_header(), &payload);
    sessions
        .handoff(&token, Some("nonce"))
        .map_err(|denied| match denied {
            Denied::Refused { reason } => reason,
            Denied::NoSession => panic!("a token was offered"),
        })
}

fn login(handoff: Handoff) -> std::sync::Arc<Claims> {
    match handoff {
        Handoff::Login(claims) => claims,
        Handoff::NeedsState => panic!("not logged in"),
    }
}

fn seconds_left(claims: &Claims) -> u64 {
    unix(claims.expires).saturating_sub(now())
}

#[test]
fn a_good_hand_off_begins_a_session() {
    let claims = login(offer(&sessions(), &json!({})).unwrap());
    assert_eq!(claims.user.as_str(), "alice");
    assert_eq!(claims.uid.as_deref(), Some("7"));
    assert_eq!(claims.session, "j-1");
    assert!((43_198..=43_200).contains(&seconds_left(&claims)));
}

#[test]
fn a_hand_off_can_shorten_the_session_but_never_lengthen_it() {
    for (end, longest) in [
        (json!(now() + 300), 300),
        (json!(now() + 999_999), 43_200),
        (json!(u64::MAX), 43_200),
    ] {
        let handoff = offer(&sessions(), &json!({ "session_exp": end })).unwrap();
        let left = seconds_left(&login(handoff));
        assert!((longest - 2..=longest).contains(&left), "{end} {left}");
    }
    for (end, reason) in [
        (json!(now()), Reason::Expired),
        (json!("x"), Reason::IllFormed("session_exp")),
        (json!(null), Reason::IllFormed("session_exp")),
    ] {
        let refused = offer(&sessions(), &json!({ "session_exp": end }));
        assert_eq!(refused.unwrap_err(), reason, "{end}");
    }
}

#[test]
fn c1_a_hand_off_works_once() {
    let sessions = sessions();
    login(offer(&sessions, &json!({})).unwrap());
    assert_eq!(offer(&sessions, &json!({})).unwrap_err(), Reason::Used);
    // The id counts, whatever else the second token says.
    let again = offer(&sessions, &json!({"sub": "bob", "exp": now() + 31}));
    assert_eq!(again.unwrap_err(), Reason::Used);
    login(offer(&sessions, &json!({"jti": "j-2"})).unwrap());
}

#[test]
fn c1_of_20_at_once_exactly_one_gets_in() {
    let sessions = sessions();
    for round in 0..50 {
        let token = token(&handoff_header(), &handoff_payload(&format!("j-{round}")));
        let gate = Barrier::new(20);
        let logins = thread::scope(|scope| {
            let tries: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        gate.wait();
                        sessions.handoff(&token, Some("nonce")).is_ok()
                    })
                })
                .collect();
            tries
                .into_iter()
                .filter_map(|one| one.join().unwrap().then_some(()))
                .count()
        });
        assert_eq!(logins, 1, "round {round}");
    }
}

#[test]
fn c2_another_browser_is_refused_and_does_not_use_the_token_up() {
    let sessions = sessions();
    let token = token(&handoff_header(), &handoff_payload("j-1"));
    for state in [
        None,
        Some(""),
        Some("another"),
        Some("nonce2"),
        Some("NONCE"),
    ] {
        let reason = Reason::OtherBrowser;
        let refused = sessions.handoff(&token, state).unwrap_err();
        assert_eq!(refused, Denied::Refused { reason }, "{state:?}");
    }
    login(sessions.handoff(&token, Some("nonce")).unwrap());
}

#[test]
fn a_link_without_state_sends_the_browser_to_log_in_and_uses_nothing_up() {
    let sessions = sessions();
    let bare = token(&handoff_header(), &without(handoff_payload("j-1"), "state"));
    for state in [None, Some("nonce")] {
        assert!(matches!(
            sessions.handoff(&bare, state),
            Ok(Handoff::NeedsState)
        ));
    }
    login(offer(&sessions, &json!({})).unwrap());
}

#[test]
fn a_token_from_before_a_restart_counts_as_one_without_state() {
    let sessions = sessions();
    let before = offer(&sessions, &json!({"iat": now() - 20}));
    assert!(matches!(before, Ok(Handoff::NeedsState)));
    login(offer(&sessions, &json!({})).unwrap());
}

#[test]
fn a_hand_off_out_of_its_time_or_form_is_refused() {
    let now = now();
    for (changes, reason) in [
        (json!({"exp": now + 61}), Reason::LivesTooLong),
        (json!({"exp": u64::MAX}), Reason::LivesTooLong),
        (json!({"iat": now - 120, "exp": now - 60}), Reason::Expired),
        (json!({"iat": now - 60, "exp": now - 30}), Reason::Expired),
        (json!({"iat": 0, "exp": 0}), Reason::Expired),
        (json!({"iat": now - 300}), Reason::LivesTooLong),
        (
            json!({"iat": now + 60, "exp": now + 90}),
            Reason::NotYetValid,
        ),
        (json!({"iat": "x"}), Reason::IllFormed("iat")),
        (json!({"exp": "x"}), Reason::IllFormed("exp")),
        (json!({"nbf": now + 60}), Reason::NotYetValid),
        (json!({"jti": 7}), Reason::IllFormed("jti")),
        (json!({"jti": ""}), Reason::IllFormed("jti")),
        (json!({"jti": "x".repeat(129)}), Reason::IllFormed("jti")),
        (json!({"state": 7}), Reason::IllFormed("state")),
        (json!({"state": null}), Reason::IllFormed("state")),
        (json!({"aud": "other"}), Reason::Audience),
        (json!({"sub": "a/b"}), Reason::IllFormed("sub")),
    ] {
        assert_eq!(
            offer(&sessions(), &changes).unwrap_err(),
            reason,
            "{changes}"
        );
    }
    for name in ["iat", "exp", "jti", "aud", "sub"] {
        let token = token(&handoff_header(), &without(handoff_payload("j-1"), name));
        let reason = Reason::Missing(name);
        let refused = sessions().handoff(&token, Some("nonce")).unwrap_err();
        assert_eq!(refused, Denied::Refused { reason });
    }
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    let now = SystemTime::now();
    let early = now - Duration::from_secs(100);
    let sessions = Sessions::new_at(
        &config(vec![hs256(None)]),
        Secret::new(COOKIE_SECRET),
        Revocations::none(),
        early,
    )
    .unwrap();
    let at = unix(now);
    for (jti, iat) in [("behind", at - 55), ("ahead", at + 25)] {
        let payload = with(handoff_payload(jti), &json!({"iat": iat, "exp": iat + 30}));
        let token = token(&handoff_header(), &payload);
        let handoff = sessions.handoff_at(&token, Some("nonce"), now);
        assert!(matches!(handoff, Ok(Handoff::Login(_))), "{jti}");
    }
}

#[test]
fn neither_a_session_nor_a_cookie_token_is_a_hand_off_nor_the_other_way_round() {
    let sessions = sessions();
    let reason = Reason::Kind;
    let payload = with(handoff_payload("j-1"), &json!({"sid": "s-1"}));
    for typ in ["vestibule-session+jwt", "vestibule-cookie+jwt", "JWT"] {
        let token = token(&json!({"alg": "HS256", "typ": typ}), &payload);
        let refused = sessions.handoff(&token, Some("nonce")).unwrap_err();
        assert_eq!(refused, Denied::Refused { reason }, "{typ}");
    }
    let handoff = token(&handoff_header(), &payload);
    for headers in [
        bearer(&handoff),
        cookies(&format!("{OURS}={handoff}")),
        cookies(&format!("ide_session={handoff}")),
    ] {
        assert_eq!(
            sessions.authenticate(&headers).unwrap_err(),
            Denied::Refused { reason }
        );
    }
}
