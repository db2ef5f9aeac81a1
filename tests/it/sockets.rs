//! Web sockets: who may open one, what passes, what a bad upstream can't do.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::world::{shared, socket, within};

/// How long a frame may take that is on its way.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_goes_in_comes_out() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    for app in ["recorder", "keeper"] {
        person.open(app).await;
        let (mut socket, _) = person.socket(&person.path(app, "ws"), &[]).await.unwrap();
        for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
            let sent = Message::binary(vec![7; size]);
            socket.send(sent.clone()).await.unwrap();
            let got = within("an echo", SOON, socket.next()).await;
            let got = got.unwrap().unwrap_or_else(|e| panic!("{e} {app} {size}"));
            assert_eq!(got, sent, "{app}, {size} bytes");
        }
        socket
            .send(Message::Ping("are you there".into()))
            .await
            .unwrap();
        let got = within("a pong", SOON, socket.next()).await;
        assert_eq!(got.unwrap().unwrap(), Message::Pong("are you there".into()));
        socket.close(None).await.unwrap();
        let closed = within("a close", SOON, socket.next()).await;
        assert!(closed.unwrap().unwrap().is_close());
    }
}

#[tokio::test]
async fn subprotocols_and_extensions_pass_untouched() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let path = person.path("recorder", "ws?deflate=1&head=1");
    let fields = [
        ("sec-websocket-protocol", "v0.other, v1.echo"),
        (
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits",
        ),
    ];
    let stream = world.connect(b"http/1.1").await.unwrap();
    let answer = socket::handshake(
        stream,
        &world,
        &path,
        &[
            ("cookie", &person.cookie),
            ("origin", &world.origin),
            fields[0],
            fields[1],
        ],
    )
    .await;
    let text = answer.to_lowercase();
    assert!(text.starts_with("http/1.1 101"), "{text}");
    assert!(
        text.contains("\r\nsec-websocket-protocol: v1.echo\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\nsec-websocket-extensions: permessage-deflate\r\n"),
        "{text}"
    );
    let plain = person
        .socket(&person.path("recorder", "ws"), &[fields[0]])
        .await
        .unwrap();
    assert_eq!(plain.1.headers()["sec-websocket-protocol"], "v1.echo");
}

#[tokio::test]
async fn another_site_opens_no_socket() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let path = person.path("recorder", "ws?mark-origin");
    let port = world.https.port();
    let cookie = ("cookie", person.cookie.as_str());
    for origin in [
        "https://evil.test".to_owned(),
        "null".to_owned(),
        format!("https://localhost.evil:{port}"),
        format!("{}.evil", world.origin),
        format!("http://localhost:{port}"),
        format!("https://localhost:{}", port ^ 1),
        "https://localhost".to_owned(),
        String::new(),
    ] {
        let refused = world.socket(&path, &[cookie, ("origin", &origin)]).await;
        assert_eq!(refused.err().unwrap(), 403, "{origin:?}");
    }
    let refused = world.socket(&path, &[cookie]).await;
    assert_eq!(refused.err().unwrap(), 403, "a cookie and no origin");
    let own = ("origin", world.origin.as_str());
    let refused = world
        .socket(&path, &[cookie, own, ("sec-fetch-site", "cross-site")])
        .await;
    let refused = refused.err().map(|status| status.as_u16());
    assert!(refused.is_none_or(|status| status == 403));
    let stranger = world.log_in(&world.bob).await;
    let refused = world
        .socket(&path, &[("cookie", &stranger.cookie), own])
        .await;
    assert_eq!(refused.err().unwrap(), 403, "bob");
    let token = format!("Bearer {}", world.keys.session(&world.alice));
    let open = world.socket(&path, &[("authorization", &token)]).await;
    assert!(open.is_ok(), "a program has no origin");
}

#[tokio::test]
async fn an_upstream_that_does_not_keep_to_the_handshake_gets_no_tunnel() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    for (what, statuses) in [
        ("ws-refused", [200, 502]),
        ("ws-wrong-accept", [502; 2]),
        ("ws-protocol", [502; 2]),
        ("ws-extension", [502; 2]),
    ] {
        let refused = person.socket(&person.path("recorder", what), &[]).await;
        let status = refused.err().unwrap().as_u16();
        assert!(statuses.contains(&status), "{what}: {status}");
    }
}

#[tokio::test]
async fn a_socket_never_starts_a_workspace() {
    let world = shared().await;
    let person = world.log_in(&world.user("sleepy")).await;
    let refused = person.socket(&person.path("recorder", "ws"), &[]).await;
    assert_eq!(refused.err().unwrap(), 424);
    let container = crate::world::docker::container_of(&person.name);
    assert_eq!(world.docker.id(&container), None);
}

#[tokio::test]
async fn a_close_code_passes() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let (mut socket, _) = person
        .socket(&person.path("recorder", "ws"), &[])
        .await
        .unwrap();
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: CloseCode::Library(4321),
        reason: "enough".into(),
    };
    socket.close(Some(frame.clone())).await.unwrap();
    let closed = within("a close", SOON, socket.next()).await;
    assert_eq!(closed.unwrap().unwrap(), Message::Close(Some(frame)));
}
