//! RFC 9113 3.4 and 6.5: what both sides say first, and later of the same kind.
use super::*;

#[tokio::test(flavor = "local", start_paused = true)]
async fn settings_beyond_their_range_end_the_connection() {
    let mut different = Vec::new();
    for (name, value, expected) in [
        (ENABLE_PUSH, 0, None),
        (ENABLE_PUSH, 1, None),
        (ENABLE_PUSH, 2, Some(PROTOCOL_ERROR)),
        (INITIAL_WINDOW_SIZE, (1 << 31) - 1, None),
        (INITIAL_WINDOW_SIZE, 1 << 31, Some(FLOW_CONTROL_ERROR)),
        (MAX_FRAME_SIZE, 16_383, Some(PROTOCOL_ERROR)),
        (MAX_FRAME_SIZE, 16_384, None),
        (MAX_FRAME_SIZE, (1 << 24) - 1, None),
        (MAX_FRAME_SIZE, 1 << 24, Some(PROTOCOL_ERROR)),
        (HEADER_TABLE_SIZE, u32::MAX, None),
        (MAX_CONCURRENT_STREAMS, 0, None),
        (MAX_HEADER_LIST_SIZE, u32::MAX, None),
        (0x4d44, u32::MAX, None),
    ] {
        let mut client = Client::open().await;
        client.set(&[(0x4d44, 1), (name, value)]).await;
        client.get(1, "/").await;
        let fate = client.fate(1).await;
        if fate != expected.map_or(Fate::Answered(200), Fate::Gone) {
            different.push((name, value, fate));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn each_settings_and_each_ping_is_acknowledged_in_order() {
    let mut client = Client::open().await;
    let frames = [
        frame(PING, 0, 0, b"the 1st."),
        frame(SETTINGS, 0, 0, &[]),
        frame(PING, 0x80, 0, b"the 2nd."),
        frame(
            SETTINGS,
            0x80,
            0,
            &settings_payload(&[(INITIAL_WINDOW_SIZE, 1)]),
        ),
        // An answer to none of the server's is no matter.
        frame(PING, ACK, 0, b"the 3rd."),
    ];
    client.send(&frames.concat()).await;
    let mut pings = Vec::new();
    for _ in 0..4 {
        let ack = client
            .find("ACK", |frame| [PING, SETTINGS].contains(&frame.kind))
            .await;
        assert_eq!(ack.flags, ACK);
        pings.push(ack.payload);
    }
    pings.retain(|payload| !payload.is_empty());
    assert_eq!(pings, [b"the 1st.", b"the 2nd."]);
    assert!(
        !client
            .comes(|frame| [PING, SETTINGS].contains(&frame.kind))
            .await
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_remembers_no_fields_can_decode_each_head_alone() {
    let mut client = Client::start(1 << 16, site);
    client.greet(&[(HEADER_TABLE_SIZE, 0)]).await;
    for id in [1, 3, 5] {
        client.get(id, "/").await;
        let answer = client.find("head", |frame| frame.is_of(HEADERS, id)).await;
        let alone = hpack::decode(&mut hpack::State::new(), &answer.payload);
        assert_eq!(alone, answer.fields);
        client.expect_data(id, b"hello").await;
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_is_no_http_2_is_not_served() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let mut different = Vec::new();
    for (case, bytes) in [
        (
            "HTTP/1.1",
            b"GET / HTTP/1.1\r\nhost: vestibule.test\r\n\r\n".to_vec(),
        ),
        (
            "nearly",
            [b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", &settings[..]].concat(),
        ),
        ("no preface", [settings.clone(), opening(1)].concat()),
        ("no SETTINGS", [PREFACE, &opening(1)].concat()),
        (
            "PING before SETTINGS",
            [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        (
            "an ACK instead of SETTINGS",
            [PREFACE, &frame(SETTINGS, ACK, 0, &[])].concat(),
        ),
        ("zeros", vec![0; 100]),
    ] {
        let visits = Count::default();
        let seen = visits.clone();
        let mut client = Client::start(1 << 16, move |request| {
            seen.add(1);
            site(request)
        });
        client.send(&bytes).await;
        let fate = client.fate(1).await;
        // RFC 9113 3.4 leaves GOAWAY to the server.
        if ![Fate::Gone(PROTOCOL_ERROR), Fate::Cut].contains(&fate) || visits.get() > 0 {
            different.push((case, fate, visits.get()));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_preface_may_come_byte_by_byte() {
    let mut client = Client::start(1 << 16, site);
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &opening(1)].concat();
    for byte in bytes {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert!(client.is_alive().await);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_server_says_what_it_takes() {
    let mut client = Client::open().await;
    let said = |name| {
        let found = client.settings.iter().find(|setting| setting.0 == name);
        found.map(|setting| setting.1)
    };
    assert_eq!(said(MAX_CONCURRENT_STREAMS), Some(100));
    assert_eq!(said(INITIAL_WINDOW_SIZE), Some(1 << 20));
    assert_eq!(said(MAX_HEADER_LIST_SIZE), Some(65_536));
    assert_eq!(said(ENABLE_CONNECT_PROTOCOL), Some(1));
    assert_eq!(said(MAX_FRAME_SIZE).unwrap_or(16_384), 16_384);
    // What a server must not say (RFC 9113 6.5.2).
    assert_eq!(said(ENABLE_PUSH).unwrap_or(0), 0);
    assert!(client.is_alive().await);
    assert_eq!(client.window, 2 << 20);
}
