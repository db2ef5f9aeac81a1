//! The audit trail and what no log may hold.

use std::fs;

use serde_json::json;

use crate::world::{Docker, World, config::RECORDER};

#[tokio::test]
async fn the_audit_trail_is_json_in_a_file_of_its_own_that_may_be_rotated() {
    let world = World::prepare(RECORDER, Docker::of_this_machine());
    let file = world.dir.join("audit.jsonl");
    let log = format!(
        "[log]\nformat = \"pretty\"\nfilter = \"error\"\naudit = \"{}\"",
        file.display()
    );
    world.configure(&log);
    world.launch().await;
    let alice = world.log_in(&world.alice).await;
    alice.open("recorder").await;
    let login = &world.audit("login")[0];
    assert_eq!(login["user"], world.alice);
    assert_eq!(login["client.addr"], "127.0.0.1");
    let start = &world.audit("start")[0];
    assert_eq!(
        (&start["app"], &start["how"]),
        (&json!("recorder"), &json!("created"))
    );

    fs::rename(&file, world.dir.join("audit-1.jsonl")).unwrap();
    let theirs = format!("/recorder/{}/", world.bob);
    assert_eq!(alice.fetch(&theirs).send().await.status, 403);
    let lines = world.audit_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["event"], &lines[0]["reason"]),
        (&json!("denied"), &json!("not-owner"))
    );
    assert!(!world.log().contains("audit"), "{}", world.log());
}

#[tokio::test]
async fn audit_lines_are_json_among_pretty_ones_too_and_pass_any_filter() {
    let extra = "[log]\nformat = \"pretty\"\nfilter = \"off\"";
    let world = World::start(extra).await;
    world.log_in(&world.alice).await;
    assert_eq!(world.audit("login").len(), 1);
    assert_eq!(world.log().lines().count(), 1, "{}", world.log());
}

/// Everything that carries a secret, over HTTP/1.1, HTTP/2 and a WebSocket, with every crate of
/// the process telling all it does; the look for secrets is what each world ends with.
#[tokio::test]
async fn not_even_a_full_trace_holds_a_token_a_cookie_or_a_query() {
    let world = World::start(&format!("[log]\nfilter = \"trace\"\n{RECORDER}")).await;
    let alice = world.log_in(&world.alice).await;
    alice.open("recorder").await;
    let path = alice.path("recorder", "?password=correct-horse-battery");
    world.secret("a-cookie-of-the-application");
    let cookie = format!("{}; app=a-cookie-of-the-application", alice.cookie);
    let bearer = world.keys.session(&world.alice);
    for h2 in [false, true] {
        let by_cookie = world.get(&path).header("cookie", &cookie);
        let by_bearer = world.get(&path).bearer(&bearer);
        let forged = format!("{bearer}-and-more");
        for (call, status) in [
            (by_cookie, 200),
            (by_bearer, 200),
            (world.get(&path).bearer(&forged), 401),
        ] {
            let call = if h2 { call.h2() } else { call };
            assert_eq!(call.send().await.status, status, "h2 {h2}");
        }
    }
    let (socket, _) = alice
        .socket(&alice.path("recorder", "ws?ticket=of-the-application"), &[])
        .await
        .unwrap();
    world.secret("ticket=of-the-application");
    drop(socket);
    assert!(world.log().contains("TRACE"));
}
