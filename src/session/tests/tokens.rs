//! What a session token must be (J1 to J7).

use std::time::UNIX_EPOCH;

use super::*;
use crate::session::{Credential, Denied, Reason};

fn judge(token: &str) -> Result<(), Reason> {
    match sessions().authenticate(&bearer(token)) {
        Ok(_) => Ok(()),
        Err(Denied::Refused { reason }) => Err(reason),
        Err(Denied::NoSession) => panic!("a token was offered"),
    }
}

fn judge_claims(changes: &Value) -> Result<(), Reason> {
    judge(&token(&session_header(), &with(session_payload(), changes)))
}

#[test]
fn a_good_token_lets_its_user_in() {
    let entry = sessions()
        .authenticate(&bearer(&token(
            &session_header(),
            &with(
                session_payload(),
                &json!({"uid": 7, "apps": ["jupyter"], "jti": "t-1"}),
            ),
        )))
        .unwrap();
    assert_eq!(entry.by, Credential::Bearer);
    assert_eq!(entry.claims().user.as_str(), "alice");
    assert_eq!(entry.claims().session, "s-1");
    assert_eq!(entry.claims().uid.as_deref(), Some("7"));
    assert_eq!(entry.claims().apps.as_ref().unwrap()[0].as_str(), "jupyter");
}

#[test]
fn the_session_is_named_by_sid_then_jti_then_the_hash() {
    let named = |payload: &Value| {
        let headers = bearer(&token(&session_header(), payload));
        sessions()
            .authenticate(&headers)
            .unwrap()
            .claims()
            .session
            .clone()
    };
    let both = with(session_payload(), &json!({"jti": "t-1"}));
    assert_eq!(named(&both), "s-1");
    assert_eq!(named(&without(both, "sid")), "t-1");
    assert_eq!(named(&without(session_payload(), "sid")).len(), 32);
}

#[test]
fn j1_a_token_without_a_signature_is_refused() {
    for alg in ["none", "None", "nOnE", "", "HS384", "hs256", "RS256"] {
        let signed = token(
            &with(session_header(), &json!({"alg": alg})),
            &session_payload(),
        );
        assert_eq!(judge(&signed), Err(Reason::Algorithm), "{alg}");
        let bare = format!("{}.", signed.rsplit_once('.').unwrap().0);
        assert_eq!(judge(&bare), Err(Reason::Algorithm), "{alg}");
    }
    let good = token(&session_header(), &session_payload());
    let bare = format!("{}.", good.rsplit_once('.').unwrap().0);
    assert_eq!(judge(&bare), Err(Reason::Signature));
    let no_alg = token(&without(session_header(), "alg"), &session_payload());
    assert_eq!(judge(&no_alg), Err(Reason::Algorithm));
}

#[test]
fn a_token_changed_in_any_part_is_refused() {
    let good = token(&session_header(), &session_payload());
    assert_eq!(judge(&good), Ok(()));
    for (at, c) in good.char_indices() {
        // The last character of a part may carry bits that mean nothing: those must be zero.
        let other = if c == 'A' { 'B' } else { 'A' };
        let mut forged = good.clone();
        forged.replace_range(at..=at, &other.to_string());
        assert!(judge(&forged).is_err(), "{at}");
    }
    for broken in [
        "a",
        "a.b",
        "a.b.c",
        "..",
        "...",
        "e30.e30.",
        &format!("{good}.x"),
    ] {
        assert!(judge(broken).is_err(), "{broken}");
    }
    assert_eq!(
        judge(&"a".repeat(crate::session::denied::MAX_LENGTH + 1)),
        Err(Reason::TooLong)
    );
}

#[test]
fn a_token_of_another_kind_is_refused() {
    for (typ, outcome) in [
        (json!("vestibule-session+jwt"), Ok(())),
        (json!("Vestibule-Session+JWT"), Ok(())),
        (json!("application/vestibule-session+jwt"), Ok(())),
        (json!("Application/vestibule-session+jwt"), Ok(())),
        (json!("text/vestibule-session+jwt"), Err(Reason::Kind)),
        (json!("vestibule-handoff+jwt"), Err(Reason::Kind)),
        (json!("vestibule-cookie+jwt"), Err(Reason::Kind)),
        (json!("JWT"), Err(Reason::Kind)),
        (json!(""), Err(Reason::Kind)),
        (json!(7), Err(Reason::Kind)),
    ] {
        let header = with(session_header(), &json!({ "typ": typ }));
        assert_eq!(judge(&token(&header, &session_payload())), outcome, "{typ}");
    }
    let none = token(&without(session_header(), "typ"), &session_payload());
    assert_eq!(judge(&none), Err(Reason::Kind));
}

#[test]
fn j5_a_header_that_asks_for_extensions_is_refused() {
    for changes in [
        json!({"crit": ["x"]}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"b64": false}),
        json!({"crit": []}),
        json!({"crit": null}),
    ] {
        let token = token(&with(session_header(), &changes), &session_payload());
        assert_eq!(judge(&token), Err(Reason::Extension), "{changes}");
    }
}

#[test]
fn claims_of_the_wrong_form_are_refused() {
    let now = now();
    let ill = Err::<(), _>(Reason::IllFormed("sub"));
    for (changes, outcome) in [
        // J3
        (json!({"nbf": now + 600}), Err(Reason::NotYetValid)),
        (json!({"nbf": "x"}), Err(Reason::IllFormed("nbf"))),
        (json!({"nbf": null}), Err(Reason::IllFormed("nbf"))),
        (json!({"nbf": now + 10}), Ok(())),
        (json!({"iat": now + 600}), Err(Reason::NotYetValid)),
        (json!({"iat": "x"}), Err(Reason::IllFormed("iat"))),
        (json!({"iat": u64::MAX}), Err(Reason::NotYetValid)),
        (
            json!({"iat": serde_json::from_str::<Value>(&format!("{now}.5")).unwrap()}),
            Ok(()),
        ),
        (json!({"iat": now - 31 * 24 * 3600}), Err(Reason::Expired)),
        // J4
        (json!({"aud": "other"}), Err(Reason::Audience)),
        (json!({"aud": {"a": 1}}), Err(Reason::IllFormed("aud"))),
        (json!({"aud": []}), Err(Reason::Audience)),
        (
            json!({"aud": ["vestibule", 1]}),
            Err(Reason::IllFormed("aud")),
        ),
        (json!({"aud": null}), Err(Reason::IllFormed("aud"))),
        (json!({"aud": "Vestibule"}), Err(Reason::Audience)),
        (json!({"aud": ["x", "vestibule"]}), Ok(())),
        // J6
        (json!({"sub": 7}), ill),
        (json!({"sub": null}), ill),
        (json!({"sub": ["alice"]}), ill),
        (json!({"sub": ""}), ill),
        (json!({"sub": "alice\0"}), ill),
        (json!({"sub": "x".repeat(65)}), ill),
        (json!({"sub": ".."}), ill),
        (json!({"sub": "x".repeat(64)}), Ok(())),
        // J7
        (json!({"exp": "1e10"}), Err(Reason::IllFormed("exp"))),
        (json!({"exp": -1}), Err(Reason::IllFormed("exp"))),
        (json!({"exp": -0.5}), Err(Reason::IllFormed("exp"))),
        (json!({"exp": 1e300}), Err(Reason::IllFormed("exp"))),
        (json!({"exp": null}), Err(Reason::IllFormed("exp"))),
        (json!({"exp": now}), Err(Reason::Expired)),
        (json!({"exp": now - 1}), Err(Reason::Expired)),
        (json!({"exp": 1e10}), Ok(())),
        (json!({"exp": 0}), Err(Reason::Expired)),
        // Ours
        (json!({"uid": {"a": 1}}), Err(Reason::IllFormed("uid"))),
        (json!({"uid": ""}), Err(Reason::IllFormed("uid"))),
        (json!({"uid": "a\nb"}), Err(Reason::IllFormed("uid"))),
        (json!({"uid": "0e9c-11"}), Ok(())),
        (json!({"sid": 7}), Err(Reason::IllFormed("sid"))),
        (
            json!({"sid": "x".repeat(129)}),
            Err(Reason::IllFormed("sid")),
        ),
        (json!({"jti": 7}), Err(Reason::IllFormed("jti"))),
        (json!({"apps": "jupyter"}), Err(Reason::IllFormed("apps"))),
        (json!({"apps": [7]}), Err(Reason::IllFormed("apps"))),
        (json!({"apps": ["../x"]}), Err(Reason::IllFormed("apps"))),
        (
            json!({"apps": vec!["a"; 33]}),
            Err(Reason::IllFormed("apps")),
        ),
        (json!({"apps": []}), Ok(())),
    ] {
        assert_eq!(judge_claims(&changes), outcome, "{changes}");
    }
    for (name, outcome) in [
        ("aud", Err(Reason::Missing("aud"))),
        ("exp", Err(Reason::Missing("exp"))),
        ("sub", Err(Reason::Missing("sub"))),
        ("iat", Err(Reason::Missing("iat"))),
        ("sid", Ok(())),
    ] {
        let token = token(&session_header(), &without(session_payload(), name));
        assert_eq!(judge(&token), outcome, "{name}");
    }
    let array = token(&session_header(), &json!(["alice"]));
    assert_eq!(judge(&array), Err(Reason::Malformed));
}

#[test]
fn j7_a_session_that_says_it_never_ends_is_capped() {
    for exp in [json!(u64::MAX), json!(1e19)] {
        let token = token(
            &session_header(),
            &with(session_payload(), &json!({ "exp": exp })),
        );
        let entry = sessions().authenticate(&bearer(&token)).unwrap();
        let ends = entry
            .claims()
            .expires
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert!(ends <= now() + 30 * 24 * 60 * 60, "{exp}");
    }
}

#[test]
fn the_issuer_must_be_the_configured_one() {
    let mut config = config(vec![hs256(None)]);
    config.issuer = Some("https://www".to_owned());
    for (iss, outcome) in [
        (json!("https://www"), Ok(())),
        (json!("https://other"), Err(Reason::Issuer)),
        (json!(["https://www"]), Err(Reason::IllFormed("iss"))),
    ] {
        let token = token(
            &session_header(),
            &with(session_payload(), &json!({ "iss": iss })),
        );
        let found = sessions_of(&config)
            .authenticate(&bearer(&token))
            .map(|_| ());
        assert_eq!(
            found,
            outcome.map_err(|reason| Denied::Refused { reason }),
            "{iss}"
        );
    }
    let none = bearer(&token(&session_header(), &session_payload()));
    let reason = Reason::Missing("iss");
    assert_eq!(
        sessions_of(&config).authenticate(&none).unwrap_err(),
        Denied::Refused { reason }
    );
}

#[test]
fn a_verified_token_is_found_in_memory_until_it_ends() {
    let sessions = sessions();
    let headers = bearer(&token(&session_header(), &session_payload()));
    let first = sessions.authenticate(&headers).unwrap();
    let second = sessions.authenticate(&headers).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first.live, &second.live));
    let late = SystemTime::now() + Duration::from_mins(10);
    let reason = Reason::Expired;
    assert_eq!(
        sessions.authenticate_at(&headers, late).unwrap_err(),
        Denied::Refused { reason }
    );
}

#[test]
fn no_refusal_says_anything_of_the_token() {
    let token = token(
        &session_header(),
        &with(session_payload(), &json!({"sub": "s3cret/"})),
    );
    let denied = sessions().authenticate(&bearer(&token)).unwrap_err();
    assert!(!format!("{denied} {denied:?}").contains("s3cret"));
}
