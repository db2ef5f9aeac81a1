//! RFC 9113 5.1 and 8.1: the life of a stream, from its head to its end on both sides.
use futures_util::stream;
use http::Request;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;

#[tokio::test(flavor = "local", start_paused = true)]
async fn more_than_a_hundred_streams_at_once_are_refused() {
    let visits = Count::default();
    let mut client = open_counted(&visits).await;
    for at in 0..100 {
        client.get(2 * at + 1, "/never").await;
    }
    assert!(client.is_alive().await);
    let kept = [literals(&head("GET", "/")), literal(0x40, "x", "y")].concat();
    client.send_head(201, &kept, 16_384, true).await;
    client.expect_rst(201, REFUSED_STREAM).await;
    assert_eq!(visits.get(), 100);

    client
        .send_frame(RST_STREAM, 0, 51, &CANCEL.to_be_bytes())
        .await;
    // What the refused one said is remembered all the same.
    let again = [literals(&head("GET", "/")), vec![INDEXED | 0x3e]].concat();
    client.send_head(203, &again, 16_384, true).await;
    assert_eq!(client.expect_answer(203).await.body, b"hello");
    assert_eq!(visits.get(), 101);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stream_answered_makes_room_for_another() {
    let mut client = Client::open().await;
    for at in 0..1000 {
        client.get(2 * at + 1, "/").await;
        if at % 50 == 0 {
            assert_eq!(client.expect_answer(2 * at + 1).await.body, b"hello");
        }
    }
    client.get((1 << 31) - 1, "/").await;
    assert_eq!(client.expect_answer((1 << 31) - 1).await.body, b"hello");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_frame_on_a_closed_stream_is_told_so() {
    let mut different = Vec::new();
    for (case, late) in [
        ("DATA", frame(DATA, END_STREAM, 1, b"x")),
        ("HEADERS", asking(1, "/")),
    ] {
        for path in ["/never", "/"] {
            let mut client = Client::open().await;
            client.get(1, path).await;
            if path == "/" {
                client.expect_answer(1).await;
            }
            assert!(client.is_alive().await);
            client.send(&late).await;
            let fate = client.fate(1).await;
            let of_connection = fate == Fate::Gone(STREAM_CLOSED);
            // A server that forgets its streams knows no more than that the number is used.
            let used = path == "/" && case == "HEADERS" && fate == Fate::Gone(PROTOCOL_ERROR);
            if !(of_connection || used || fate == Fate::Reset(STREAM_CLOSED)) {
                different.push((case, path, fate));
            }
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_was_on_its_way_when_a_stream_ended_is_no_error() {
    let cancel = CANCEL.to_be_bytes();
    let trailers = literals(&[("x", "y")]);
    for (case, late) in [
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("RST_STREAM", frame(RST_STREAM, 0, 1, &cancel)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("DATA", frame(DATA, END_STREAM, 1, b"x")),
        (
            "trailers",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers),
        ),
    ] {
        // Ended by the answer, by RST_STREAM of the server with and without fault.
        for (first, end) in [("GET /", true), ("POST /", false), ("POST no-path", false)] {
            // After END_STREAM of its own it had no more to say.
            if end && ["DATA", "trailers"].contains(&case) {
                continue;
            }
            let mut client = Client::open().await;
            let (method, path) = first.split_once(' ').unwrap();
            client.request(1, &head(method, path), end).await;
            client.fate(1).await;
            assert!(client.is_alive().await);
            client.send(&late).await;
            client.get(3, "/").await;
            assert_eq!(
                client.fate(3).await,
                Fate::Answered(200),
                "{case} after {first}"
            );
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_is_as_long_as_its_head_said() {
    let mut different = Vec::new();
    for (lengths, data, answered) in [
        (&["5"][..], "12345", true),
        (&["0"], "", true),
        (&["5"], "", false),
        (&["5"], "123", false),
        (&["5"], "123456", false),
        (&["0"], "1", false),
        (&["5", "6"], "12345", false),
        (&["x"], "12345", false),
        (&["+5"], "12345", false),
        (&["-5"], "12345", false),
        (&[""], "", false),
        (&["18446744073709551616"], "12345", false),
    ] {
        let lengths = lengths.iter().map(|length| ("content-length", *length));
        let fields: Vec<_> = head("POST", "/count").into_iter().chain(lengths).collect();
        let expected = if answered {
            Fate::Answered(200)
        } else {
            Fate::Reset(PROTOCOL_ERROR)
        };
        for ending in ["DATA", "trailers", "padding", "pieces"] {
            let mut client = Client::open().await;
            client
                .request(1, &fields, data.is_empty() && ending == "DATA")
                .await;
            match ending {
                "DATA" if data.is_empty() => {}
                "DATA" => client.data(1, data.as_bytes(), true).await,
                "padding" => {
                    let padded = [&[3], data.as_bytes(), &[0; 3]].concat();
                    client
                        .send_frame(DATA, PADDED | END_STREAM, 1, &padded)
                        .await;
                }
                other => {
                    for byte in data.as_bytes() {
                        client.data(1, &[*byte], false).await;
                    }
                    if other == "pieces" {
                        client.data(1, b"", true).await;
                    } else {
                        client.trailers(1, &[("x", "y")]).await;
                    }
                }
            }
            let fate = client.fate(1).await;
            let alive = client.is_alive().await;
            if fate != expected || !alive {
                different.push((fields[4..].to_vec(), data, ending, fate, alive));
            }
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_without_a_body_ends_with_its_head() {
    let mut different = Vec::new();
    for (method, code, text, ends) in [
        ("GET", 200, "", true),
        ("GET", 404, "", true),
        ("GET", 200, "text", false),
        // The body such an answer brings along isn't sent.
        ("HEAD", 200, "text", true),
        ("HEAD", 404, "text", true),
        ("GET", 204, "text", true),
        ("GET", 304, "text", true),
    ] {
        let mut client = Client::open_to(move |_| {
            let mut answer = say(text);
            *answer.status_mut() = code.try_into().unwrap();
            std::future::ready(answer)
        })
        .await;
        client.request(1, &head(method, "/"), true).await;
        let answer = client.find("head", |frame| frame.is_of(HEADERS, 1)).await;
        let ended = answer.flags & END_STREAM != 0;
        let more = client.comes(|frame| frame.stream == 1).await;
        if (status_of(&answer), ended, more) != (code, ends, !ends) {
            different.push((method, code, text, ended, more));
        }
    }
    none_differs(&different);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_body_of_an_answer_to_head_is_not_even_begun() {
    let (taken, dropped) = (Count::default(), Count::default());
    let (bytes, drops) = (taken.clone(), dropped.clone());
    let mut client = Client::open_to(move |_| {
        let guard = drops.at_drop();
        let content = endless(1000, &bytes).into_body();
        let content = content.map_frame(move |frame| {
            let _ = &guard;
            frame
        });
        std::future::ready(http::Response::new(Box::pin(content) as Content))
    })
    .await;
    client.request(1, &head("HEAD", "/"), true).await;
    let answer = client.expect_answer(1).await;
    assert!(client.is_alive().await);
    settled().await;
    assert_eq!((answer.body.len(), taken.get(), dropped.get()), (0, 0, 1));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn trailers_pass_both_ways() {
    let mut client = Client::open().await;
    client.post(1, "/echo").await;
    client.data(1, b"text", false).await;
    client.trailers(1, &[("digest", "x"), ("after", "y")]).await;
    let mut answer = client.expect_answer(1).await;
    answer.trailers.sort();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(answer.body, b"text");
    assert_eq!(answer.trailers, [pair("after", "y"), pair("digest", "x")]);

    let mut client = Client::open_to(|_| {
        std::future::ready(stream_of(stream::iter([Ok(trailers("digest", "x"))])))
    })
    .await;
    client.get(1, "/").await;
    let answer = client.expect_answer(1).await;
    assert_eq!(
        (answer.body.len(), answer.trailers),
        (0, vec![pair("digest", "x")])
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_that_breaks_off_is_an_error_of_its_stream() {
    let mut client = Client::open().await;
    client.get(1, "/fault").await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
    client.expect_data(1, b"ddddd").await;
    client.expect_rst(1, INTERNAL_ERROR).await;
    assert!(!client.comes(|frame| frame.stream == 1).await);
    assert!(client.is_alive().await);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_and_its_request_stream_side_by_side() {
    let mut client = Client::open().await;
    client.post(1, "/echo").await;
    assert_eq!(client.fate(1).await, Fate::Answered(200));
    for word in [&b"one"[..], b"two", b"three"] {
        client.data(1, word, false).await;
        client.expect_data(1, word).await;
    }
    client.data(1, b"", true).await;
    assert!(client.expect_answer_end(1).await.is_empty());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_is_told_to_stop_a_body_that_nobody_wants() {
    let mut client = Client::open().await;
    client.post(1, "/").await;
    client.data(1, b"some", false).await;
    // Not before the answer's end: some clients would throw that away.
    assert_eq!(client.expect_answer(1).await.body, b"hello");
    client.expect_rst(1, NO_ERROR).await;

    client.post(3, "/").await;
    client.data(3, b"all", true).await;
    assert_eq!(client.expect_answer(3).await.body, b"hello");
    client.get(5, "/").await;
    assert_eq!(client.expect_answer(5).await.body, b"hello");
    assert!(
        !client
            .comes(|frame| frame.kind == RST_STREAM && frame.stream > 3)
            .await
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_body_goes_on_after_the_answer_as_long_as_it_is_held() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut client = Client::open_to(move |request: Request<Received>| {
        let tell = tell.clone();
        tokio::task::spawn_local(async move {
            let body = request.into_body().collect().await;
            let _ = tell.send(body.map(|body| body.to_bytes().len()).ok());
        });
        std::future::ready(say("taken"))
    })
    .await;
    client.post(1, "/").await;
    assert_eq!(client.expect_answer(1).await.body, b"taken");
    assert!(!client.comes(|frame| frame.kind == RST_STREAM).await);
    assert_eq!(client.upload(1, 3 << 20).await, 3 << 20);
    client.data(1, b"", true).await;
    assert_eq!(told.recv().await, Some(Some(3 << 20)));

    client.post(3, "/").await;
    assert_eq!(client.expect_answer(3).await.body, b"taken");
    client
        .send_frame(RST_STREAM, 0, 3, &CANCEL.to_be_bytes())
        .await;
    assert_eq!(
        told.recv().await,
        Some(None),
        "a body that was reset isn't whole"
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_a_client_resets_is_dropped_at_once() {
    for (case, path, end) in [
        ("a handler", "/never", true),
        ("one that waits for the body", "/count", false),
        ("an answer", "/slow", true),
        ("an answer that waits for the window", "/endless", true),
        ("an answer while the body still comes", "/slow", false),
    ] {
        let dropped = Count::default();
        let mut client = open_guarded(&dropped).await;
        client.request(1, &head("POST", path), end).await;
        assert!(client.is_alive().await);
        assert_eq!(dropped.get(), 0, "{case}");
        client
            .send_frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())
            .await;
        assert!(client.is_alive().await);
        settled().await;
        assert_eq!(dropped.get(), 1, "{case}");
        assert!(
            !client.comes(|frame| frame.is_of(RST_STREAM, 1)).await,
            "{case}"
        );
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_may_have_a_long_head_of_many_fields() {
    let mut client = Client::open_to(|_| {
        let mut answer = say("text");
        let fields = answer.headers_mut();
        fields.append("set-cookie", "a=b".parse().unwrap());
        fields.append("set-cookie", "c=d".parse().unwrap());
        fields.append("x-long", "v".repeat(50_000).parse().unwrap());
        std::future::ready(answer)
    })
    .await;
    for id in [1, 3] {
        client.get(id, "/").await;
        let mut answer = client.expect_answer(id).await;
        let wanted = ["set-cookie", "x-long"];
        answer
            .fields
            .retain(|(name, _)| wanted.contains(&name.as_str()));
        let values: Vec<_> = answer.fields.iter().map(|(_, value)| value.len()).collect();
        assert_eq!(
            (values, &answer.body[..]),
            (vec![3, 3, 50_000], &b"text"[..])
        );
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_handler_or_a_body_that_panics_resets_its_stream() {
    let mut client = Client::open_to(|request: http::Request<Received>| async move {
        match request.uri().path() {
            "/handler" => panic!("as it was told"),
            "/body" => stream_of(futures_util::stream::poll_fn(|_| panic!("as it was told"))),
            _ => site(request).await,
        }
    })
    .await;
    for (id, path) in [(1, "/handler"), (3, "/body")] {
        client.get(id, path).await;
        client.expect_rst(id, INTERNAL_ERROR).await;
    }
    client.get(5, "/").await;
    assert_eq!(client.fate(5).await, Fate::Answered(200));
}
