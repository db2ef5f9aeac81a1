//! Ends of sessions: by revocation, logout and time (J8).

use std::sync::Arc;

use super::{algorithms::refused, *};
use crate::{
    names::Username,
    session::{Entry, Handoff, Reason, Revocation, memory},
};

fn user(name: &str) -> Revocation {
    Revocation::User(Username::parse(name).unwrap())
}

fn reason(sessions: &Sessions, headers: &HeaderMap) -> Option<Reason> {
    match sessions.authenticate(headers) {
        Ok(_) => None,
        Err(super::super::Denied::Refused { reason }) => Some(reason),
        Err(denied) => panic!("{denied}"),
    }
}

/// A bearer token with these claims.
fn token_with(changes: &Value) -> HeaderMap {
    bearer(&token(&session_header(), &with(session_payload(), changes)))
}

/// A browser that logs in now, or that began to when this `state` was made.
fn log_in(sessions: &Sessions, state: &str, jti: &str) -> Option<HeaderMap> {
    let payload = with(
        handoff_payload(jti),
        &json!({ "state": state, "sid": "s-1" }),
    );
    let token = token(&handoff_header(), &payload);
    let nonce = state.split('.').next();
    match sessions.handoff(&token, nonce).unwrap() {
        Handoff::Login(claims) => {
            let set = sessions.cookie_for(&claims);
            Some(cookies(set.to_str().unwrap().split(';').next().unwrap()))
        }
        Handoff::NeedsState => None,
    }
}

fn state_now(sessions: &Sessions) -> String {
    sessions.begin_login(&HeaderMap::new()).unwrap().state
}

#[test]
fn a_revocation_ends_what_it_names_and_nothing_else() {
    for (what, hit) in [
        (user("alice"), [true, true, true, false]),
        (user("bob"), [false, false, false, true]),
        (user("Alice"), [false; 4]),
        (
            Revocation::Session("s-1".to_owned()),
            [true, true, false, false],
        ),
        (Revocation::Session("t-1".to_owned()), [false; 4]),
        (
            Revocation::Token("t-1".to_owned()),
            [true, false, false, false],
        ),
        (Revocation::Token("s-1".to_owned()), [false; 4]),
    ] {
        let sessions = sessions();
        let all = [
            json!({"sid": "s-1", "jti": "t-1"}),
            json!({"sid": "s-1", "jti": "t-2"}),
            json!({"sid": "s-2", "jti": "t-3"}),
            json!({"sub": "bob", "sid": "s-3", "jti": "t-4"}),
        ];
        let all = all.map(|changes| token_with(&changes));
        let seen: Vec<Entry> = all[..3]
            .iter()
            .map(|headers| sessions.authenticate(headers).unwrap())
            .collect();
        sessions.revoke(what.clone()).unwrap();
        // The last one is seen only now.
        for (headers, hit) in all.iter().zip(hit) {
            let expected = hit.then_some(Reason::Revoked);
            assert_eq!(reason(&sessions, headers), expected, "{what:?}");
        }
        for (entry, hit) in seen.iter().zip(hit) {
            assert_eq!(entry.live.ended.is_cancelled(), hit, "{what:?}");
        }
    }
}

#[test]
fn a_revocation_counts_sessions_and_not_tokens() {
    let sessions = sessions();
    for (sid, jti) in [("s-1", "t-1"), ("s-1", "t-2"), ("s-2", "t-3")] {
        let headers = token_with(&json!({ "sid": sid, "jti": jti }));
        sessions.authenticate(&headers).unwrap();
    }
    assert_eq!(sessions.revoke(user("bob")).unwrap(), 0);
    assert_eq!(sessions.revoke(user("alice")).unwrap(), 2);
    assert_eq!(sessions.revoke(user("alice")).unwrap(), 0);
}

#[test]
fn a_token_from_after_the_revocation_lets_its_user_in_again() {
    let sessions = sessions();
    sessions.revoke(user("alice")).unwrap();
    let fresh = now() + 1;
    for (iat, expected) in [
        (json!(fresh), None),
        (format!("{fresh}.25").parse().unwrap(), None),
        (json!(fresh - 1), Some(Reason::Revoked)),
        (json!(fresh - 400), Some(Reason::Revoked)),
    ] {
        let headers = token_with(&json!({ "iat": iat, "sid": iat.to_string() }));
        assert_eq!(reason(&sessions, &headers), expected, "{iat}");
    }
}

#[test]
fn a_token_seen_before_is_old_even_by_a_clock_ahead_of_ours() {
    let sessions = sessions();
    let ahead = now() + 25;
    let seen = token_with(&json!({ "iat": ahead }));
    assert_eq!(reason(&sessions, &seen), None);
    sessions.revoke(user("alice")).unwrap();
    assert_eq!(reason(&sessions, &seen), Some(Reason::Revoked));
    let fresh = token_with(&json!({ "iat": ahead + 1 }));
    assert_eq!(reason(&sessions, &fresh), None);
}

#[test]
fn a_cookie_is_old_or_new_within_the_same_moment() {
    let sessions = sessions();
    let before = log_in(&sessions, &state_now(&sessions), "j-1").unwrap();
    assert_eq!(reason(&sessions, &before), None);
    let unseen = log_in(&sessions, &state_now(&sessions), "j-2").unwrap();
    sessions.revoke(user("alice")).unwrap();
    // The same session of the web application, the same second.
    let after = log_in(&sessions, &state_now(&sessions), "j-3").unwrap();
    for (headers, expected) in [
        (&before, Some(Reason::Revoked)),
        (&unseen, Some(Reason::Revoked)),
        (&after, None),
    ] {
        assert_eq!(reason(&sessions, headers), expected);
    }
    sessions
        .revoke(Revocation::Session("s-1".to_owned()))
        .unwrap();
    assert_eq!(reason(&sessions, &after), Some(Reason::Revoked));
}

#[test]
fn the_cookie_ends_with_the_hand_off_it_came_by() {
    let sessions = sessions();
    let [one, other] =
        ["j-1", "j-2"].map(|jti| log_in(&sessions, &state_now(&sessions), jti).unwrap());
    sessions
        .revoke(Revocation::Token("j-1".to_owned()))
        .unwrap();
    assert_eq!(reason(&sessions, &one), Some(Reason::Revoked));
    assert_eq!(reason(&sessions, &other), None);
}

#[test]
fn a_login_that_began_before_the_revocation_begins_again() {
    let sessions = sessions();
    let (alice, other) = (state_now(&sessions), state_now(&sessions));
    sessions.revoke(user("bob")).unwrap();
    assert!(log_in(&sessions, &alice, "j-1").is_some(), "not theirs");
    sessions.revoke(user("alice")).unwrap();
    assert!(log_in(&sessions, &other, "j-2").is_none());
    assert!(log_in(&sessions, &state_now(&sessions), "j-2").is_some());
}

#[test]
fn who_logs_out_ends_that_session_alone() {
    let sessions = sessions();
    let here = token_with(&json!({ "sid": "s-1" }));
    let there = token_with(&json!({ "sid": "s-2" }));
    let entry = sessions.authenticate(&here).unwrap();
    sessions.authenticate(&there).unwrap();
    sessions.log_out(&entry.live).unwrap();
    assert!(entry.live.ended.is_cancelled());
    assert_eq!(reason(&sessions, &here), Some(Reason::Revoked));
    assert_eq!(reason(&sessions, &there), None);
}

#[test]
fn a_token_that_races_its_revocation_never_stays_in() {
    for _ in 0..200 {
        let sessions = sessions();
        let headers = token_with(&json!({}));
        let entry = std::thread::scope(|scope| {
            let asked = scope.spawn(|| sessions.authenticate(&headers));
            sessions.revoke(user("alice")).unwrap();
            asked.join().unwrap()
        });
        // Whoever was let in a moment before it is told of the end.
        assert!(entry.is_err() || entry.unwrap().live.ended.is_cancelled());
        assert_eq!(reason(&sessions, &headers), Some(Reason::Revoked));
    }
}

#[tokio::test]
async fn a_session_that_ends_tells_who_holds_it() {
    let sessions = sessions();
    let payload = with(session_payload(), &json!({ "exp": now() + 1 }));
    let entry = sessions
        .authenticate(&bearer(&token(&session_header(), &payload)))
        .unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let run = sessions.run(stop.clone());
    let told = async {
        entry.live.ended.cancelled().await;
        stop.cancel();
    };
    let both = Box::pin(async { tokio::join!(run, told) });
    let limit = Duration::from_secs(3);
    tokio::time::timeout(limit, both).await.unwrap();
    assert!(SystemTime::now() >= entry.claims().expires);
}

#[test]
fn a_session_costs_nothing_more_once_it_is_known() {
    let sessions = sessions();
    let headers = token_with(&json!({}));
    let first = sessions.authenticate(&headers).unwrap();
    let hash = memory::hash(
        "vestibule-session+jwt",
        &token(&session_header(), &session_payload()),
    );
    let found = sessions.remembered.find(&hash, SystemTime::now());
    assert!(found.is_some_and(|live| std::sync::Arc::ptr_eq(&live, &first.live)));
}

#[test]
fn a_session_that_is_over_lets_no_connection_in_that_it_let_in_before() {
    let (sessions, last) = (sessions(), Last::default());
    let headers = token_with(&json!({}));
    let next = |now| sessions.authenticate_next_at(&headers, &last, now);
    let first = next(SystemTime::now()).unwrap();
    assert!(Arc::ptr_eq(
        &next(SystemTime::now()).unwrap().live,
        &first.live
    ));
    let late = first.claims().expires;
    assert_eq!(refused(next(late)), Some(Reason::Expired));
    sessions.revoke(user("alice")).unwrap();
    assert_eq!(refused(next(SystemTime::now())), Some(Reason::Revoked));
}

#[test]
fn a_connection_is_let_in_as_nobody_but_who_it_names() {
    let (sessions, last) = (sessions(), Last::default());
    let next = |headers: &HeaderMap| sessions.authenticate_next(headers, &last);
    let ann = token_with(&json!({ "sub": "ann", "sid": "s-1" }));
    let bob = token_with(&json!({ "sub": "bob", "sid": "s-2" }));
    for (headers, name) in [(&ann, "ann"), (&bob, "bob"), (&ann, "ann")] {
        assert_eq!(next(headers).unwrap().claims().user.as_str(), name);
    }
    let mut forged = ann.clone();
    let text = ann[header::AUTHORIZATION].to_str().unwrap();
    forged.insert(header::AUTHORIZATION, format!("{text}A").parse().unwrap());
    assert_eq!(refused(next(&forged)), Some(Reason::Signature));
    // Good for what it was offered as, and for nothing else.
    let token = text.strip_prefix("Bearer ").unwrap();
    let cookie = cookies(&format!("{OURS}={token}"));
    assert_eq!(refused(next(&cookie)), Some(Reason::Kind));
    assert_eq!(next(&HeaderMap::new()).unwrap_err(), Denied::NoSession);
}
