//! What the container is told of the client, and what the browser is told by the container.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::{Answer, World, person::SESSION_COOKIE, shared, socket};

/// All fields the recorder saw, by lower-case name; two of one name are an error.
fn fields(seen: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for pair in seen.as_array().unwrap() {
        let name = pair[0].as_str().unwrap().to_lowercase();
        let value = pair[1].as_str().unwrap().to_owned();
        assert!(
            all.insert(name.clone(), value).is_none(),
            "{name} came twice"
        );
    }
    all
}

fn seen(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    fields(&answer.json()["fields"])
}

/// What no client may tell a container.
const FORGED: [(&str, &str); 11] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-port", "666"),
    ("x-forwarded-prefix", "/evil"),
    ("x_forwarded_for", "6.6.6.6"),
    ("forwarded", "for=6.6.6.6;host=evil.test"),
    ("x-real-ip", "6.6.6.6"),
    ("x-forwarded-user", "evil"),
    ("x-recorder-secret", "evil"),
    ("x-request-id", "evil"),
];

fn assert_only_ours(world: &World, seen: &BTreeMap<String, String>) {
    for (name, value) in seen {
        for forged in ["6.6.6.6", "evil", "gopher", "666"] {
            assert!(!value.contains(forged), "{name}: {value}");
        }
    }
    let port = world.https.port().to_string();
    for (name, value) in [
        ("host", world.authority()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", world.authority()),
        ("x-forwarded-port", &port),
        ("x-forwarded-prefix", &format!("/recorder/{}", world.alice)),
    ] {
        let got = seen.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!(got.trim_end_matches('/'), value, "{name}");
    }
    let forwarded = seen
        .get("forwarded")
        .map(String::as_str)
        .unwrap_or_default();
    assert!(
        forwarded.contains("127.0.0.1") && forwarded.contains("proto=https"),
        "{forwarded}"
    );
    assert_eq!(seen["x-recorder-secret"].len(), 64);
    assert!(!seen["x-request-id"].is_empty());
}

#[tokio::test]
async fn a_container_is_told_by_us_alone_who_is_there() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    for h2 in [false, true] {
        let mut call = person.visit(&person.path("recorder", ""));
        for (name, value) in FORGED {
            call = call.header(name, value);
        }
        let call = if h2 { call.h2() } else { call };
        assert_only_ours(&world, &seen(&call.send().await));
    }
    let (mut socket, _) = person
        .socket(&person.path("recorder", "ws?head=1"), &FORGED)
        .await
        .unwrap();
    let heard = socket::text(&mut socket).await;
    assert_only_ours(&world, &fields(&serde_json::from_str(&heard).unwrap()));
}

#[tokio::test]
async fn a_connection_field_takes_away_nothing_of_ours() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let listed = "close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port, \
                  X-Forwarded-Prefix, Forwarded, Host, Cookie, Authorization, X-Recorder-Secret, \
                  X-Request-Id, X-Hop";
    let call = person.visit(&person.path("recorder", ""));
    let answer = call
        .header("connection", listed)
        .header("x-hop", "1")
        .send()
        .await;
    let seen = seen(&answer);
    assert_only_ours(&world, &seen);
    assert!(seen["cookie"].contains("recorder-secret="));
    assert!(!seen.contains_key("x-hop"));
}

#[tokio::test]
async fn hop_by_hop_fields_end_here() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let mut call = person.visit(&person.path("recorder", ""));
    for (name, value) in [
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers, deflate"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("connection", "upgrade, http2-settings"),
        ("x-kept", "1"),
    ] {
        call = call.header(name, value);
    }
    // An upgrade to something else is no navigation, but the app runs.
    let seen = seen(&call.send().await);
    for gone in [
        "proxy-authorization",
        "proxy-connection",
        "keep-alive",
        "upgrade",
        "http2-settings",
    ] {
        assert!(!seen.contains_key(gone), "{gone}");
    }
    assert_eq!(seen["x-kept"], "1");
    assert!(!seen.get("te").is_some_and(|te| te.contains("deflate")));
}

#[tokio::test]
async fn the_container_sees_no_session_and_every_other_cookie_as_it_was() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let path = person.path("recorder", "");
    let others = "a=1; theme=\"d a,r;k\"; _xsrf=2|x|y; empty=; b==";
    for cookies in [
        format!("{}; {others}", person.cookie),
        format!("{others}; {}", person.cookie),
        format!(
            "a=1; {}; {}",
            person.cookie,
            others.trim_start_matches("a=1; ")
        ),
    ] {
        let answer = world
            .get(&path)
            .navigate()
            .header("cookie", cookies)
            .send()
            .await;
        let seen = seen(&answer);
        let (kept, secret): (Vec<&str>, Vec<&str>) = seen["cookie"]
            .split("; ")
            .partition(|pair| !pair.starts_with("recorder-secret="));
        assert_eq!(kept.join("; "), others);
        assert_eq!(secret.len(), 1);
        assert!(!seen["cookie"].contains(SESSION_COOKIE));
    }
    let token = world.keys.session(&world.alice);
    let answer = world.get(&path).bearer(&token).send().await;
    assert!(!seen(&answer).contains_key("authorization"));
    let other = person
        .visit(&path)
        .header("authorization", "Basic dXNlcjpwYXNz");
    assert_eq!(
        seen(&other.send().await)["authorization"],
        "Basic dXNlcjpwYXNz"
    );
}

#[tokio::test]
async fn a_client_can_not_bring_the_secret_of_an_app() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let cookies = format!("recorder-secret=forged; {}", person.cookie);
    let call = world.get(&person.path("recorder", "")).navigate();
    let seen = seen(&call.header("cookie", cookies).send().await);
    assert!(!seen["cookie"].contains("forged"), "{}", seen["cookie"]);
    let args = person
        .visit(&person.path("recorder", "args"))
        .send()
        .await
        .json();
    assert_eq!(args[3].as_str().unwrap(), seen["x-recorder-secret"]);
    assert_eq!(args[1].as_str().unwrap(), world.alice);
    assert_eq!(args[2].as_str().unwrap(), person.path("recorder", ""));
}

#[tokio::test]
async fn a_container_sets_cookies_for_its_own_prefix_alone() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let prefix = person.path("recorder", "");
    let path = format!("{prefix}cookies?own={SESSION_COOKIE}&prefix={prefix}");
    let answer = person.visit(&path).send().await;
    assert_eq!(answer.set_cookie(SESSION_COOKIE), None);
    for name in ["wide", "good", "bare"] {
        let cookie = answer.set_cookie(name).unwrap_or_default().to_lowercase();
        if name == "wide" && cookie.is_empty() {
            continue;
        }
        assert!(!cookie.contains("domain"), "{cookie}");
        assert!(cookie.contains("; secure"), "{cookie}");
        let attributes: Vec<&str> = cookie.split("; ").collect();
        let path = attributes.iter().find_map(|a| a.strip_prefix("path="));
        let under =
            path.is_some_and(|path| prefix.trim_end_matches('/') == path.trim_end_matches('/'));
        assert!(under, "{cookie}");
    }
    assert!(
        answer
            .set_cookie("good")
            .unwrap()
            .to_lowercase()
            .contains("httponly")
    );
}

#[tokio::test]
async fn a_container_speaks_for_its_own_prefix_alone() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let answer = person
        .visit(&person.path("recorder", "headers"))
        .send()
        .await;
    for gone in [
        "service-worker-allowed",
        "clear-site-data",
        "strict-transport-security",
        "alt-svc",
        "report-to",
        "nel",
        "x-hop",
        "connection",
    ] {
        let value = answer.header(gone);
        assert!(
            !value.contains("max-age=1") && !["/", "\"*\"", "1"].contains(&value),
            "{gone}: {value}"
        );
        assert!(
            gone == "connection" || gone == "strict-transport-security" || value.is_empty(),
            "{gone}: {value}"
        );
    }
    assert_eq!(answer.header("x-kept"), "1");
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("frame-ancestors"), "{policy}");
}
