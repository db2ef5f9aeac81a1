//! Coming in by a hand-off: good tokens once, bad ones never.

use serde_json::{Value, json};

use crate::world::{
    World,
    keys::{HANDOFF, SESSION, handoff_claims, hs256, now, unsigned, with},
    person::{SESSION_COOKIE, callback_path},
    shared,
};

/// Whether a callback of a fresh browser with this token is refused as it should be: a plain
/// page, no cookie, and an audit line that names the reason but not the token.
async fn is_refused(world: &World, what: &str, make: impl FnOnce(&str) -> String) {
    let visitor = world.visitor("/").await;
    let token = make(&visitor.state);
    let before = world.audit("denied").len();
    let answer = world.callback(&visitor, &token, "/").send().await;
    let status = answer.status.as_u16();
    assert!([400, 401].contains(&status), "{what}: {status}");
    assert!(answer.is_page(), "{what}: {}", answer.text());
    assert_eq!(answer.set_cookie(SESSION_COOKIE), None, "{what}");
    let lines = world.audit("denied");
    assert!(lines.len() > before, "{what}: no audit line");
}

#[tokio::test]
async fn a_login_ends_on_the_page_that_was_asked_for() {
    let world = shared().await;
    let path = format!("/recorder/{}/?a=1&b=2", world.alice);
    let answer = world.get(&path).navigate().send().await;
    assert_eq!(answer.location_query()["next"], path);
    // What would not be gone back to is not told, nor is it read at any length.
    let long = |bytes| format!("{path}?{}", "~".repeat(bytes));
    let answer = world.get(&long(3000)).navigate().send().await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.location_query()["next"]),
        (303, "/")
    );
    let answer = world.get(&long(17_000)).navigate().send().await;
    assert_eq!(answer.status, 414, "{}", answer.text());
    let visitor = world.visitor(&path).await;
    let claims = handoff_claims(&world.alice, &visitor.state);
    let token = world.keys.sign(HANDOFF, &claims);
    let answer = world.callback(&visitor, &token, &path).send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, path.as_str())
    );
}

#[tokio::test]
async fn our_cookie_is_for_us_alone() {
    let world = shared().await;
    let visitor = world.visitor("/").await;
    let claims = handoff_claims(&world.alice, &visitor.state);
    let token = world.keys.sign(HANDOFF, &claims);
    let answer = world.callback(&visitor, &token, "/").send().await;
    let cookie = answer.set_cookie(SESSION_COOKIE).unwrap().to_lowercase();
    for attribute in ["; secure", "; httponly", "; samesite=lax", "; path=/"] {
        assert!(cookie.contains(attribute), "{attribute}");
    }
    assert!(!cookie.contains("; domain"));
    let age: u64 = {
        let (_, rest) = cookie.split_once("max-age=").unwrap();
        rest.split(';').next().unwrap().parse().unwrap()
    };
    assert!(
        (3500..=3600).contains(&age),
        "the site's session ends first: {age}"
    );
}

#[tokio::test]
async fn a_token_is_good_once_however_many_try_at_once() {
    let world = shared().await;
    let visitor = world.visitor("/").await;
    let claims = handoff_claims(&world.alice, &visitor.state);
    let token = world.keys.sign(HANDOFF, &claims);
    let tries = (0..20).map(|_| world.callback(&visitor, &token, "/").send());
    let answers = futures_util::future::join_all(tries).await;
    let good = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(good, 1);
    for answer in answers.iter().filter(|answer| answer.status != 303) {
        assert_eq!(answer.status, 400);
        assert_eq!(answer.set_cookie(SESSION_COOKIE), None);
    }
    let again = world.callback(&visitor, &token, "/").send().await;
    assert_eq!(again.status, 400);
    assert!(again.is_page());
}

#[tokio::test]
async fn a_token_for_another_browser_is_refused() {
    let world = shared().await;
    let other = world.visitor("/").await;
    is_refused(&world, "another's state", |_| {
        world
            .keys
            .sign(HANDOFF, &handoff_claims(&world.alice, &other.state))
    })
    .await;
    let token = world
        .keys
        .sign(HANDOFF, &handoff_claims(&world.alice, &other.state));
    world.secret(&token);
    let bare = world
        .get(&callback_path(&token, "/"))
        .navigate()
        .send()
        .await;
    assert_eq!(bare.status, 400, "no state cookie");
    assert_eq!(bare.set_cookie(SESSION_COOKIE), None);
}

#[tokio::test]
async fn a_link_that_began_elsewhere_goes_through_the_login_once() {
    let world = shared().await;
    let claims = with(handoff_claims(&world.alice, ""), &json!({"state": null}));
    let token = world.keys.sign(HANDOFF, &claims);
    world.secret(&token);
    let answer = world
        .get(&callback_path(&token, "/"))
        .navigate()
        .send()
        .await;
    assert_eq!(answer.status, 303);
    assert!(
        answer
            .header("location")
            .starts_with(&format!("http://{}/", world.site))
    );
    assert_eq!(answer.set_cookie(SESSION_COOKIE), None);
}

#[tokio::test]
async fn forged_and_unsigned_tokens_are_refused() {
    let world = shared().await;
    let claims = |state: &str| handoff_claims(&world.alice, state);
    for alg in ["none", "None", "nOnE"] {
        is_refused(&world, alg, |state| {
            format!(
                "{}.",
                unsigned(&json!({"alg": alg, "typ": HANDOFF}), &claims(state))
            )
        })
        .await;
    }
    for name in ["rs256", "es256", "eddsa"] {
        let pem = world.keys.file(&format!("{name}.pub"));
        let bare = pem.strip_suffix(b"\n").unwrap_or(&pem);
        for key in [&pem[..], bare] {
            for header in [
                json!({"alg": "HS256", "typ": HANDOFF}),
                json!({"alg": "HS256", "typ": HANDOFF, "kid": name}),
            ] {
                let what = format!("{header} with a public key, {} bytes", key.len());
                is_refused(&world, &what, |state| hs256(&header, &claims(state), key)).await;
            }
        }
    }
    for header in [
        json!({"alg": "HS256", "typ": SESSION}),
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "typ": HANDOFF, "kid": "rs256"}),
        json!({"alg": "HS256", "typ": HANDOFF, "kid": "unknown"}),
        json!({"alg": "HS384", "typ": HANDOFF}),
        json!({"alg": "HS256", "typ": HANDOFF, "crit": ["x"], "x": 1}),
        json!({"alg": "HS256", "typ": HANDOFF, "crit": ["b64"], "b64": false}),
    ] {
        let key = world.keys.shared.as_bytes();
        is_refused(&world, &header.to_string(), |state| {
            hs256(&header, &claims(state), key)
        })
        .await;
    }
    for junk in ["", "x", "a.b.c", "..", "%00", "a.b.c.d"] {
        is_refused(&world, junk, |_| junk.to_owned()).await;
    }
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let world = shared().await;
    let long = "x".repeat(65);
    for changes in [
        json!({"exp": now() - 60}),
        json!({"exp": null}),
        json!({"exp": "1e10"}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
        json!({"exp": now() + 600}),
        json!({"nbf": now() + 600}),
        json!({"nbf": "x"}),
        json!({"aud": null}),
        json!({"aud": "other"}),
        json!({"aud": {"a": 1}}),
        json!({"aud": []}),
        json!({"sub": 7}),
        json!({"sub": null}),
        json!({"sub": ["alice"]}),
        json!({"sub": ""}),
        json!({"sub": ".."}),
        json!({"sub": "alice\u{0}"}),
        json!({"sub": long}),
        json!({"jti": null}),
        json!({"jti": 7}),
        json!({"state": "other"}),
    ] {
        is_refused(&world, &changes.to_string(), |state| {
            let claims = with(handoff_claims(&world.alice, state), &changes);
            world.keys.sign(HANDOFF, &claims)
        })
        .await;
    }
}

#[tokio::test]
async fn every_configured_algorithm_logs_in() {
    let world = shared().await;
    for header in [
        json!({"alg": "RS256", "typ": HANDOFF, "kid": "rs256"}),
        json!({"alg": "ES256", "typ": HANDOFF, "kid": "es256"}),
        json!({"alg": "EdDSA", "typ": HANDOFF, "kid": "eddsa"}),
    ] {
        let visitor = world.visitor("/").await;
        let claims = with(handoff_claims(&world.alice, &visitor.state), &audiences());
        let token = world.keys.sign_with(&header, &claims);
        let answer = world.callback(&visitor, &token, "/").send().await;
        assert_eq!(answer.status, 303, "{header} {}", answer.text());
    }
}

/// `aud` may name several, as long as we are one of them (RFC 7519 4.1.3).
fn audiences() -> Value {
    json!({"aud": ["x", "vestibule"]})
}

#[tokio::test]
async fn a_login_leads_to_a_path_of_ours_whatever_next_says() {
    let world = shared().await;
    for next in [
        "//evil",
        "/\\evil",
        "/\t/evil",
        "https:evil",
        "https://evil/",
        "javascript:1",
        "/%5cevil",
        "///evil",
        "/\r\nX: 1",
        "",
        "x",
        "/%2f/evil",
        "\u{0}",
        "/é",
    ] {
        let visitor = world.visitor("/").await;
        let claims = handoff_claims(&world.alice, &visitor.state);
        let token = world.keys.sign(HANDOFF, &claims);
        let answer = world.callback(&visitor, &token, next).send().await;
        assert_eq!(answer.status, 303, "{next:?}");
        let location = answer.header("location");
        let own = location.starts_with('/')
            && !location.starts_with("//")
            && !location.contains(['\\', '\t', '\r', '\n']);
        assert!(own, "{next:?} led to {location:?}");
    }
}

#[tokio::test]
async fn a_browser_in_a_login_loop_is_told_so() {
    let world = shared().await;
    let mut cookie = String::new();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let answer = world
            .get("/")
            .navigate()
            .header("cookie", &cookie)
            .send()
            .await;
        statuses.push(answer.status.as_u16());
        let set = answer.headers.get_all("set-cookie").iter();
        let pairs = set.map(|value| {
            value
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned()
        });
        let all: Vec<String> = pairs.collect();
        if !all.is_empty() {
            cookie = all.join("; ");
        }
    }
    assert_eq!(&statuses[..4], [303; 4], "{statuses:?}");
    assert_ne!(statuses[6], 303, "{statuses:?}");
}

#[tokio::test]
async fn logging_out_ends_the_session_in_this_browser() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let path = "/_vestibule/logout";
    let by_link = person.visit(path).send().await;
    assert_eq!(by_link.status, 405, "a link must not log anybody out");
    let answer = person.call(http::Method::POST, path).fetch().send().await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), "/_vestibule/signed-out");
    assert_eq!(answer.cookie(SESSION_COOKIE).as_deref(), Some(""));
    let page = world.get("/_vestibule/signed-out").navigate().send().await;
    assert!(page.status == 200 && page.is_page());
}

#[tokio::test]
async fn somebody_else_in_the_same_browser_finds_nothing_of_the_first() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let visitor = world.visitor("/").await;
    let token = world
        .keys
        .sign(HANDOFF, &handoff_claims(&world.bob, &visitor.state));
    world.secret(&token);
    let cookies = format!("{}; {}", person.cookie, visitor.cookie);
    let answer = world.get(&callback_path(&token, "/")).navigate();
    let answer = answer.header("cookie", cookies).send().await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("clear-site-data"), "\"cache\", \"storage\"");
}
