//! How long a connection may wait for what.
use std::time::Duration;

use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Sends the next of these bytes each second and answers no PING; when the connection ended.
async fn drip(client: &mut Client, seconds: u32, next: impl Fn(usize) -> Vec<u8>) -> Option<u64> {
    let start = Instant::now();
    for at in 0..seconds as usize {
        client.send(&next(at)).await;
        if client.linger(SECOND, false).await.is_some() {
            return Some(start.elapsed().as_secs());
        }
    }
    None
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_first_head_comes_within_ten_seconds_or_the_connection_ends() {
    let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let begun = [
        &greeting[..],
        &frame(HEADERS, 0, 1, &literals(&head("GET", "/"))),
    ]
    .concat();
    let slow = [&greeting[..], &frame(HEADERS, END_HEADERS, 1, &[0; 50])].concat();
    let greeted = greeting.len();
    let ping = frame(PING, 0, 0, &[0; 8]);
    for (case, first, rest) in [
        ("nothing", 0, Vec::new()),
        ("half a preface", 5, Vec::new()),
        ("a preface, slowly", 0, greeting.clone()),
        ("a greeting", greeted, Vec::new()),
        ("a greeting and PINGs", greeted, ping.repeat(30)),
        ("half a head", begun.len(), Vec::new()),
        ("a head byte by byte", greeted, slow[greeted..].to_vec()),
    ] {
        let mut client = Client::start(1 << 16, site);
        let bytes = if case == "half a head" {
            &begun
        } else {
            &greeting
        };
        client.send(&bytes[..first]).await;
        let step = if rest.len() > 100 { ping.len() } else { 1 };
        let pieces: Vec<_> = rest.chunks(step).map(<[u8]>::to_vec).collect();
        let ended = drip(&mut client, 20, |at| {
            pieces.get(at).cloned().unwrap_or_default()
        })
        .await;
        assert!(matches!(ended, Some(9..=11)), "{case}: {ended:?}");
        client.expect_end().await;
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_begun_is_complete_within_ten_seconds_or_the_connection_ends() {
    let block = literals(&head("GET", "/"));
    let begin = frame(HEADERS, END_STREAM, 3, &block);
    let more = frame(CONTINUATION, 0, 3, &literals(&[("x", "y")]));
    // The last byte of HEADERS comes after eight seconds, and nothing behind it.
    let mut halves = vec![Vec::new(); 20];
    let (first, last) = begin.split_at(begin.len() - 1);
    (halves[0], halves[8]) = (first.to_vec(), last.to_vec());
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 3, &block);
    let mut slow = vec![Vec::new(); 20];
    (slow[0], slow[3], slow[6]) = (begin.clone(), more.clone(), more);
    let bytes = whole[9..].iter().map(|byte| vec![*byte]);
    for (case, pieces) in [
        ("no more", vec![begin]),
        ("more, now and then", slow),
        ("a frame late, and no more", halves),
        (
            "a frame byte by byte",
            [whole[..9].to_vec()].into_iter().chain(bytes).collect(),
        ),
    ] {
        let mut client = Client::open().await;
        client.get(1, "/").await;
        client.expect_answer(1).await;
        // The first was in time; between requests there is no hurry.
        assert_eq!(client.linger(SECOND * 30, true).await, None, "{case}");
        let ended = drip(&mut client, 20, |at| {
            pieces.get(at).cloned().unwrap_or_default()
        })
        .await;
        assert!(matches!(ended, Some(9..=11)), "{case}: {ended:?}");
    }

    let mut client = Client::open().await;
    client.send_frame(HEADERS, END_STREAM, 1, &block).await;
    assert_eq!(client.linger(SECOND * 8, true).await, None);
    client.send_frame(CONTINUATION, END_HEADERS, 1, &[]).await;
    assert_eq!(client.expect_answer(1).await.body, b"hello");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_silent_client_is_asked_whether_it_is_there() {
    let ping = |frame: &Frame| frame.is(PING, 0, 0);
    let drops = Count::default();
    let mut client = open_guarded(&drops).await;
    client.get(1, "/never").await;
    assert_eq!(client.linger(SECOND * 59, false).await, None);
    assert!(!client.has(ping), "asked too early");
    assert_eq!(client.linger(SECOND * 3, false).await, None);
    assert!(client.has(ping), "not asked");
    let ended = client.linger(SECOND * 70, false).await;
    assert!(
        matches!(ended.map(|time| time.as_secs()), Some(57..=59)),
        "{ended:?}"
    );
    client.expect_end().await;
    settled().await;
    assert_eq!(drops.get(), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_says_it_is_there_may_wait_for_its_answer() {
    for path in ["/never", "/slow"] {
        let mut client = open_guarded(&Count::default()).await;
        client.get(1, path).await;
        assert_eq!(client.linger(SECOND * 1800, true).await, None, "{path}");
        client.get(3, "/").await;
        assert_eq!(client.expect_answer(3).await.body, b"hello", "{path}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_takes_nothing_is_gone_as_well() {
    let drops = Count::default();
    let seen = drops.clone();
    let mut client = Client::start(1000, move |request| guarded(request, seen.at_drop()));
    client.greet(&[]).await;
    client.get(1, "/endless").await;
    tokio::time::sleep(SECOND * 110).await;
    assert_eq!(drops.get(), 0);
    tokio::time::sleep(SECOND * 30).await;
    assert_eq!(drops.get(), 1, "nothing was heard for 140 seconds");
    client.expect_end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_without_requests_ends_after_three_minutes() {
    for case in ["answering", "asking"] {
        let mut client = Client::open().await;
        client.get(1, "/").await;
        client.expect_answer(1).await;
        let start = Instant::now();
        while start.elapsed() < SECOND * 170 {
            assert_eq!(client.linger(SECOND * 10, true).await, None, "{case}");
            // It is there, but it wants nothing.
            if case == "asking" {
                client.send_frame(PING, 0, 0, &[0; 8]).await;
            }
        }
        assert!(
            !client.has(|frame| frame.kind == GOAWAY),
            "{case}: too early"
        );
        let ended = client.linger(SECOND * 30, true).await;
        assert!(ended.is_some(), "{case}");
        assert_eq!(client.expect_final_goaway().await, 1, "{case}");
        client.expect_end().await;
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn each_request_gives_a_connection_three_minutes_more() {
    let mut client = Client::open().await;
    for at in 0..10 {
        client.get(2 * at + 1, "/").await;
        assert_eq!(client.expect_answer(2 * at + 1).await.body, b"hello");
        assert_eq!(client.linger(SECOND * 150, true).await, None);
    }
    // They count from its end.
    client.post(101, "/count").await;
    assert_eq!(client.linger(SECOND * 600, true).await, None);
    client.data(101, b"", true).await;
    assert_eq!(client.expect_answer(101).await.body, b"0");
    assert_eq!(client.linger(SECOND * 150, true).await, None);
    assert!(client.linger(SECOND * 60, true).await.is_some());
}
