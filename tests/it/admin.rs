//! The operators' API at both doors: every answer as `docs/openapi.json` describes it, and
//! nothing for who may not ask.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::world::{
    World,
    config::RECORDER,
    docker::container_of,
    keys::{SESSION, now, session_claims, with},
    shared,
};

/// What an admin token says it is.
const ADMIN: &str = "vestibule-admin+jwt";
/// Where the door is over HTTPS.
const DOOR: &str = "/_vestibule/api";

/// What a good admin token says.
fn admin_claims(scope: &str) -> Value {
    json!({
        "sub": "the site", "aud": "vestibule/admin", "jti": vestibule::secret::random_id(),
        "iat": now(), "exp": now() + 60, "scope": scope,
    })
}

fn body(value: &Value) -> Full<Bytes> {
    match value {
        Value::Null => Full::default(),
        value => Full::from(value.to_string()),
    }
}

/// Asks over HTTPS with a token of this scope.
async fn ask(world: &World, scope: &str, method: Method, path: &str, sent: &Value) -> (u16, Value) {
    let token = world.keys.sign(ADMIN, &admin_claims(scope));
    let call = world.call(method, &format!("{DOOR}{path}")).bearer(&token);
    let answer = call.body(body(sent).boxed()).send().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    (answer.status.as_u16(), answer.json())
}

/// Asks on the Unix socket.
async fn ask_socket(world: &World, method: Method, path: &str, sent: &Value) -> (u16, Value) {
    let stream = UnixStream::connect(world.dir.join("state/admin.sock"))
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x");
    let answer = sender
        .send_request(request.body(body(sent)).unwrap())
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// The description, and what of it has been seen.
struct Description {
    file: Value,
    seen: BTreeSet<String>,
}

impl Description {
    fn read() -> Self {
        Self {
            file: serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap(),
            seen: BTreeSet::new(),
        }
    }

    /// Asserts that an operation is described to answer so.
    #[track_caller]
    fn holds(&mut self, operation: &str, status: u16, answer: &Value) {
        let paths = self.file["paths"].as_object().unwrap().values();
        let mut operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let found = operations.find(|found| found["operationId"] == operation);
        let mut response = &found.unwrap()["responses"][status.to_string()];
        if let Some(name) = response["$ref"].as_str() {
            response = self.file.pointer(name.strip_prefix('#').unwrap()).unwrap();
        }
        let kind = if status == 200 {
            "application/json"
        } else {
            "application/problem+json"
        };
        let mut schema = response["content"][kind]["schema"].clone();
        assert!(
            schema.is_object(),
            "{operation} is not described to answer {status}: {answer:#}"
        );
        schema["components"] = self.file["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(answer)
            .map(|fault| fault.to_string())
            .collect();
        assert!(
            faults.is_empty(),
            "{operation} {status}: {faults:?} in {answer:#}"
        );
        if status == 200 {
            self.seen.insert(operation.to_owned());
        }
    }

    /// Every operation there is.
    fn all(&self) -> BTreeSet<String> {
        let paths = self.file["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        operations
            .filter_map(|operation| Some(operation["operationId"].as_str()?.to_owned()))
            .collect()
    }
}

#[expect(clippy::too_many_lines, reason = "a table, one row for each call")]
#[tokio::test]
async fn every_answer_is_as_the_description_says_at_both_doors() {
    let all = r#"["status", "explain", "logs", "start", "stop", "keep", "rm", "revoke", "token", "doctor"]"#;
    let world = World::start(&format!("{RECORDER}\n[admin]\nscopes = {all}")).await;
    let user = &world.user("api");
    let own = format!("/v1/workspaces/{user}");
    let mut description = Description::read();
    let none = Value::Null;
    let long = json!({ "seconds": 600 });
    let app = json!({ "app": "recorder" });
    let token = json!({ "user": user, "kind": "session", "seconds": 60 });
    for (operation, scope, method, path, sent, status) in [
        (
            "getWorkspace",
            "status",
            Method::GET,
            String::new(),
            &none,
            200,
        ),
        (
            "stopWorkspace",
            "stop",
            Method::POST,
            "/stop".into(),
            &none,
            404,
        ),
        (
            "readOutput",
            "logs",
            Method::GET,
            "/logs/recorder".into(),
            &none,
            409,
        ),
        (
            "startWorkspace",
            "start",
            Method::POST,
            "/start".into(),
            &json!({ "app": "none" }),
            404,
        ),
        (
            "startWorkspace",
            "start",
            Method::POST,
            "/start".into(),
            &json!({ "ap": "none" }),
            400,
        ),
        (
            "startWorkspace",
            "start",
            Method::POST,
            "/start".into(),
            &none,
            200,
        ),
        (
            "readOutput",
            "logs",
            Method::GET,
            "/logs/recorder".into(),
            &none,
            404,
        ),
        (
            "startWorkspace",
            "start",
            Method::POST,
            "/start".into(),
            &app,
            200,
        ),
        (
            "readOutput",
            "logs",
            Method::GET,
            "/logs/recorder?lines=5".into(),
            &none,
            200,
        ),
        (
            "readOutput",
            "logs",
            Method::GET,
            "/logs/recorder?after=0".into(),
            &none,
            200,
        ),
        (
            "readOutput",
            "logs",
            Method::GET,
            "/logs/recorder?lines=x".into(),
            &none,
            400,
        ),
        (
            "explainWorkspace",
            "explain",
            Method::GET,
            "/explanation".into(),
            &none,
            200,
        ),
        (
            "keepWorkspace",
            "keep",
            Method::POST,
            "/keep".into(),
            &long,
            200,
        ),
        (
            "keepWorkspace",
            "keep",
            Method::POST,
            "/keep".into(),
            &none,
            400,
        ),
        (
            "keepWorkspace",
            "status",
            Method::POST,
            "/keep".into(),
            &long,
            403,
        ),
        (
            "stopWorkspace",
            "stop",
            Method::POST,
            "/stop".into(),
            &none,
            200,
        ),
        (
            "removeWorkspace",
            "rm",
            Method::DELETE,
            String::new(),
            &none,
            200,
        ),
    ] {
        let path = format!("{own}{path}");
        let (got, answer) = ask(&world, scope, method.clone(), &path, sent).await;
        assert_eq!(got, status, "{operation}: {answer:#}");
        description.holds(operation, got, &answer);
        // Asked again on the socket, it may have been done already; it is described all the same.
        if scope != "status" || operation == "getWorkspace" {
            let (got, answer) = ask_socket(&world, method, &path, sent).await;
            description.holds(operation, got, &answer);
        }
    }
    for (operation, scope, method, path, sent, status) in [
        (
            "listWorkspaces",
            "status",
            Method::GET,
            "/v1/workspaces",
            &none,
            200,
        ),
        (
            "getWorkspace",
            "status",
            Method::GET,
            "/v1/workspaces/a%2fb",
            &none,
            400,
        ),
        (
            "revoke",
            "revoke",
            Method::POST,
            "/v1/revocations",
            &json!({ "session": "s-1" }),
            200,
        ),
        (
            "revoke",
            "revoke",
            Method::POST,
            "/v1/revocations",
            &json!({ "user": user }),
            200,
        ),
        (
            "revoke",
            "revoke",
            Method::POST,
            "/v1/revocations",
            &json!({ "token": "t-1" }),
            200,
        ),
        (
            "revoke",
            "revoke",
            Method::POST,
            "/v1/revocations",
            &json!({}),
            400,
        ),
        (
            "signToken",
            "token",
            Method::POST,
            "/v1/tokens",
            &token,
            200,
        ),
        (
            "signToken",
            "token",
            Method::POST,
            "/v1/tokens",
            &json!({ "user": user, "kind": "session", "seconds": 60, "key": "none" }),
            409,
        ),
        ("examine", "doctor", Method::GET, "/v1/doctor", &none, 200),
    ] {
        let (got, answer) = ask(&world, scope, method.clone(), path, sent).await;
        assert_eq!(got, status, "{operation}: {answer:#}");
        description.holds(operation, got, &answer);
        let (got, answer) = ask_socket(&world, method, path, sent).await;
        assert_eq!(got, status, "{operation}: {answer:#}");
        description.holds(operation, got, &answer);
    }
    assert_eq!(description.seen, description.all());
    let acts = world.audit("admin");
    let by = |door: &str| acts.iter().filter(|act| act["door"] == door).count();
    assert!(by("https") > 10 && by("socket") > 10, "{acts:?}");
    assert!(
        acts.iter()
            .any(|act| act["by"] == "the site" && act["act"] == "rm" && act["user"] == *user)
    );
    assert!(acts.iter().any(|act| act["outcome"] == "scope"));
}

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
    let forged = crate::world::keys::hs256(&head, &good, b"a key of somebody else's, long enough");
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
