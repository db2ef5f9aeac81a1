//! Passwords for SSH, and the sessions that begin by them.

use super::*;
use crate::session::{Claims, Reason, Revocation};

fn payload() -> Value {
    json!({ "sub": "alice", "aud": "vestibule/ssh", "iat": now(), "exp": now() + 600 })
}

fn judge(sessions: &Sessions, payload: &Value) -> Result<Claims, Reason> {
    let header = json!({ "alg": "HS256", "typ": "vestibule-ssh+jwt" });
    let claims = sessions.ssh(&token(&header, payload));
    claims.map_err(|denied| match denied {
        Denied::Refused { reason } => reason,
        Denied::NoSession => panic!("a token was offered"),
    })
}

#[test]
fn a_session_that_begins_by_a_token_outlives_it_but_not_what_it_says() {
    let sessions = sessions();
    let claims = judge(&sessions, &payload()).unwrap();
    assert!(unix(claims.expires) > now() + 24 * 60 * 60);
    let end = now() + 5000;
    let bounded = with(payload(), &json!({ "session_exp": end }));
    assert_eq!(unix(judge(&sessions, &bounded).unwrap().expires), end);
    let over = with(payload(), &json!({ "session_exp": now() - 1 }));
    assert_eq!(judge(&sessions, &over), Err(Reason::Expired));
}

#[test]
fn a_token_for_some_apps_lets_in_only_if_ssh_is_among_them() {
    for (apps, gets_in) in [
        (json!([]), false),
        (json!(["jupyter", "terminal"]), false),
        (json!(["jupyter", "ssh"]), true),
    ] {
        let claims = judge(&sessions(), &with(payload(), &json!({ "apps": apps })));
        let refused = claims.err();
        assert_eq!(refused, (!gets_in).then_some(Reason::Apps), "{apps}");
    }
}

#[test]
fn a_password_of_ours_is_for_the_session_that_it_was_made_in() {
    let sessions = sessions();
    let payload = with(
        session_payload(),
        &json!({ "uid": 7, "apps": ["ssh", "jupyter"] }),
    );
    let entry = sessions.authenticate(&bearer(&token(&session_header(), &payload)));
    let claims = entry.unwrap().claims().clone();
    let password = sessions.ssh_password(&claims, Duration::from_mins(5));
    let begun = sessions.ssh(&password).unwrap();
    let of = |claims: &Claims| {
        (
            (claims.user.clone(), claims.session.clone()),
            (claims.uid.clone(), claims.apps.clone()),
            unix(claims.expires),
        )
    };
    assert_eq!(of(&begun), of(&claims));
    let limited = Claims {
        apps: Some(Vec::new()),
        ..claims.clone()
    };
    let password_of_limited = sessions.ssh_password(&limited, Duration::from_mins(5));
    assert!(sessions.ssh(&password_of_limited).is_err());
    let revoked = Revocation::Session(claims.session.clone());
    sessions.revoke(revoked).unwrap();
    // What it was made in and what began by it have ended, and nothing begins by it any more.
    assert!(sessions.is_revoked(&claims) && sessions.is_revoked(&begun));
    assert!(sessions.ssh(&password).is_err());
}
