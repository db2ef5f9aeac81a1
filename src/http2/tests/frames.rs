//! RFC 9113 3.4, 4 to 6: which frames may come where, and what those are told that may not.
use super::*;

/// Opens stream 1, whose answer never comes, and sends these frames; stream 3 was half closed
/// before, 5 reset and nothing came of 7 and above.
async fn after(frames: &[u8]) -> (Client, Fate) {
    let mut client = Client::open().await;
    client.post(1, "/never").await;
    client.get(3, "/never").await;
    client.get(5, "/never").await;
    client
        .send_frame(RST_STREAM, 0, 5, &CANCEL.to_be_bytes())
        .await;
    assert!(client.is_alive().await);
    client.send(frames).await;
    let fate = client.fate(1).await;
    (client, fate)
}

async fn all_end_the_connection(cases: Vec<(&str, u32, Vec<u8>)>) {
    let mut different = Vec::new();
    for (case, code, frames) in cases {
        let (_, fate) = after(&frames).await;
        if fate != Fate::Gone(code) {
            different.push((case, code, fate));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_frame_on_a_stream_it_is_not_for_ends_the_connection() {
    let code = CANCEL.to_be_bytes();
    let block = literals(&head("GET", "/"));
    let promise = [&2_u32.to_be_bytes()[..], &block].concat();
    all_end_the_connection(vec![
        ("DATA on 0", PROTOCOL_ERROR, frame(DATA, 0, 0, b"x")),
        (
            "HEADERS on 0",
            PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS, 0, &block),
        ),
        (
            "PRIORITY on 0",
            PROTOCOL_ERROR,
            frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 1]),
        ),
        (
            "RST_STREAM on 0",
            PROTOCOL_ERROR,
            frame(RST_STREAM, 0, 0, &code),
        ),
        (
            "CONTINUATION on 0",
            PROTOCOL_ERROR,
            frame(CONTINUATION, END_HEADERS, 0, &block),
        ),
        ("SETTINGS on 1", PROTOCOL_ERROR, frame(SETTINGS, 0, 1, &[])),
        ("PING on 1", PROTOCOL_ERROR, frame(PING, 0, 1, &[0; 8])),
        ("GOAWAY on 1", PROTOCOL_ERROR, frame(GOAWAY, 0, 1, &[0; 8])),
        (
            "PUSH_PROMISE",
            PROTOCOL_ERROR,
            frame(PUSH_PROMISE, END_HEADERS, 1, &promise),
        ),
        (
            "DATA on an idle one",
            PROTOCOL_ERROR,
            frame(DATA, 0, 7, b"x"),
        ),
        (
            "RST_STREAM on an idle one",
            PROTOCOL_ERROR,
            frame(RST_STREAM, 0, 7, &code),
        ),
        (
            "WINDOW_UPDATE on an idle one",
            PROTOCOL_ERROR,
            frame(WINDOW_UPDATE, 0, 7, &[0, 0, 0, 1]),
        ),
        (
            "WINDOW_UPDATE on ours",
            PROTOCOL_ERROR,
            frame(WINDOW_UPDATE, 0, 2, &[0, 0, 0, 1]),
        ),
        ("HEADERS on ours", PROTOCOL_ERROR, opening(2)),
        (
            "HEADERS on one skipped",
            PROTOCOL_ERROR,
            [opening(11), opening(9)].concat(),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_may_stand_between_the_frames_of_a_head() {
    let begun = frame(HEADERS, 0, 7, &literals(&head("GET", "/")));
    let then = |next: Vec<u8>| [begun.clone(), next].concat();
    all_end_the_connection(vec![
        (
            "a CONTINUATION of none",
            PROTOCOL_ERROR,
            frame(CONTINUATION, END_HEADERS, 1, &[]),
        ),
        (
            "a CONTINUATION after the end",
            PROTOCOL_ERROR,
            [opening(7), frame(CONTINUATION, END_HEADERS, 7, &[])].concat(),
        ),
        (
            "another's",
            PROTOCOL_ERROR,
            then(frame(CONTINUATION, END_HEADERS, 9, &[])),
        ),
        ("another head", PROTOCOL_ERROR, then(opening(9))),
        ("DATA", PROTOCOL_ERROR, then(frame(DATA, 0, 1, b"x"))),
        ("PING", PROTOCOL_ERROR, then(frame(PING, 0, 0, &[0; 8]))),
        ("SETTINGS", PROTOCOL_ERROR, then(frame(SETTINGS, 0, 0, &[]))),
        (
            "RST_STREAM",
            PROTOCOL_ERROR,
            then(frame(RST_STREAM, 0, 7, &[0, 0, 0, 8])),
        ),
        (
            "an unknown frame",
            PROTOCOL_ERROR,
            then(frame(200, 0, 0, &[])),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_frame_of_the_wrong_length_ends_the_connection() {
    let long = vec![0; 16_385];
    all_end_the_connection(vec![
        ("PING of 7", FRAME_SIZE_ERROR, frame(PING, 0, 0, &[0; 7])),
        ("PING of 9", FRAME_SIZE_ERROR, frame(PING, 0, 0, &[0; 9])),
        (
            "SETTINGS of 5",
            FRAME_SIZE_ERROR,
            frame(SETTINGS, 0, 0, &[0; 5]),
        ),
        (
            "an ACK that says something",
            FRAME_SIZE_ERROR,
            frame(SETTINGS, ACK, 0, &[0; 6]),
        ),
        (
            "RST_STREAM of 3",
            FRAME_SIZE_ERROR,
            frame(RST_STREAM, 0, 1, &[0; 3]),
        ),
        (
            "RST_STREAM of 5",
            FRAME_SIZE_ERROR,
            frame(RST_STREAM, 0, 1, &[0; 5]),
        ),
        (
            "WINDOW_UPDATE of 3",
            FRAME_SIZE_ERROR,
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        ),
        (
            "WINDOW_UPDATE of 5",
            FRAME_SIZE_ERROR,
            frame(WINDOW_UPDATE, 0, 1, &[0; 5]),
        ),
        (
            "GOAWAY of 7",
            FRAME_SIZE_ERROR,
            frame(GOAWAY, 0, 0, &[0; 7]),
        ),
        (
            "HEADERS too long",
            FRAME_SIZE_ERROR,
            frame(HEADERS, END_HEADERS, 7, &long),
        ),
        (
            "SETTINGS too long",
            FRAME_SIZE_ERROR,
            frame(SETTINGS, 0, 0, &vec![0; 16_386]),
        ),
        ("PING too long", FRAME_SIZE_ERROR, frame(PING, 0, 0, &long)),
        (
            "an unknown frame too long",
            FRAME_SIZE_ERROR,
            frame(200, 0, 0, &long),
        ),
        (
            "of DATA, no more than its length",
            FRAME_SIZE_ERROR,
            vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1],
        ),
    ])
    .await;
    // Of a stream alone, if the server likes.
    let (_, fate) = after(&frame(DATA, 0, 1, &long)).await;
    let either = [Fate::Gone(FRAME_SIZE_ERROR), Fate::Reset(FRAME_SIZE_ERROR)];
    assert!(either.contains(&fate), "{fate:?}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn padding_longer_than_its_frame_ends_the_connection() {
    all_end_the_connection(vec![
        ("DATA", PROTOCOL_ERROR, frame(DATA, PADDED, 1, &[3, 0, 0])),
        (
            "DATA of its length alone",
            PROTOCOL_ERROR,
            frame(DATA, PADDED, 1, &[1]),
        ),
        (
            "HEADERS",
            PROTOCOL_ERROR,
            frame(HEADERS, PADDED | END_HEADERS, 7, &[3, 0x82, 0]),
        ),
        (
            "HEADERS with priority",
            PROTOCOL_ERROR,
            frame(
                HEADERS,
                PADDED | WITH_PRIORITY | END_HEADERS,
                7,
                &[3, 0, 0, 0, 0, 1, 0, 0],
            ),
        ),
    ])
    .await;
    for (case, code, frames) in [
        (
            "DATA without the length it has",
            FRAME_SIZE_ERROR,
            frame(DATA, PADDED, 1, &[]),
        ),
        (
            "HEADERS without",
            FRAME_SIZE_ERROR,
            frame(HEADERS, PADDED | END_HEADERS, 7, &[]),
        ),
        (
            "HEADERS without the priority they have",
            FRAME_SIZE_ERROR,
            frame(HEADERS, WITH_PRIORITY | END_HEADERS, 7, &[0; 4]),
        ),
    ] {
        // RFC 9113 4.2 and 6.1 speak of both.
        let (_, fate) = after(&frames).await;
        let either = [Fate::Gone(code), Fate::Gone(PROTOCOL_ERROR)];
        assert!(either.contains(&fate), "{case}: {fate:?}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_is_unknown_or_no_longer_used_is_ignored() {
    let (reserved, block) = (0x8000_0000, literals(&head("GET", "/")));
    for (case, frames) in [
        ("a type on the connection", frame(200, 0xff, 0, b"anything")),
        ("a type on an idle stream", frame(201, 0, 99, &[])),
        ("a type on an open stream", frame(0xfe, 1, 1, &[0; 16_384])),
        ("ALTSVC", frame(10, 0, 0, &[0; 9])),
        ("ORIGIN", frame(12, 0, 0, &[0; 9])),
        ("PRIORITY_UPDATE", frame(16, 0, 0, b"\0\0\0\x01u=1")),
        (
            "PRIORITY of an idle stream",
            frame(PRIORITY, 0, 77, &[0, 0, 0, 1, 1]),
        ),
        (
            "PRIORITY of one that was reset",
            frame(PRIORITY, 0, 5, &[0, 0, 0, 1, 1]),
        ),
        (
            "flags of PRIORITY",
            frame(PRIORITY, 0xff, 1, &[0x80, 0, 0, 0, 1]),
        ),
        (
            "flags of WINDOW_UPDATE",
            frame(WINDOW_UPDATE, 0xff, 1, &[0, 0, 0, 1]),
        ),
        ("flags of PING", frame(PING, 0xfe, 0, &[0; 8])),
        ("a reserved bit of PING", frame(PING, 0, reserved, &[0; 8])),
        (
            "a reserved bit of WINDOW_UPDATE",
            frame(WINDOW_UPDATE, 0, reserved | 1, &[0x80, 0, 0, 1]),
        ),
        (
            "a reserved bit of HEADERS",
            frame(HEADERS, 0xd2 | END_HEADERS, reserved | 7, &block),
        ),
        ("flags of DATA", frame(DATA, 0xf6, 1, b"x")),
    ] {
        let (mut client, fate) = after(&frames).await;
        assert_eq!(fate, Fate::Silence, "{case}");
        client.get(101, "/").await;
        assert_eq!(client.fate(101).await, Fate::Answered(200), "{case}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_is_said_of_priority_changes_nothing() {
    let block = literals(&head("GET", "/"));
    let with = |on: u32| [&on.to_be_bytes()[..], &[15], &block].concat();
    let flags = WITH_PRIORITY | END_HEADERS | END_STREAM;
    let mut client = Client::open().await;
    // On itself, on another, on none that ever was.
    for (id, on) in [(1, 1), (3, 0x8000_0001), (5, 99)] {
        client.send_frame(HEADERS, flags, id, &with(on)).await;
        assert_eq!(client.fate(id).await, Fate::Answered(200), "{id}");
    }
    client.send_frame(PRIORITY, 0, 7, &[0, 0, 0, 7, 15]).await;
    client.send_frame(PRIORITY, 0, 9, &[0; 4]).await;
    client.get(7, "/").await;
    assert_eq!(client.fate(7).await, Fate::Answered(200));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_priority_of_the_wrong_length_is_an_error_of_its_stream() {
    let (mut client, fate) = after(&frame(PRIORITY, 0, 1, &[0; 4])).await;
    assert_eq!(fate, Fate::Reset(FRAME_SIZE_ERROR));
    assert!(client.is_alive().await);
}
