//! Who is let in, by which credential, and how everybody else is told.

use http::Method;
use serde_json::json;

use crate::world::{
    World,
    keys::{HANDOFF, SESSION, handoff_claims, session_claims, with},
    person::SESSION_COOKIE,
    shared,
};

#[tokio::test]
async fn without_a_session_a_person_is_sent_to_the_login_and_a_program_is_told() {
    let world = shared().await;
    let path = format!("/recorder/{}/nobody-{}", world.alice, "knows");
    let person = world.get(&path).navigate().send().await;
    assert_eq!(person.status, 303);
    assert_eq!(person.header("cache-control"), "no-store");
    for call in [
        world.get(&path),
        world.get(&path).fetch(),
        world
            .get(&path)
            .navigate()
            .header("sec-purpose", "prefetch"),
        world.call(Method::POST, &path).fetch(),
        world.call(Method::HEAD, &path),
    ] {
        let what = call.to_string();
        let answer = call.send().await;
        assert_eq!(answer.status, 401, "{what}");
        assert_eq!(answer.header("location"), "", "{what}");
        if !what.starts_with("HEAD") {
            assert!(answer.is_problem(), "{what}: {}", answer.text());
        }
    }
    let socket = world.socket(&path, &[("origin", &world.origin)]).await;
    assert_eq!(socket.err().unwrap(), 401);
    assert!(!world.arrived(&world.alice, "nobody-knows"));
}

#[tokio::test]
async fn a_program_gets_in_by_a_bearer_token() {
    let world = shared().await;
    let path = format!("/recorder/{}/", world.alice);
    let token = world.keys.session(&world.alice);
    let answer = world.get(&path).bearer(&token).send().await;
    assert_eq!(answer.status, 200);
    for header in [
        json!({"alg": "RS256", "typ": SESSION, "kid": "rs256"}),
        json!({"alg": "ES256", "typ": SESSION, "kid": "es256"}),
        json!({"alg": "EdDSA", "typ": SESSION, "kid": "eddsa"}),
    ] {
        let token = world.keys.sign_with(&header, &session_claims(&world.alice));
        let answer = world.get(&path).bearer(&token).send().await;
        assert_eq!(answer.status, 200, "{header}");
    }
}

#[tokio::test]
async fn a_token_of_another_kind_is_no_bearer_token() {
    let world = shared().await;
    let path = format!("/recorder/{}/", world.alice);
    let own = world.log_in(&world.alice).await.cookie;
    let own = own.split_once('=').unwrap().1;
    let handoff = handoff_claims(&world.alice, "x");
    for (what, token) in [
        ("hand-off", world.keys.sign(HANDOFF, &handoff)),
        (
            "hand-off claims",
            world.keys.sign("JWT", &session_claims(&world.alice)),
        ),
        ("our own cookie", own.to_owned()),
        ("expired", {
            let claims = with(session_claims(&world.alice), &json!({"exp": 1_000_000_000}));
            world.keys.sign(SESSION, &claims)
        }),
    ] {
        let answer = world.get(&path).bearer(&token).send().await;
        assert_eq!(answer.status, 401, "{what}");
    }
}

#[tokio::test]
async fn a_session_without_end_is_capped_and_overflows_nothing() {
    let world = shared().await;
    let path = format!("/recorder/{}/", world.alice);
    let claims = with(session_claims(&world.alice), &json!({"exp": u64::MAX}));
    let token = world.keys.sign(SESSION, &claims);
    let answer = world.get(&path).bearer(&token).send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_token_in_the_query_is_no_credential() {
    let world = shared().await;
    let token = world.keys.session(&world.alice);
    world.secret(&token);
    for name in ["token", "access_token", SESSION_COOKIE] {
        let path = format!("/recorder/{}/?{name}={token}", world.alice);
        assert_eq!(world.get(&path).send().await.status, 401);
        assert_eq!(world.get(&path).navigate().send().await.status, 303);
    }
}

#[tokio::test]
async fn a_forged_cookie_beside_ours_does_not_matter() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let forged = format!("{SESSION_COOKIE}=forged");
    for cookies in [
        format!("{forged}; {}", person.cookie),
        format!("a=1; {}; {forged}; b=2", person.cookie),
    ] {
        let call = world.get(&person.path("recorder", "")).navigate();
        let answer = call.header("cookie", &cookies).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = answer.json()["head"].to_string();
        assert!(!seen.contains(SESSION_COOKIE), "both are taken out");
    }
    let alone = world
        .get(&person.path("recorder", ""))
        .header("cookie", forged);
    assert_eq!(alone.send().await.status, 401);
}

#[tokio::test]
async fn a_cookie_shared_with_the_site_is_a_session() {
    let world = World::start(&format!(
        "[session]\nshared_cookie = \"__Secure-site\"\n{}",
        crate::world::config::RECORDER
    ))
    .await;
    let token = world.keys.session(&world.alice);
    world.secret(&token);
    let path = format!("/recorder/{}/", world.alice);
    let visit = |cookie: String| world.get(&path).navigate().header("cookie", cookie);
    crate::world::until("the recorder opens", crate::world::SLOW, async || {
        visit(format!("__Secure-site={token}; theme=dark"))
            .send()
            .await
            .status
            == 200
    })
    .await;
    let answer = visit(format!("__Secure-site={token}; theme=dark"))
        .send()
        .await;
    let seen = answer.json()["head"].to_string();
    assert!(
        seen.contains("theme=dark") && !seen.contains(&token),
        "{seen}"
    );
    let handoff = handoff_claims(&world.alice, "x");
    for wrong in [world.keys.sign(HANDOFF, &handoff), "forged".to_owned()] {
        let answer = visit(format!("__Secure-site={wrong}")).send().await;
        assert_eq!(answer.status, 303);
    }
    let wrong_user = world.keys.session(&world.bob);
    let answer = visit(format!("__Secure-site={wrong_user}")).send().await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn our_pages_bring_nothing_from_elsewhere() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let stranger = format!("/recorder/{}/", world.bob);
    for path in ["/", stranger.as_str(), "/nowhere", "/_vestibule/signed-out"] {
        let answer = person.visit(path).send().await;
        assert!(answer.is_page(), "{path}: {}", answer.status);
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let text = answer.text();
        for outside in ["src=\"http", "url(http", "@import"] {
            assert!(!text.contains(outside), "{path} has {outside}");
        }
    }
    let script = world
        .get("/%3Cscript%3Ealert(1)%3C/script%3E")
        .navigate()
        .send()
        .await;
    assert!(!script.text().contains("<script>alert"));
}
