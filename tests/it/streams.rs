//! Bodies that flow: nothing is held back, nothing is added, nothing is lost.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::json;
use tokio::sync::mpsc;

use crate::world::{
    Person, World,
    client::{Body, Call},
    raw, shared, until, within,
};

/// How long a piece may take that is on its way.
const SOON: Duration = Duration::from_secs(10);

/// A body of whatever frames come.
fn body(frames: impl Stream<Item = Frame<Bytes>> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(frames.map(Ok::<_, Infallible>)))
}

/// The next piece of a body; nothing at its end.
async fn next(body: &mut Incoming) -> Option<Frame<Bytes>> {
    loop {
        let frame = within("the next piece comes", SOON, body.frame())
            .await?
            .unwrap();
        // HTTP/2 may end a body by an empty piece.
        if frame.data_ref().is_none_or(|data| !data.is_empty()) {
            return Some(frame);
        }
    }
}

async fn alice(world: &World) -> Person<'_> {
    world.log_in(&world.alice).await
}

/// A channel's receiver as a stream; it ends when all senders are gone.
fn stream_of<T: Send>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send + Sync {
    stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once_and_trailers_pass() {
    let world = shared().await;
    let person = alice(&world).await;
    for h2 in [false, true] {
        let (send, receive) = mpsc::channel(1);
        let path = person.path("recorder", "echo");
        let call = person
            .call(Method::POST, &path)
            .fetch()
            // hyper sends those trailers alone that were announced (RFC 9110 6.6.2).
            .header("trailer", "x-sum")
            .body(body(stream_of(receive)));
        let call = if h2 {
            call.h2()
        } else {
            call.header("te", "trailers")
        };
        let first = Frame::data(Bytes::from_static(b"first"));
        send.send(first).await.unwrap();
        let answer = within("the answer begins", SOON, call.open())
            .await
            .unwrap();
        let mut echo = answer.into_body();
        let got = next(&mut echo).await.unwrap().into_data().unwrap();
        assert_eq!(got, "first", "while the request is still open");
        let second = Frame::data(Bytes::from_static(b"second"));
        send.send(second).await.unwrap();
        let got = next(&mut echo).await.unwrap().into_data().unwrap();
        assert_eq!(got, "second");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "11".parse().unwrap());
        send.send(Frame::trailers(trailers)).await.unwrap();
        drop(send);
        let mut last = None;
        while let Some(frame) = next(&mut echo).await {
            last = Some(frame);
        }
        let trailers = last.unwrap().into_trailers().unwrap();
        assert_eq!(trailers["x-sum"], "11", "h2: {h2}");
    }
}

#[tokio::test]
async fn trailers_can_not_bring_what_a_head_could_not() {
    let world = shared().await;
    let person = alice(&world).await;
    for name in [
        "authorization",
        "cookie",
        "host",
        "x-forwarded-for",
        "content-length",
        "x-recorder-secret",
    ] {
        let mut trailers = HeaderMap::new();
        trailers.insert(
            http::HeaderName::from_static(name),
            "6.6.6.6".parse().unwrap(),
        );
        let frames = [
            Frame::data(Bytes::from_static(b"x")),
            Frame::trailers(trailers),
        ];
        let call = person
            .call(Method::POST, &person.path("recorder", ""))
            .fetch();
        // Refused, or passed on without it.
        let answer = call.body(body(stream::iter(frames))).try_send().await;
        let said = answer.map(|answer| answer.text()).unwrap_or_default();
        assert!(!said.contains("6.6.6.6"), "{name}: {said}");
    }
}

#[tokio::test]
async fn an_event_is_there_before_the_next_one_happens() {
    let world = shared().await;
    let person = alice(&world).await;
    for h2 in [false, true] {
        let name = vestibule::secret::random_id();
        let path = person.path("recorder", &format!("events?name={name}"));
        let call = person.fetch(&path);
        let call = if h2 { call.h2() } else { call };
        let answer = within("events begin", SOON, call.open()).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut events = answer.into_body();
        assert_eq!(
            next(&mut events).await.unwrap().into_data().unwrap(),
            "data: first\n\n"
        );
        let release = person.path("recorder", &format!("release?name={name}"));
        person.fetch(&release).send().await;
        assert_eq!(
            next(&mut events).await.unwrap().into_data().unwrap(),
            "data: second\n\n"
        );
        let end = next(&mut events).await;
        assert!(end.is_none(), "h2: {h2}: {end:?}");
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_is_over() {
    let world = shared().await;
    let person = alice(&world).await;
    for h2 in [false, true] {
        let zeros = Bytes::from(vec![0; 65536]);
        let piece = move || Frame::data(zeros.clone());
        let endless = stream::repeat_with(piece).take(100_000);
        let path = person.path("recorder", "early");
        let call = person.call(Method::POST, &path).fetch().body(body(endless));
        let call = if h2 { call.h2() } else { call };
        let answer = within("an early answer", SOON, call.open()).await.unwrap();
        assert_eq!(answer.status(), 413, "h2: {h2}");
    }
}

#[tokio::test]
async fn a_connection_stays_open_both_ways_while_its_answer_comes() {
    let world = shared().await;
    let person = alice(&world).await;
    let path = person.path("recorder", "half");
    let answer = person.fetch(&path).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "whole");
}

#[tokio::test]
async fn a_body_that_outlives_its_answer_ends_with_its_session() {
    let world = shared().await;
    let person = alice(&world).await;
    let (send, receive) = mpsc::channel(1);
    let path = person.path("recorder", "sink");
    let call = person.call(Method::POST, &path).fetch();
    let call = call.body(body(stream_of(receive))).h2();
    let piece = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
    send.send(piece("sunk before ")).await.unwrap();
    let answer = within("an early answer", SOON, call.open()).await.unwrap();
    assert_eq!(answer.status(), 200);
    send.send(piece("sunk meanwhile ")).await.unwrap();
    until("the rest arrives", SOON, async || {
        world.arrived(&person.name, "sunk before sunk meanwhile ")
    })
    .await;
    let out = person.call(Method::POST, "/_vestibule/logout");
    let out = out.header("origin", world.origin.clone()).send().await;
    assert_eq!(out.status, 303);
    within("the client is told to stop", SOON, async {
        while send.send(piece("sunk after ")).await.is_ok() {}
    })
    .await;
    assert!(!world.arrived(&person.name, "sunk after sunk after sunk after"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let world = shared().await;
    let host = world.authority();
    let token = world.keys.session(&world.alice);
    world.secret(&token);
    let request = format!(
        "POST /recorder/{}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        world.alice
    );
    let answer = world.raw(request).await;
    assert_eq!(answer.statuses(), [100, 200], "{}", answer.text());
    assert!(
        answer.text().contains(r#""body": "abc""#),
        "{}",
        answer.text()
    );
    let refused = format!(
        "POST /recorder/{}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
        world.bob
    );
    let statuses = world.raw(refused).await.statuses();
    assert_eq!(statuses, [403], "who may not enter is not asked for a body");
}

#[tokio::test]
async fn head_ranges_and_bodiless_answers_pass() {
    let world = shared().await;
    let person = alice(&world).await;
    let path = |rest: &str| person.path("recorder", rest);
    for h2 in [false, true] {
        let pick = |call| if h2 { Call::h2(call) } else { call };
        let head = pick(person.call(Method::HEAD, &path("head"))).send().await;
        assert_eq!(
            (head.status.as_u16(), head.header("content-length")),
            (200, "12345")
        );
        assert_eq!(head.header("x-seen"), "HEAD");
        let part = pick(person.fetch(&path("range"))).header("range", "bytes=3-5");
        let part = part.send().await;
        assert_eq!(part.status, 206);
        assert_eq!(part.header("content-range"), "bytes 3-5/1024");
        assert_eq!(part.header("etag"), "\"whole\"");
        assert_eq!(&part.body[..], [3, 4, 5]);
    }
    for line in [
        "204 No Content",
        "304 Not Modified",
        "404 Not Found",
        "500 Oops",
        "418 Teapot",
    ] {
        let answer = person
            .fetch(&path(&format!("status?line={}", line.replace(' ', "+"))))
            .send()
            .await;
        assert_eq!(answer.status.as_str(), &line[..3]);
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let answer = person
            .call(method.clone(), &path("status?line=200+OK"))
            .fetch()
            .send()
            .await;
        assert_eq!(answer.header("x-method"), method.as_str());
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_nobody_with_it() {
    let world = shared().await;
    let person = alice(&world).await;
    for _ in 0..20 {
        let answer = person
            .fetch(&person.path("recorder", "zeros?bytes=100000000"))
            .open()
            .await;
        drop(answer);
    }
    let answer = person.fetch(&person.path("recorder", "")).send().await;
    assert_eq!(answer.json()["trailers"], json!([]));
    let answer = raw::plain(world.https, "").await;
    assert_eq!(answer.0, [0; 0]);
}
