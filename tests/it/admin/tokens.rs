//! Who may ask over HTTPS.

use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::{ADMIN, DOOR, admin_claims};
use crate::world::{
    docker::container_of,
    keys::{SESSION, hs256, now, session_claims, with},
    shared,
};

#[expect(clippy::too_many_lines, reason = "a table, one row for each token")]
#[tokio::test]
async fn only_an_admin_token_with_the_right_scope_opens_the_door() {
    let world = shared().await;
    let path = format!("{DOOR}/v1/workspaces/{}", world.alice);
    let good = admin_claims("status stop revoke rm");
    let sign = |header: Value, changes: Value| {
        world.keys.sign_with(&header, &with(good.clone(), &changes))
    };
    let head = json!({"alg": "HS256", "typ": ADMIN});
    let answer = world
        .get(&path)
        .bearer(&sign(head.clone(), json!({})))
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["state"], "running");
    let past = now() - 120;
    for (what, header, changes, status) in [
        (
            "another kind",
            json!({"alg": "HS256", "typ": SESSION}),
            json!({}),
            401,
        ),
        ("no kind", json!({"alg": "HS256"}), json!({}), 401),
        (
            "another audience",
            head.clone(),
            json!({"aud": "vestibule"}),
            401,
        ),
        ("no audience", head.clone(), json!({"aud": null}), 401),
        ("no end", head.clone(), json!({"exp": null}), 401),
        (
            "ended",
            head.clone(),
            json!({"iat": past, "exp": past + 60}),
            401,
        ),
        ("too long", head.clone(), json!({"exp": now() + 3700}), 401),
        (
            "from the future",
            head.clone(),
            json!({"iat": now() + 90, "exp": now() + 120}),
            401,
        ),
        ("no id", head.clone(), json!({"jti": null}), 401),
        ("nobody's", head.clone(), json!({"sub": null}), 401),
        ("no scope", head.clone(), json!({"scope": null}), 401),
        (
            "a list for a scope",
            head.clone(),
            json!({"scope": ["status"]}),
            401,
        ),
        (
            "another scope",
            head.clone(),
            json!({"scope": "revoke statuses"}),
            403,
        ),
    ] {
        let answer = world.get(&path).bearer(&sign(header, changes)).send().await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
        assert!(answer.is_problem(), "{what}");
    }
    let forged = hs256(&head, &good, b"a key of somebody else's, long enough");
    assert_eq!(world.get(&path).bearer(&forged).send().await.status, 401);

    // Neither a user's session nor nothing at all, whatever is asked for.
    let session = world.keys.sign(SESSION, &session_claims(&world.alice));
    let alice = world.log_in(&world.alice).await;
    for what in [path.as_str(), "/_vestibule/api/v1/none", "/_vestibule/api/"] {
        assert_eq!(
            world.get(what).bearer(&session).send().await.status,
            401,
            "{what}"
        );
        assert_eq!(alice.visit(what).send().await.status, 401, "{what}");
        assert_eq!(world.get(what).send().await.status, 401, "{what}");
    }
    // The other way round, an admin token enters no workspace and shows no page.
    let token = sign(head.clone(), json!({"sub": world.alice}));
    for what in [format!("/recorder/{}/", world.alice), "/".to_owned()] {
        assert_eq!(
            world.get(&what).bearer(&token).send().await.status,
            401,
            "{what}"
        );
    }

    // What the configuration doesn't grant, no token does; and no other site may ask.
    let token = || world.keys.sign(ADMIN, &admin_claims("status stop rm"));
    let removal = world
        .call(Method::DELETE, &path)
        .bearer(&token())
        .send()
        .await;
    assert_eq!(removal.status, 403);
    assert!(
        removal.text().contains("admin.scopes"),
        "{}",
        removal.text()
    );
    let stop = world
        .call(Method::POST, &format!("{path}/stop"))
        .bearer(&token())
        .header("origin", "https://evil.test")
        .send()
        .await;
    assert_eq!(stop.status, 403);
    assert!(world.docker.runs(&container_of(&world.alice)));
    let put = world.call(Method::PUT, &path).bearer(&token()).send().await;
    assert_eq!(put.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.header("allow"), "GET, DELETE");
    let none = world
        .get("/_vestibule/api/v1/none")
        .bearer(&token())
        .send()
        .await;
    assert_eq!(none.status, 404);
    let flood = Full::from(vec![b' '; 20_000]).boxed();
    let flood = world
        .call(Method::POST, &format!("{path}/stop"))
        .bearer(&token())
        .body(flood);
    assert_eq!(flood.send().await.status, 400);
    assert!(world.docker.runs(&container_of(&world.alice)));
}
