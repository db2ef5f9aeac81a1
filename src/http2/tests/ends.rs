//! How a connection ends: by the client's end, by its GOAWAY, by the order to drain.
use std::time::Duration;

use http::Request;
use tokio::io::AsyncReadExt;

use super::*;

/// A connection with a stream of each kind, which counts what is dropped of them.
async fn busy(drops: &Count) -> Client {
    let mut client = open_guarded(drops).await;
    client.get(1, "/never").await;
    client.get(3, "/slow").await;
    client.get(5, "/endless").await;
    client.post(7, "/count").await;
    client.data(7, b"some", false).await;
    assert!(client.is_alive().await);
    assert_eq!(drops.get(), 0);
    client
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_clients_end_drops_all_at_once() {
    let drops = Count::default();
    let mut client = busy(&drops).await;
    client.hang_up().await;
    client.expect_end().await;
    settled().await;
    assert_eq!(drops.get(), 4);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_clients_end_is_seen_whatever_the_client_left_unsaid() {
    for (case, said) in [
        ("nothing", Vec::new()),
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface", PREFACE.to_vec()),
        (
            "half a head",
            [
                PREFACE,
                &frame(SETTINGS, 0, 0, &[]),
                &frame(HEADERS, 0, 1, b""),
            ]
            .concat(),
        ),
        (
            "half a frame",
            [PREFACE, &frame(SETTINGS, 0, 0, &[]), &[0, 0]].concat(),
        ),
    ] {
        let mut client = Client::start(1 << 16, site);
        client.send(&said).await;
        client.hang_up().await;
        assert!(
            client.linger(Duration::from_secs(1), false).await.is_some(),
            "{case}"
        );
        client.expect_end().await;
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_fault_of_the_client_drops_all_at_once() {
    let drops = Count::default();
    let mut client = busy(&drops).await;
    client.send_frame(PING, 0, 1, &[0; 8]).await;
    client.expect_goaway(PROTOCOL_ERROR).await;
    client.expect_end().await;
    settled().await;
    assert_eq!(drops.get(), 4);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_goaway_names_the_last_stream_that_was_served() {
    let mut client = Client::open().await;
    for id in [1, 3, 7] {
        client.get(id, "/never").await;
    }
    client.send_frame(PING, 0, 1, &[0; 8]).await;
    assert_eq!(client.expect_goaway(PROTOCOL_ERROR).await, 7);
    client.expect_end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_goes_away_still_gets_its_answers() {
    let mut client = Client::open().await;
    client.post(1, "/echo").await;
    client.get(3, "/big").await;
    client
        .send_frame(GOAWAY, 0, 0, &[[0; 8].as_slice(), b"bye"].concat())
        .await;
    assert!(client.is_alive().await);
    assert_eq!(client.download(3).await.body.len(), 5 << 20);
    client.data(1, b"text", true).await;
    assert_eq!(client.expect_answer(1).await.body, b"text");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_without_streams_drains_at_once() {
    for served in [false, true] {
        let mut client = Client::open().await;
        if served {
            client.get(1, "/").await;
            client.expect_answer(1).await;
        }
        client.drain();
        assert_eq!(client.expect_final_goaway().await, u32::from(served));
        client.expect_end().await;
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_that_never_began_drains_too() {
    let mut client = Client::start(1 << 16, site);
    tokio::task::yield_now().await;
    client.drain();
    assert!(
        client
            .linger(Duration::from_secs(11), false)
            .await
            .is_some()
    );
    client.expect_end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn streams_finish_while_a_connection_drains() {
    let mut client = Client::open().await;
    client.get(1, "/big").await;
    client.post(3, "/count").await;
    client.post(5, "/echo").await;
    assert!(client.is_alive().await);
    client.drain();
    assert_eq!(client.expect_final_goaway().await, 5);

    assert_eq!(client.download(1).await.body.len(), 5 << 20);
    assert_eq!(client.upload(3, 3 << 20).await, 3 << 20);
    client.data(3, b"", true).await;
    assert_eq!(client.expect_answer(3).await.body, b"3145728");
    assert!(client.is_alive().await, "a stream is open");
    client.data(5, b"last", true).await;
    assert_eq!(client.expect_answer(5).await.body, b"last");
    client.expect_end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stream_that_crossed_the_first_goaway_is_served_and_one_after_the_last_is_not() {
    let visits = Count::default();
    let mut client = open_counted(&visits).await;
    client.post(1, "/count").await;
    assert!(client.is_alive().await);
    client.drain();
    client.get(3, "/").await;
    let last = client.expect_final_goaway().await;
    if last == 3 {
        assert_eq!(client.expect_answer(3).await.body, b"hello");
    }
    let before = visits.get();
    // Not even half: the fields count, and so does the DATA.
    client.request(5, &head("POST", "/count"), false).await;
    client.data(5, b"some", true).await;
    client.get(7, "/").await;
    assert!(client.is_alive().await);
    assert_eq!(visits.get(), before);
    for id in [5, 7] {
        let answered = client.has(|frame| frame.is_of(HEADERS, id));
        let reset =
            |frame: &Frame| frame.is_of(RST_STREAM, id) && number(&frame.payload) != REFUSED_STREAM;
        assert!(!answered && !client.has(reset), "stream {id}");
    }
    client.data(1, b"12345", true).await;
    assert_eq!(client.expect_answer(1).await.body, b"5");
    client.expect_end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_tunnel_stays_open_while_a_connection_drains() {
    let mut client = Client::open_to(|request: Request<Received>| {
        tokio::task::spawn_local(async move {
            let mut tunnel = request.into_body().take_up().await.unwrap();
            let mut all = Vec::new();
            let _ = tunnel.read_to_end(&mut all).await;
        });
        std::future::ready(say(""))
    })
    .await;
    let [_, scheme, authority, path] = head("", "/chat");
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        scheme,
        authority,
        path,
    ];
    client.request(1, &fields, false).await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
    client.drain();
    assert_eq!(client.expect_final_goaway().await, 1);
    assert_eq!(client.linger(Duration::from_mins(10), true).await, None);
    client.data(1, b"bye", true).await;
    client.expect_end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_resets_the_last_stream_ends_a_drain() {
    let drops = Count::default();
    let mut client = busy(&drops).await;
    client.drain();
    assert_eq!(client.expect_final_goaway().await, 7);
    for id in [1, 3, 5, 7] {
        client
            .send_frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes())
            .await;
    }
    client.expect_end().await;
    settled().await;
    assert_eq!(drops.get(), 4);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_goaway_never_names_a_later_stream_than_the_one_before() {
    let mut client = Client::open().await;
    client.get(1, "/never").await;
    client.drain();
    assert_eq!(client.expect_final_goaway().await, 1);
    client.get(3, "/").await;
    client.expect_rst(3, REFUSED_STREAM).await;
    // A fault, so that it says so once more.
    client.send_frame(PING, 0, 1, &[0; 8]).await;
    assert_eq!(client.expect_goaway(PROTOCOL_ERROR).await, 1);
}
