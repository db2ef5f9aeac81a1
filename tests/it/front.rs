//! The door itself: TLS, host names, the other listeners, heads that are too large.

use std::process::{Command, Stdio};

use crate::world::{World, raw, shared};

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_1_1_is_refused() {
    let world = shared().await;
    for (version, agreed) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &world.https.to_string(), version])
            .args(["-cipher", "ALL:@SECLEVEL=0"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), agreed, "{version}: {said}");
        // Which alert depends on the ciphers that the client would have.
        assert!(agreed || said.contains("SSL alert number"), "{said}");
    }
}

#[tokio::test]
async fn http_2_and_http_1_are_both_served() {
    let world = shared().await;
    let health = || world.get("/_vestibule/healthz");
    assert_eq!(health().send().await.status, 200);
    assert_eq!(health().h2().send().await.status, 200);
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_misdirected() {
    let world = shared().await;
    let other_port = format!("localhost:{}", world.http.port());
    for host in ["ide.example.test", "localhost", "127.0.0.1", &other_port] {
        let answer = world.get("/_vestibule/healthz").header("host", host);
        assert_eq!(answer.send().await.status, 421, "{host}");
    }
    let foreign = world.get("/_vestibule/healthz").h2().header("host", "evil");
    assert!([400, 421].contains(&foreign.send().await.status.as_u16()));
}

#[tokio::test]
async fn plain_http_is_redirected_to_our_origin_and_to_no_other() {
    let world = shared().await;
    let origin = &world.origin;
    for (target, location) in [
        ("/codespace/x/?a=b", format!("{origin}/codespace/x/?a=b")),
        ("/", format!("{origin}/")),
        ("//evil.test/x", format!("{origin}//evil.test/x")),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n");
        let answer = raw::plain(world.http, head).await;
        let text = answer.text().to_lowercase();
        assert!([301, 308].contains(&answer.status()), "{text}");
        let line = format!("\r\nlocation: {location}\r\n");
        assert!(text.contains(&line.to_lowercase()), "{target}: {text}");
    }
}

#[tokio::test]
async fn a_plain_listener_serves_trusted_proxies_and_nobody_else() {
    let listen = |trusted: &str, world: &World| {
        let plain = world.plain;
        format!("[listen]\nplain = [\"{plain}\"]\ntrusted_proxies = [\"{trusted}\"]\n")
    };
    let world = World::prepare(
        crate::world::config::RECORDER,
        crate::world::Docker::of_this_machine(),
    );
    world.configure(&listen("127.0.0.1/32", &world));
    world.launch().await;
    world.log_in(&world.alice).await.open("recorder").await;
    let ask = |path: &str| {
        let (host, token) = (world.authority(), world.keys.session(&world.alice));
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
        )
    };
    let path = format!("/recorder/{}/", world.alice);
    let answer = raw::plain(world.plain, ask(&path)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let text = answer.text();
    assert!(
        text.contains(r#"["x-forwarded-for", "203.0.113.9"#),
        "{text}"
    );
    assert!(text.contains(r#"["x-forwarded-proto", "https"]"#), "{text}");

    world.end("TERM").await;
    world.configure(&listen("192.0.2.0/24", &world));
    world.launch().await;
    let answer = raw::plain(world.plain, ask(&path)).await;
    assert_eq!(answer.status(), 403, "{}", answer.text());
}

#[tokio::test]
async fn a_head_too_large_or_of_too_many_fields_is_431() {
    let world = shared().await;
    let path = "/_vestibule/healthz";
    let large = world.get(path).header("x-large", "x".repeat(65 * 1024));
    assert_eq!(large.send().await.status, 431);
    let mut many = world.get(path);
    for n in 0..101 {
        many = many.header(&format!("x-{n}"), "1");
    }
    assert_eq!(many.send().await.status, 431);
    let long = format!(
        "GET {path}?{} HTTP/1.1\r\nHost: {}\r\n\r\n",
        "x".repeat(66_000),
        world.authority()
    );
    let status = world.raw(long).await.status();
    assert!([414, 431].contains(&status), "{status}");
    assert_eq!(world.get(path).send().await.status, 200);
}
