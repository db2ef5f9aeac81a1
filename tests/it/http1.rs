//! HTTP/1.1 that is not quite: refused, the connection closed, nothing passed on.

use crate::world::{World, shared};

/// A head of alice's with these lines in it.
fn head(world: &World, lines: &str, rest: &str) -> String {
    let token = world.keys.session(&world.alice);
    world.secret(&token);
    format!(
        "POST /recorder/{}/mark-malformed HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{lines}\r\n{rest}",
        world.alice
    )
}

#[tokio::test]
async fn malformed_requests_are_400_and_the_end_of_the_connection() {
    let world = shared().await;
    let host = format!("Host: {}\r\n", world.authority());
    for (what, lines, rest) in [
        (
            "two lengths of a body",
            format!("{host}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
            "0\r\n\r\nG",
        ),
        (
            "another coding",
            format!("{host}Transfer-Encoding: gzip, chunked\r\n"),
            "0\r\n\r\n",
        ),
        (
            "chunked twice",
            format!("{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            "0\r\n\r\n",
        ),
        (
            "chunked, misspelt",
            format!("{host}Transfer-Encoding: xchunked\r\n"),
            "0\r\n\r\n",
        ),
        ("two hosts", format!("{host}{host}"), ""),
        ("two different hosts", format!("{host}Host: evil\r\n"), ""),
        ("no host", String::new(), ""),
        ("an empty host", "Host: \r\n".to_owned(), ""),
        ("a folded field", format!("{host}X: a\r\n b\r\n"), ""),
        (
            "a space before the colon",
            format!("Host : {}\r\n", world.authority()),
            "",
        ),
        ("a NUL", format!("{host}X: a\0b\r\n"), ""),
        ("a bare CR", format!("{host}X: a\rb\r\n"), ""),
        (
            "a signed length",
            format!("{host}Content-Length: +3\r\n"),
            "abc",
        ),
        (
            "a list of lengths",
            format!("{host}Content-Length: 3, 3\r\n"),
            "abc",
        ),
        (
            "lengths that differ",
            format!("{host}Content-Length: 3\r\nContent-Length: 4\r\n"),
            "abcd",
        ),
        (
            "a negative length",
            format!("{host}Content-Length: -1\r\n"),
            "",
        ),
    ] {
        let answer = world.raw(head(&world, &lines, rest)).await;
        assert_eq!(answer.statuses(), [400], "{what}: {}", answer.text());
    }
    assert!(!world.arrived(&world.alice, "mark-malformed"));
}

#[tokio::test]
async fn a_broken_chunk_ends_the_connection() {
    let world = shared().await;
    let host = format!(
        "Host: {}\r\nTransfer-Encoding: chunked\r\n",
        world.authority()
    );
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc",
    ] {
        let request = head(&world, &host, body).replace("mark-malformed", "mark-chunk");
        let answer = world.raw(request).await;
        assert_ne!(answer.status(), 200, "{body:?}");
        assert!(answer.statuses().len() <= 1, "{body:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_request_behind_an_upgrade_is_judged_alone() {
    let world = shared().await;
    let host = world.authority();
    let token = world.keys.session(&world.alice);
    world.secret(&token);
    let upgrade = format!(
        "GET /recorder/{}/ws-refused HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Origin: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        world.alice, world.origin
    );
    let second = format!(
        "GET /recorder/{}/mark-pipelined HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n",
        world.bob
    );
    let answer = world.raw(upgrade + &second).await;
    let statuses = answer.statuses();
    let judged = statuses.len() == 1 || statuses.get(1) == Some(&403);
    assert!(judged, "{}", answer.text());
    assert_ne!(statuses.first(), Some(&101));
    for user in [&world.alice, &world.bob] {
        assert!(!world.arrived(user, "mark-pipelined"));
    }
}

#[tokio::test]
async fn an_upstream_that_switches_unasked_gets_no_tunnel() {
    let world = shared().await;
    let token = world.keys.session(&world.alice);
    for what in ["unasked-101", "many-1xx"] {
        let path = format!("/recorder/{}/{what}", world.alice);
        let answer = world.get(&path).bearer(&token).send().await;
        assert_eq!(answer.status, 502, "{what}");
        assert!(!answer.text().contains("raw"), "{what}");
        let upgrade = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: x\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            world.authority()
        );
        let answer = world.raw(upgrade).await;
        assert_ne!(answer.status(), 101, "{what}");
    }
}

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let world = shared().await;
    let host = world.authority();
    let token = world.keys.session(&world.alice);
    world.secret(&token);
    let request = |path: &str, more: &str, body: &str| {
        format!(
            "POST /recorder/{}/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}\r\n{body}",
            world.alice
        )
    };
    let all = request("a", "Content-Length: 3\r\n", "abc")
        + &request(
            "b",
            "Transfer-Encoding: chunked\r\n",
            "3\r\ndef\r\n0\r\n\r\n",
        )
        + &request("c", "Connection: close\r\n", "");
    let answer = world.raw(all).await;
    assert_eq!(answer.statuses(), [200, 200, 200], "{}", answer.text());
    let text = answer.text();
    assert!(text.contains(r#""body": "abc""#) && text.contains(r#""body": "def""#));
}
