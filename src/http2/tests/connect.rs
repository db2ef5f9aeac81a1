//! RFC 8441: a stream as a tunnel, for a WebSocket.
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::Tunnel;
use super::*;

const CHAT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat?room=1"),
    (":authority", "vestibule.test"),
];

/// A site that agrees to each tunnel and hands it to the test.
async fn open() -> (Client, mpsc::UnboundedReceiver<Tunnel>) {
    let (hand, handed) = mpsc::unbounded_channel();
    let client = Client::open_to(move |request: Request<Received>| {
        let hand = hand.clone();
        tokio::task::spawn_local(async move {
            let tunnel = request.into_body().take_up().await;
            let _ = hand.send(tunnel.expect("we agreed"));
        });
        std::future::ready(say(""))
    });
    (client.await, handed)
}

/// A tunnel on stream 1, open at both ends.
async fn tunnel() -> (Client, Tunnel) {
    let (mut client, mut handed) = open().await;
    client.request(1, &CHAT, false).await;
    let answer = client.find("answer", |frame| frame.is_of(HEADERS, 1)).await;
    assert_eq!((status_of(&answer), answer.flags & END_STREAM), (200, 0));
    let tunnel = in_time(handed.recv()).await.expect("handed");
    (client, tunnel)
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), what)
        .await
        .expect("in time")
}

/// What came until nothing more did for a while.
async fn read_all_there_is(tunnel: &mut Tunnel) -> Vec<u8> {
    let (mut all, mut some) = (Vec::new(), [0; 10_000]);
    while let Ok(Ok(count @ 1..)) = timeout(Duration::from_secs(1), tunnel.read(&mut some)).await {
        all.extend_from_slice(&some[..count]);
    }
    all
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_handler_sees_what_a_tunnel_is_for() {
    let mut client = Client::open_to(|request: Request<Received>| async move {
        assert_eq!(request.method(), "CONNECT");
        assert_eq!(request.uri().path_and_query().unwrap(), "/chat?room=1");
        assert_eq!(request.uri().authority().unwrap(), "vestibule.test");
        assert_eq!(request.headers()["sec-websocket-version"], "13");
        say(request
            .extensions()
            .get::<Protocol>()
            .expect("extended")
            .as_str())
    })
    .await;
    for (id, protocol) in [(1, "websocket"), (3, "connect-udp")] {
        let mut fields = CHAT.to_vec();
        fields[1].1 = protocol;
        fields.push(("sec-websocket-version", "13"));
        client.request(id, &fields, false).await;
        assert_eq!(client.fate(id).await, Fate::Answered(200), "{protocol}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn bytes_pass_both_ways_as_they_come() {
    let (mut client, mut tunnel) = tunnel().await;
    for word in [&b"one"[..], b"two", b"three"] {
        client.data(1, word, false).await;
        let mut read = vec![0; word.len()];
        in_time(tunnel.read_exact(&mut read)).await.unwrap();
        assert_eq!(read, word);
        tunnel.write_all(word).await.unwrap();
        tunnel.flush().await.unwrap();
        client.expect_data(1, word).await;
    }
    let padded = [&[2], &b"four"[..], &[0; 2]].concat();
    client.send_frame(DATA, PADDED, 1, &padded).await;
    assert_eq!(read_all_there_is(&mut tunnel).await, b"four");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_a_client_said_before_the_answer_is_not_lost() {
    let (mut client, mut handed) = open().await;
    client.request(1, &CHAT, false).await;
    client.data(1, b"early", true).await;
    let mut tunnel = in_time(handed.recv()).await.unwrap();
    let mut all = Vec::new();
    in_time(tunnel.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, b"early");
    tunnel.write_all(b"late").await.unwrap();
    tunnel.shutdown().await.unwrap();
    assert_eq!(client.expect_answer(1).await.body, b"late");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn either_end_may_finish_first() {
    let (mut client, mut tunnel) = tunnel().await;
    client.data(1, b"bye", true).await;
    let mut all = Vec::new();
    in_time(tunnel.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, b"bye");
    tunnel.write_all(b"and you").await.unwrap();
    tunnel.flush().await.unwrap();
    client.expect_data(1, b"and you").await;
    tunnel.shutdown().await.unwrap();
    assert!(client.expect_answer_end(1).await.is_empty());

    let (mut client, mut tunnel) = self::tunnel().await;
    tunnel.write_all(b"bye").await.unwrap();
    tunnel.shutdown().await.unwrap();
    assert_eq!(client.expect_answer_end(1).await, b"bye");
    client.data(1, b"and you", true).await;
    let mut all = Vec::new();
    in_time(tunnel.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, b"and you");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_tunnel_that_is_dropped_ends_or_resets_its_stream() {
    for ended in [false, true] {
        let (mut client, mut tunnel) = tunnel().await;
        client.data(1, b"unread", ended).await;
        tunnel.write_all(b"said").await.unwrap();
        tunnel.flush().await.unwrap();
        client.expect_data(1, b"said").await;
        drop(tunnel);
        let ends = |frame: &Frame| {
            let end = frame.kind == DATA && frame.flags & END_STREAM != 0;
            frame.stream == 1 && (end || frame.kind == RST_STREAM)
        };
        let end = client.find("end", ends).await;
        // Nobody reads on: if that was no reset, it follows.
        if !ended && end.kind == DATA {
            client
                .find("RST_STREAM", |frame| frame.is_of(RST_STREAM, 1))
                .await;
        }
        assert!(client.is_alive().await);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_tunnel_that_nobody_takes_up_ends_with_its_answer() {
    let mut client = Client::open_to(|_| std::future::ready(say(""))).await;
    client.request(1, &CHAT, false).await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
    let ends = |frame: &Frame| {
        let end = frame.kind == DATA && frame.flags & END_STREAM != 0;
        frame.stream == 1 && (end || frame.kind == RST_STREAM)
    };
    client.find("end", ends).await;
    assert!(client.is_alive().await);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_reset_and_the_connections_end_are_the_tunnels_end() {
    for case in ["reset", "end"] {
        let (mut client, mut tunnel) = tunnel().await;
        if case == "reset" {
            client
                .send_frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())
                .await;
        } else {
            client.hang_up().await;
        }
        let mut all = Vec::new();
        // An error or the end: whoever reads must not wait for more.
        let _ = in_time(tunnel.read_to_end(&mut all)).await;
        assert!(all.is_empty(), "{case}");
        let wrote = in_time(async {
            tunnel.write_all(&vec![0; 100_000]).await?;
            tunnel.flush().await
        });
        assert!(wrote.await.is_err(), "{case}: nobody takes that");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_writer_that_waits_for_the_window_hears_of_a_reset() {
    let (mut client, mut tunnel) = tunnel().await;
    let writer = tokio::task::spawn_local(async move {
        tunnel.write_all(&vec![0; 1 << 20]).await?;
        tunnel.flush().await
    });
    assert!(client.comes(|frame| frame.is_of(DATA, 1)).await);
    assert!(!writer.is_finished(), "the window is 65,535");
    client
        .send_frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())
        .await;
    assert!(in_time(writer).await.unwrap().is_err());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_tunnel_nobody_reads_takes_no_more_than_its_window() {
    let (mut client, mut tunnel) = tunnel().await;
    assert_eq!(client.upload(1, 2 << 20).await, 1 << 20);
    assert!(client.is_alive().await);
    assert_eq!(read_all_there_is(&mut tunnel).await.len(), 1 << 20);
    assert_eq!(client.upload(1, 1 << 20).await, 1 << 20);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn much_passes_both_ways_at_once() {
    let (mut client, mut tunnel) = tunnel().await;
    let echo = tokio::task::spawn_local(async move {
        let mut some = vec![0; 50_000];
        loop {
            match tunnel.read(&mut some).await.unwrap() {
                0 => break,
                count => tunnel.write_all(&some[..count]).await.unwrap(),
            }
        }
        tunnel.shutdown().await.unwrap();
    });
    let mut came = Vec::new();
    for _ in 0..256 {
        assert_eq!(client.upload(1, 20_480).await, 20_480);
        // It may have been sent without a turn for the server.
        settled().await;
        while client.has(|frame| frame.is_of(DATA, 1)) {
            let data = client.find("DATA", |frame| frame.is_of(DATA, 1)).await;
            client.grant(&[0, 1], data.payload.len()).await;
            came.extend(data.payload);
        }
    }
    client.data(1, b"", true).await;
    came.extend(client.expect_answer_end(1).await);
    assert!(came.len() == 5 << 20 && came.iter().all(|byte| *byte == b'u'));
    in_time(echo).await.unwrap();
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_refusal_is_an_answer_like_any() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut client = Client::open_to(move |request: Request<Received>| {
        let tell = tell.clone();
        tokio::task::spawn_local(async move {
            let _ = tell.send(request.into_body().take_up().await.is_ok());
        });
        let (mut parts, body) = say("not you").into_parts();
        parts.status = http::StatusCode::FORBIDDEN;
        std::future::ready(Response::from_parts(parts, body))
    })
    .await;
    client.request(1, &CHAT, false).await;
    let answer = client.expect_answer(1).await;
    assert_eq!((answer.status, &answer.body[..]), (403, &b"not you"[..]));
    assert_eq!(
        in_time(told.recv()).await,
        Some(false),
        "there is no tunnel"
    );
    client.expect_rst(1, NO_ERROR).await;
    client.get(3, "/").await;
    assert_eq!(client.fate(3).await, Fate::Answered(403));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_is_written_behind_a_tunnels_end() {
    let (mut client, mut tunnel) = tunnel().await;
    tunnel.write_all(b"last").await.unwrap();
    tunnel.shutdown().await.unwrap();
    assert!(tunnel.write_all(b"more").await.is_err());
    tunnel.shutdown().await.unwrap();
    assert_eq!(client.expect_answer_end(1).await, b"last");
    // The other way it goes on.
    client.data(1, b"heard", false).await;
    let mut heard = [0; 5];
    in_time(tunnel.read_exact(&mut heard)).await.unwrap();
    drop(tunnel);
    client.expect_rst(1, NO_ERROR).await;
    assert!(client.is_alive().await);
}
