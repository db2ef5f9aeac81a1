//! What costs a client nothing and the server something has a bound.
use std::time::Duration;

use tokio::time::sleep;

use super::*;

const THOUSANDS: u32 = 10_000;

fn cancel(id: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes())
}

fn begun(id: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM, id, &literals(&head("GET", "/")))
}

/// A connection with a request that has no answer yet and whose body is still to come.
async fn open() -> Client {
    let mut client = Client::open().await;
    client.post(1, "/never").await;
    assert!(client.is_alive().await);
    client
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_flood_ends_the_connection() {
    type Flood = fn(u32) -> Vec<u8>;
    let floods: [(&str, Vec<u8>, Flood); 20] = [
        ("requests that are taken back", vec![], |at| {
            [asking(2 * at + 3, "/never"), cancel(2 * at + 3)].concat()
        }),
        ("requests that are malformed", vec![], |at| {
            asking(2 * at + 3, "no-path")
        }),
        ("requests whose stream is made to fail", vec![], |at| {
            let overflow = frame(WINDOW_UPDATE, 0, 2 * at + 3, &[0x7f, 0xff, 0xff, 0xff]);
            [asking(2 * at + 3, "/never"), overflow].concat()
        }),
        ("requests with a body behind their end", vec![], |at| {
            let data = frame(DATA, END_STREAM, 2 * at + 3, &[]);
            [asking(2 * at + 3, "/never"), data].concat()
        }),
        ("requests with trailers behind their end", vec![], |at| {
            let trailers = literals(&[("x", "y")]);
            let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + 3, &trailers);
            [asking(2 * at + 3, "/never"), trailers].concat()
        }),
        (
            "requests that name one field again and again",
            vec![],
            |at| {
                // Put into the table, it has 4,000 bytes; then it is named by one.
                let mut block = literal(0x40, "x", &"v".repeat(3900));
                block.resize(block.len() + 12_000, 0xbe);
                frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + 3, &block)
            },
        ),
        ("requests above the hundred", vec![], |at| {
            asking(2 * at + 3, "/never")
        }),
        ("PING", vec![], |_| frame(PING, 0, 0, &[0; 8])),
        ("answers to no PING", vec![], |_| {
            frame(PING, ACK, 0, &[0; 8])
        }),
        ("SETTINGS", vec![], |at| {
            frame(
                SETTINGS,
                0,
                0,
                &settings_payload(&[(INITIAL_WINDOW_SIZE, at)]),
            )
        }),
        ("empty SETTINGS", vec![], |_| frame(SETTINGS, 0, 0, &[])),
        ("empty DATA", vec![], |_| frame(DATA, 0, 1, &[])),
        ("DATA of padding", vec![], |_| frame(DATA, PADDED, 1, &[0])),
        ("empty CONTINUATION", begun(3), |_| {
            frame(CONTINUATION, 0, 3, &[])
        }),
        ("PRIORITY", vec![], |at| {
            frame(PRIORITY, 0, 2 * at + 3, &[0, 0, 0, 1, 1])
        }),
        ("unknown frames", vec![], |at| frame(100, 0, at, &[])),
        ("RST_STREAM of one stream", asking(3, "/never"), |_| {
            cancel(3)
        }),
        ("WINDOW_UPDATE of a stream", vec![], |_| {
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])
        }),
        ("WINDOW_UPDATE of the connection", vec![], |_| {
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])
        }),
        ("GOAWAY", vec![], |_| frame(GOAWAY, 0, 0, &[0; 8])),
    ];
    let mut different = Vec::new();
    for (case, first, flood) in floods {
        let mut client = open().await;
        client.send(&first).await;
        for at in 0..THOUSANDS / 100 {
            let some: Vec<_> = (at * 100..at * 100 + 100).flat_map(flood).collect();
            client.send(&some).await;
        }
        let fate = client.fate(1).await;
        if fate != Fate::Gone(ENHANCE_YOUR_CALM) {
            different.push((case, fate));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_without_end_ends_the_connection() {
    for (case, piece) in [
        ("fields", literals(&[("x", &"v".repeat(16_000))])),
        ("one field", vec![b'v'; 16_384]),
        ("indexed fields", vec![0x82; 16_384]),
    ] {
        let mut client = open().await;
        let mut block = begun(3);
        if case == "one field" {
            // 2 GiB are to come.
            block = frame(
                HEADERS,
                0,
                3,
                &[0, 1, b'x', 0x7f, 0x80, 0xff, 0xff, 0xff, 0x07],
            );
        }
        client.send(&block).await;
        for _ in 0..1000 {
            client.send(&frame(CONTINUATION, 0, 3, &piece)).await;
        }
        let fate = client.fate(1).await;
        assert!(
            matches!(fate, Fate::Gone(code) if code != NO_ERROR),
            "{case}: {fate:?}"
        );
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_browsers_do_is_no_flood() {
    let mut client = Client::open().await;
    // A page is left while it loads, three times.
    for page in 0..3 {
        let ids: Vec<_> = (0..90).map(|at| 200 * page + 2 * at + 1).collect();
        let asked: Vec<_> = ids.iter().flat_map(|id| asking(*id, "/never")).collect();
        let left: Vec<_> = ids.iter().flat_map(|id| cancel(*id)).collect();
        client.send(&asked).await;
        assert!(client.is_alive().await);
        client.send(&left).await;
        sleep(Duration::from_secs(1)).await;
    }
    // Firefox's idle streams, to hang others on.
    for id in [1003, 1005, 1007, 1009, 1011, 1013] {
        client.send_frame(PRIORITY, 0, id, &[0, 0, 0, 0, 200]).await;
    }
    for _ in 0..10 {
        client.set(&[(INITIAL_WINDOW_SIZE, 131_072)]).await;
        client.send_frame(PING, 0, 0, &[0; 8]).await;
    }
    // Each piece of a download is acknowledged on both levels, each key stroke is a frame.
    client.get(2001, "/big").await;
    client.post(2003, "/count").await;
    assert_eq!(client.download(2001).await.body.len(), 5 << 20);
    assert_eq!(client.upload_in(2003, 2000, 1, None).await, 2000);
    client.data(2003, b"", true).await;
    assert_eq!(client.expect_answer(2003).await.body, b"2000");
    for at in 0..500 {
        client.post(3001 + 2 * at, "/count").await;
        client.data(3001 + 2 * at, b"", true).await;
        assert_eq!(client.expect_answer(3001 + 2 * at).await.body, b"0");
    }
    assert!(client.is_alive().await);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_download_acknowledged_piece_by_piece_is_no_flood() {
    let taken = Count::default();
    let mut client = Client::open_to(move |_| std::future::ready(endless(16_384, &taken))).await;
    client.get(1, "/").await;
    let mut much = 0;
    while much < 128 << 20 {
        let frame = client.next_frame().await.expect("without end");
        match frame.kind {
            DATA => {
                much += frame.payload.len();
                // As Go's client does.
                for piece in frame.payload.chunks(4096) {
                    client.grant(&[0, 1], piece.len()).await;
                }
            }
            GOAWAY => panic!("after {much} bytes: {frame:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_is_a_flood_in_a_moment_is_none_in_an_hour() {
    let mut client = open().await;
    for second in 0..3600 {
        client.send_frame(PING, 0, 0, b"question").await;
        client.set(&[]).await;
        let id = 2 * second + 3;
        client
            .send(&[asking(id, "/never"), cancel(id)].concat())
            .await;
        assert_eq!(
            client.linger(Duration::from_secs(1), true).await,
            None,
            "after {second} s"
        );
    }
    assert!(client.is_alive().await);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_asks_and_takes_no_answer_is_read_no_more() {
    let ping = frame(PING, 0, 0, &[0; 8]);
    let settings = frame(
        SETTINGS,
        0,
        0,
        &settings_payload(&[(INITIAL_WINDOW_SIZE, 1)]),
    );
    // At once it may be a flood as well; ten in a second are none.
    for (case, question, pause) in [
        ("PING at once", &ping, Duration::ZERO),
        ("SETTINGS at once", &settings, Duration::ZERO),
        ("PING", &ping, Duration::from_secs(1)),
        ("SETTINGS", &settings, Duration::from_secs(1)),
    ] {
        let drops = Count::default();
        let seen = drops.clone();
        let mut client = Client::start(1000, move |request| guarded(request, seen.at_drop()));
        client.greet(&[]).await;
        client.get(1, "/never").await;
        let ten = question.repeat(10);
        let mut taken = 0;
        // It has ended when what it served is dropped.
        while drops.get() == 0 && client.sends(&ten).await {
            taken += ten.len();
            assert!(taken < 500_000, "{case}: {taken} bytes, and it goes on");
            sleep(pause).await;
        }
    }
}
