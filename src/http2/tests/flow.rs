//! RFC 9113 5.2 and 6.9: windows, and what may wait where.
use std::time::Duration;

use tokio::time::sleep;

use super::*;

const MOST: u32 = (1 << 31) - 1;
const MIB: usize = 1 << 20;
/// What is on its way and in nobody's hands.
const ROOM: usize = 32_768;

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_keeps_to_a_window_that_changes() {
    let mut client = Client::start(1 << 16, site);
    client.greet(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    client.get(1, "/big").await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
    assert_eq!(client.comes_of(1).await, 0);
    client.set(&[(INITIAL_WINDOW_SIZE, 10)]).await;
    assert_eq!(client.comes_of(1).await, 10);
    client
        .set(&[(INITIAL_WINDOW_SIZE, 50), (INITIAL_WINDOW_SIZE, 30)])
        .await;
    assert_eq!(client.comes_of(1).await, 20);
    // RFC 9113 6.9.2: 25 bytes less than none.
    client.set(&[(INITIAL_WINDOW_SIZE, 5)]).await;
    client.grant(&[1], 25).await;
    assert_eq!(client.comes_of(1).await, 0);
    client.grant(&[1], 1).await;
    assert_eq!(client.comes_of(1).await, 1);
    client.get(3, "/big").await;
    assert_eq!(client.comes_of(3).await, 5);
    client.set(&[(INITIAL_WINDOW_SIZE, MOST - 100)]).await;
    assert_eq!(
        client.comes_of(1).await + client.comes_of(3).await,
        65_535 - 36
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn all_streams_share_the_connections_window() {
    let mut client = Client::start(1 << 16, site);
    client.greet(&[(INITIAL_WINDOW_SIZE, 60_000)]).await;
    client.get(1, "/big").await;
    client.get(3, "/big").await;
    let (one, other) = (client.comes_of(1).await, client.comes_of(3).await);
    assert_eq!(one + other, 65_535);
    assert!(one <= 60_000 && other <= 60_000, "{one} and {other}");
    client.grant(&[0], 100).await;
    let other_more = client.comes_of(3).await;
    assert_eq!(client.comes_of(1).await + other_more, 100);
    // What a stream can't use is left to the others.
    client
        .send_frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())
        .await;
    client.grant(&[0], 1000).await;
    let room = 60_000 - other - other_more;
    assert_eq!(client.comes_of(3).await, room.min(1000));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_end_needs_no_window() {
    let mut client = Client::start(1 << 16, site);
    client.greet(&[(INITIAL_WINDOW_SIZE, 5)]).await;
    client.get(1, "/").await;
    assert_eq!(client.expect_answer(1).await.body, b"hello");
    client.set(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    client.get(3, "/end").await;
    assert_eq!(client.expect_answer(3).await.status, 200);
    client.post(5, "/echo").await;
    client.trailers(5, &[("digest", "x")]).await;
    assert_eq!(client.expect_answer(5).await.trailers.len(), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_window_beyond_its_bound_or_opened_by_nothing_is_an_error() {
    use Fate::{Gone, Reset, Silence};
    let update = |id, by: u32| frame(WINDOW_UPDATE, 0, id, &by.to_be_bytes());
    let first = |size| {
        frame(
            SETTINGS,
            0,
            0,
            &settings_payload(&[(INITIAL_WINDOW_SIZE, size)]),
        )
    };
    let mut different = Vec::new();
    for (case, frames, expected) in [
        ("a stream's to its bound", update(1, MOST - 65_535), Silence),
        (
            "a stream's",
            update(1, MOST - 65_534),
            Reset(FLOW_CONTROL_ERROR),
        ),
        (
            "a stream's in two steps",
            [update(1, MOST - 65_535), update(1, 1)].concat(),
            Reset(FLOW_CONTROL_ERROR),
        ),
        (
            "the connection's to its bound",
            update(0, MOST - 65_535),
            Silence,
        ),
        (
            "the connection's",
            update(0, MOST - 65_534),
            Gone(FLOW_CONTROL_ERROR),
        ),
        ("all streams' to its bound", first(MOST), Silence),
        (
            "all streams'",
            [update(1, 1), first(MOST)].concat(),
            Gone(FLOW_CONTROL_ERROR),
        ),
        ("a stream's by nothing", update(1, 0), Reset(PROTOCOL_ERROR)),
        (
            "the connection's by nothing",
            update(0, 0),
            Gone(PROTOCOL_ERROR),
        ),
    ] {
        let mut client = Client::open().await;
        client.get(1, "/never").await;
        client.send(&frames).await;
        let fate = client.fate(1).await;
        let goes_on = matches!(fate, Gone(_)) || client.is_alive().await;
        if fate != expected || !goes_on {
            different.push((case, fate, goes_on));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_nobody_reads_fills_its_window_and_no_more() {
    let mut client = Client::open().await;
    client.post(1, "/never").await;
    assert_eq!(client.upload(1, 2 * MIB).await, MIB);
    client.data(1, b"x", false).await;
    assert_eq!(client.fate(1).await, Fate::Reset(FLOW_CONTROL_ERROR));
    assert!(client.is_alive().await);

    // Padding fills it as well.
    client.post(3, "/never").await;
    assert_eq!(client.upload(3, MIB - 10).await, MIB - 10);
    client.padded(3, b"x", 9).await;
    assert_eq!(client.fate(3).await, Fate::Reset(FLOW_CONTROL_ERROR));
    client.post(5, "/never").await;
    assert_eq!(client.upload(5, MIB - 10).await, MIB - 10);
    client.padded(5, b"x", 8).await;
    assert_eq!(client.fate(5).await, Fate::Silence);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn more_than_the_connections_window_ends_it() {
    let mut client = Client::open().await;
    for id in [1, 3] {
        client.post(id, "/never").await;
        assert_eq!(client.upload(id, MIB).await, MIB);
    }
    client.post(5, "/count").await;
    assert_eq!(client.upload(5, 1).await, 0);
    client.data(5, b"x", false).await;
    assert_eq!(client.fate(5).await, Fate::Gone(FLOW_CONTROL_ERROR));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_nobody_will_read_is_given_back_to_the_connection() {
    for (case, path) in [
        ("the client resets its stream", "/never"),
        ("the handler doesn't want the body", "/"),
        ("the head was malformed", "no-path"),
        ("the body is longer than its head said", "/count"),
        ("the handler waited, and answers", "/late"),
    ] {
        let mut client = Client::open_to(|request: http::Request<Received>| async move {
            if request.uri().path() == "/late" {
                sleep(Duration::from_secs(1)).await;
            }
            site(request).await
        })
        .await;
        for id in [1, 3, 5, 7, 9, 11] {
            let length = (
                "content-length",
                if path == "/count" { "9" } else { "1000000" },
            );
            let fields = [&head("POST", path)[..], &[length]].concat();
            client.request(id, &fields, false).await;
            assert_eq!(client.upload(id, 900_000).await, 900_000, "{case}");
            if path == "/never" {
                client
                    .send_frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes())
                    .await;
            }
            client.fate(id).await;
        }
        assert!(client.is_alive().await, "{case}");
        assert!(
            client.comes_back_to(2 * MIB).await,
            "{case}: {}",
            client.window
        );
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn padding_is_given_back_with_what_is_read() {
    let mut client = Client::open().await;
    client.post(1, "/count").await;
    assert_eq!(client.upload_in(1, 900_000, 100, Some(255)).await, 900_000);
    client.data(1, b"", true).await;
    assert_eq!(client.expect_answer(1).await.body, b"900000");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn large_bodies_pass_through_small_windows_whole() {
    for window in [100, 1000, 65_535] {
        let mut client = Client::start(1000, site);
        client.greet(&[(INITIAL_WINDOW_SIZE, window)]).await;
        // A window below a frame is opened often.
        let much = if window == 100 { 100_000 } else { 5 * MIB };
        client.post(1, "/echo").await;
        let (mut sent, mut came) = (0, 0);
        while sent < much {
            sent += client.upload(1, 10_000.min(much - sent)).await;
            came += client.take_data(1).await;
        }
        client.data(1, b"", true).await;
        came += client.expect_answer_end(1).await.len();
        assert_eq!((sent, came), (much, much), "{window}");
    }
    let mut client = Client::start(1000, site);
    client.greet(&[(INITIAL_WINDOW_SIZE, 4000)]).await;
    client.get(1, "/big").await;
    client.post(3, "/count").await;
    assert_eq!(client.download(1).await.body.len(), 5 * MIB);
    assert_eq!(client.upload(3, 5 * MIB).await, 5 * MIB);
    client.data(3, b"", true).await;
    assert_eq!(client.expect_answer(3).await.body, b"5242880");
}

/// A connection with 50 downloads without end, of which the client takes nothing yet.
async fn greedy(window: u32, taken: &Count) -> Client {
    let taken = taken.clone();
    let mut client = Client::start(ROOM, move |request: http::Request<Received>| {
        let taken = taken.clone();
        async move {
            match request.uri().path() {
                "/endless" => endless(16_384, &taken),
                _ => site(request).await,
            }
        }
    });
    client.greet(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    for at in 0..50 {
        client.get(2 * at + 1, "/endless").await;
    }
    client.grant(&[0], (MOST - 65_535) as usize).await;
    client.set(&[(INITIAL_WINDOW_SIZE, window)]).await;
    client
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_waits_for_a_client_that_takes_nothing_is_bounded() {
    for (window, bound) in [(0, 50 * 16_384), (MOST, ROOM + 65_536 + 51 * 16_384)] {
        let taken = Count::default();
        let mut client = greedy(window, &taken).await;
        sleep(Duration::from_secs(30)).await;
        assert!(
            taken.get() <= bound,
            "{} bytes with a window of {window}",
            taken.get()
        );
        if window > 0 {
            for at in 0..50 {
                let id = 2 * at + 1;
                client.find("DATA", |frame| frame.is_of(DATA, id)).await;
            }
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn no_stream_starves_another() {
    let taken = Count::default();
    let mut client = greedy(MOST, &taken).await;
    let mut shares = vec![0; 101];
    while shares.iter().sum::<usize>() < 8 * MIB {
        let frame = client.next_frame().await.expect("without end");
        if frame.kind == DATA {
            shares[frame.stream as usize] += frame.payload.len();
        }
    }
    let shares: Vec<_> = shares.into_iter().skip(1).step_by(2).collect();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(least * 2 > *most, "{shares:?}");

    client.get(101, "/").await;
    let before = taken.get();
    assert_eq!(client.expect_answer(101).await.body, b"hello");
    let between = taken.get() - before;
    assert!(between < 3 * MIB, "{between} bytes of others went before");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_waits_for_a_client_that_takes_a_little_at_a_time_is_bounded() {
    let taken = Count::default();
    let mut client = greedy(MOST, &taken).await;
    let mut came = 0;
    for _ in 0..2000 {
        // Never so much that all that waits is sent.
        came += client
            .next_frame()
            .await
            .expect("without end")
            .payload
            .len();
        settled().await;
        let held = taken.get() - came;
        assert!(held <= ROOM + 2 * 65_536 + 51 * 16_384, "{held} bytes");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_is_read_on_while_it_takes_nothing() {
    // It says more than is read in a turn, while not even our SETTINGS have room.
    let mut client = Client::start(16, |request: http::Request<Received>| site(request));
    let body = frame(DATA, 0, 1, &[b'b'; 16_384]).repeat(16);
    let said = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &asking_with_a_body(1),
        &body,
    ]
    .concat();
    assert!(client.sends(&said).await, "it waits for us, and we for it");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_connections_window_goes_from_one_to_the_next() {
    let taken = Count::default();
    let mut client = Client::open_to(move |_| std::future::ready(endless(16_384, &taken))).await;
    client.set(&[(INITIAL_WINDOW_SIZE, MOST)]).await;
    for at in 0..50 {
        client.get(2 * at + 1, "/").await;
    }
    let mut much = 0;
    while much < 65_535 {
        let frame = client
            .next_frame()
            .await
            .expect("as much as there is room for");
        much += if frame.kind == DATA {
            frame.payload.len()
        } else {
            0
        };
    }
    // By a byte, which is somebody's; by less than a frame for each, some of whom have gone.
    for (by, gone) in [
        (1, false),
        (1, false),
        (100, true),
        (70_000, true),
        (1 << 20, true),
    ] {
        if gone {
            for id in [3, 5, 7, 31, 33] {
                client.send_frame(RST_STREAM, 0, id, &[0, 0, 0, 8]).await;
            }
        }
        client.grant(&[0], by).await;
        let mut came = 0;
        while came < by {
            let data = client.find("DATA", |frame| frame.kind == DATA).await;
            came += data.payload.len();
        }
        assert_eq!(came, by);
    }
}

/// A head that a body follows.
fn asking_with_a_body(id: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, id, &literals(&head("POST", "/never")))
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_sent_byte_by_byte_takes_no_more_memory_than_others() {
    let mut stream = super::super::state::Stream::new(0, false);
    (0..100_000).for_each(|_| stream.push(b"b"));
    assert_eq!(stream.unread(), 100_000);
    assert!(stream.pieces.len() < 10);
}
