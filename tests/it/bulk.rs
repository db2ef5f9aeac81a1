//! A gibibyte each way leaves no trace in the proxy's memory.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};

use crate::world::{World, config::RECORDER, within};

/// A gibibyte.
const GIB: u64 = 1 << 30;
/// How long one may take on a busy machine, the proxy built for debugging.
const LONG: Duration = Duration::from_mins(4);
/// What the proxy may grow by, in KiB.
const GROWTH: u64 = 32 * 1024;

/// The most memory the proxy had while `work` went on, less what it had before.
async fn growth(world: &World, work: impl Future<Output = ()>) -> u64 {
    let before = world.memory();
    let mut most = before;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => break,
            _ = look.tick() => most = most.max(world.memory()),
        }
    }
    most.max(world.memory()) - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_passes_each_way_and_memory_stays_where_it_was() {
    let world = World::start(RECORDER).await;
    let person = world.log_in(&world.alice).await;
    person.open("recorder").await;
    for h2 in [false, true] {
        let up = growth(&world, async {
            let pieces = stream::repeat(Bytes::from(vec![0; 1 << 16])).take((GIB >> 16) as usize);
            let body = StreamBody::new(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
            let path = person.path("recorder", "count");
            let call = person
                .call(Method::POST, &path)
                .fetch()
                .body(BodyExt::boxed(body));
            let call = if h2 { call.h2() } else { call };
            let answer = call.patient(LONG).send().await;
            assert_eq!(answer.json()["bytes"], GIB, "h2: {h2}");
        });
        let up = up.await;
        let down = growth(&world, async {
            let call = person.fetch(&person.path("recorder", &format!("zeros?bytes={GIB}")));
            let call = if h2 { call.h2() } else { call };
            let mut body = call.open().await.unwrap().into_body();
            let mut count = 0;
            let read = async {
                while let Some(frame) = body.frame().await {
                    count += frame.unwrap().into_data().unwrap().len() as u64;
                }
            };
            within("a gibibyte comes down", LONG, read).await;
            assert_eq!(count, GIB, "h2: {h2}");
        });
        let down = down.await;
        println!("h2 {h2}: memory grew by {up} KiB up, {down} KiB down");
        assert!(
            up < GROWTH && down < GROWTH,
            "h2 {h2}: {up} KiB up, {down} KiB down"
        );
    }
}

#[tokio::test]
async fn a_large_frame_passes_a_tunnel_whole() {
    let world = crate::world::shared().await;
    let person = world.log_in(&world.alice).await;
    let (socket, _) = person
        .socket(&person.path("recorder", "ws"), &[])
        .await
        .unwrap();
    let config = WebSocketConfig::default()
        .max_frame_size(Some(1 << 28))
        .max_message_size(Some(1 << 28));
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(
        socket.into_inner(),
        tokio_tungstenite::tungstenite::protocol::Role::Client,
        Some(config),
    )
    .await;
    let bytes: Vec<u8> = (0..64 << 20).map(|n: u32| (n % 251) as u8).collect();
    let whole = Message::binary(bytes);
    let (mut out, mut back) = (&mut socket).split();
    let sent = whole.clone();
    let (sent, got) = within("it is echoed", LONG, async {
        tokio::join!(out.send(sent), back.next())
    })
    .await;
    sent.unwrap();
    assert!(got.unwrap().unwrap() == whole, "64 MiB came back changed");
}
