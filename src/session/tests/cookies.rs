//! Where tokens are looked for, our own cookie (C4 to C6) and its key.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use super::*;
use crate::session::{Claims, Credential, Denied, Issued, Reason, StateError, cookie_key};

/// A good cookie of ours for this user.
fn our_cookie(sessions: &Sessions, user: &str) -> String {
    let payload = with(
        session_payload(),
        &json!({ "sub": user, "uid": "7", "apps": ["a"] }),
    );
    let entry = sessions
        .authenticate(&bearer(&token(&session_header(), &payload)))
        .unwrap();
    let set = sessions.cookie_for(entry.claims());
    set.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn user_of(sessions: &Sessions, headers: &HeaderMap) -> (String, Credential) {
    let entry = sessions.authenticate(headers).unwrap();
    (entry.claims().user.to_string(), entry.by)
}

#[test]
fn our_cookie_brings_back_the_claims_it_was_made_of() {
    let sessions = sessions();
    let claims = Claims {
        user: crate::names::Username::parse("alice").unwrap(),
        session: "s-1".to_owned(),
        token: Some("j-1".to_owned()),
        issued: Issued::After(3),
        expires: std::time::UNIX_EPOCH + Duration::from_secs(now() + 600),
        uid: Some("7".to_owned()),
        apps: Some(vec![crate::names::AppName::parse("jupyter").unwrap()]),
    };
    let set = sessions.cookie_for(&claims);
    let headers = cookies(set.to_str().unwrap().split(';').next().unwrap());
    assert_eq!(*sessions.authenticate(&headers).unwrap().claims(), claims);
}

#[test]
fn c4_a_forged_cookie_does_not_hide_a_good_one() {
    let sessions = sessions();
    let good = our_cookie(&sessions, "alice");
    let other_key = signed(
        &with(session_header(), &json!({"typ": "vestibule-cookie+jwt"})),
        &session_payload(),
        SECRET,
    );
    for line in [
        format!("{OURS}=forged; {good}"),
        format!("{OURS}={other_key}; {good}"),
        format!("{OURS}=; a=b;{good} ; c=d"),
        format!("x{good}; {good}"),
        format!("{good}; {OURS}=forged"),
    ] {
        let found = user_of(&sessions, &cookies(&line));
        assert_eq!(found, ("alice".to_owned(), Credential::Cookie), "{line}");
    }
    let mut two_lines = cookies(&format!("{OURS}=forged"));
    two_lines.append(header::COOKIE, HeaderValue::from_str(&good).unwrap());
    assert_eq!(user_of(&sessions, &two_lines).0, "alice");
}

#[test]
fn a_cookie_of_any_bytes_does_not_hide_ours_beside_it() {
    let sessions = sessions();
    let line = [b"a=\xff\xe9\"; ", our_cookie(&sessions, "alice").as_bytes()].concat();
    let line = HeaderValue::from_bytes(&line).unwrap();
    let headers = HeaderMap::from_iter([(header::COOKIE, line)]);
    assert_eq!(user_of(&sessions, &headers).0, "alice");
}

#[test]
fn our_cookie_is_signed_by_our_key_alone_and_is_no_bearer() {
    let sessions = sessions();
    let payload = session_payload();
    let header = with(session_header(), &json!({"typ": "vestibule-cookie+jwt"}));
    for (token, reason) in [
        (token(&header, &payload), Reason::Signature),
        (token(&session_header(), &payload), Reason::Kind),
        (
            signed(&session_header(), &payload, COOKIE_SECRET),
            Reason::Kind,
        ),
    ] {
        // Known as a bearer or not makes no difference.
        let _ = sessions.authenticate(&bearer(&token));
        let refused = sessions
            .authenticate(&cookies(&format!("{OURS}={token}")))
            .unwrap_err();
        assert_eq!(refused, Denied::Refused { reason });
    }
    let ours = with(payload, &json!({"after": 0}));
    let ours = signed(&header, &ours, COOKIE_SECRET);
    assert!(
        sessions
            .authenticate(&cookies(&format!("{OURS}={ours}")))
            .is_ok()
    );
    let reason = Reason::Kind;
    for headers in [bearer(&ours), cookies(&format!("ide_session={ours}"))] {
        assert_eq!(
            sessions.authenticate(&headers).unwrap_err(),
            Denied::Refused { reason }
        );
    }
}

#[test]
fn cookie_comes_before_shared_cookie_before_bearer() {
    let sessions = sessions();
    let of = |user: &str| {
        token(
            &session_header(),
            &with(session_payload(), &json!({ "sub": user })),
        )
    };
    let shared = format!("ide_session={}", of("bob"));
    let both = format!("{shared}; {}", our_cookie(&sessions, "alice"));
    for (line, user, by) in [
        (both, "alice", Credential::Cookie),
        (shared.clone(), "bob", Credential::SharedCookie),
        (
            format!("{OURS}=bad; {shared}"),
            "bob",
            Credential::SharedCookie,
        ),
        ("a=b".to_owned(), "carol", Credential::Bearer),
    ] {
        let mut headers = bearer(&of("carol"));
        headers.extend(cookies(&line));
        assert_eq!(
            user_of(&sessions, &headers),
            (user.to_owned(), by),
            "{line}"
        );
    }
}

#[test]
fn nothing_offered_is_no_session() {
    let sessions = sessions();
    let basic = HeaderMap::from_iter([(
        header::AUTHORIZATION,
        HeaderValue::from_static("Basic dXNlcjpwYXNz"),
    )]);
    for headers in [HeaderMap::new(), cookies("a=b; sessionid=x"), basic] {
        assert_eq!(
            sessions.authenticate(&headers).unwrap_err(),
            Denied::NoSession
        );
    }
}

#[test]
fn a_flood_of_forged_cookies_is_not_read_to_its_end() {
    let sessions = sessions();
    let good = our_cookie(&sessions, "alice");
    let flood = format!("{OURS}=x; ").repeat(2000);
    assert!(
        sessions
            .authenticate(&cookies(&format!("{flood}{good}")))
            .is_err()
    );
}

#[test]
fn c5_our_cookie_is_kept_to_this_host_and_out_of_scripts() {
    let sessions = sessions();
    let entry = sessions
        .authenticate(&bearer(&token(&session_header(), &session_payload())))
        .unwrap();
    let set = sessions.cookie_for(entry.claims());
    let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-vestibule-session=ey"));
    let (attributes, age) = attributes.rsplit_once("Max-Age=").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; ");
    assert!((598..=600).contains(&age.parse::<u64>().unwrap()), "{age}");
}

#[test]
fn our_cookie_fits_into_a_browser_at_its_longest() {
    let sessions = sessions();
    let long = |n: usize| "\u{1F600}".repeat(n / 4);
    let apps: Vec<_> = (0..32).map(|n| format!("{n:0>32}")).collect();
    let payload = with(
        session_payload(),
        &json!({ "sub": "x".repeat(64), "sid": long(128), "uid": long(128), "apps": apps }),
    );
    let entry = sessions
        .authenticate(&bearer(&token(&session_header(), &payload)))
        .unwrap();
    assert!(sessions.cookie_for(entry.claims()).len() < 4096);
}

#[test]
fn logging_out_removes_every_cookie_of_ours() {
    let sessions = sessions();
    let names = sessions.own_cookie_names();
    assert_eq!(names, [OURS, "__Host-vestibule-state", "ide_session"]);
    for (cookie, name) in sessions.clear_cookies().zip(names) {
        let text = cookie.to_str().unwrap();
        assert_eq!(
            text,
            format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
        );
    }
}

#[test]
fn authorization_is_ours_if_it_carries_a_token_for_us() {
    let good = token(&session_header(), &session_payload());
    let forged = signed(&session_header(), &session_payload(), b"another");
    let foreign = token(&json!({"alg": "HS256", "typ": "JWT"}), &session_payload());
    for (headers, ours) in [
        (bearer(&good), true),
        (bearer(&forged), true),
        (bearer(&foreign), false),
        (bearer("opaque"), false),
        (HeaderMap::new(), false),
    ] {
        assert_eq!(Sessions::owns_authorization(&headers), ours, "{headers:?}");
    }
}

/// A directory of this test's own, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("vestibule-session-{}", crate::secret::random_id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_cookie_key_is_made_once_and_for_its_owner_alone() {
    let place = Place::new();
    let state_dir = place.0.join("deeper");
    let first = cookie_key(&state_dir).unwrap();
    assert_eq!(first.expose().len(), 32);
    assert!(first == cookie_key(&state_dir).unwrap());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state_dir.join("cookie.key")), 0o600);
    assert_eq!(mode(&state_dir), 0o700);
    assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1);
}

#[test]
fn of_processes_that_make_the_cookie_key_at_once_all_get_the_same() {
    let place = Place::new();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let made: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| cookie_key(&place.0).unwrap()))
            .collect();
        made.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn a_cookie_key_that_others_can_read_or_guess_is_refused() {
    let place = Place::new();
    cookie_key(&place.0).unwrap();
    let file = place.0.join("cookie.key");
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let error = cookie_key(&place.0).unwrap_err();
        assert!(matches!(error, StateError::Exposed { mode: found, .. } if found == mode));
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for bytes in [vec![], vec![1; 31], vec![1; 1025]] {
        fs::write(&file, bytes).unwrap();
        assert!(matches!(
            cookie_key(&place.0),
            Err(StateError::Unusable { .. })
        ));
    }
}
