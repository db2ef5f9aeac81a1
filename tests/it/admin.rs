//! The operators' API at both doors: every answer as `docs/openapi.json` describes it, and
//! nothing for who may not ask.

mod description;
mod tokens;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use self::description::Description;
use crate::world::{World, config::RECORDER, keys::now};

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
    let started = |act: &Value| act["act"] == "start" && act["app"] == "recorder";
    assert!(acts.iter().any(started), "{acts:?}");
}
