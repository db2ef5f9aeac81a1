//! The server's side of RFC 9113 and RFC 8441, seen by a client that need not keep to them.
//!
//! `client` speaks and `expect` hears, `wire` has the bytes of it, `site` is what is served.
mod client;
mod connect;
mod ends;
mod expect;
mod floods;
mod flow;
mod frames;
mod greeting;
mod head;
mod hpack;
mod noise;
mod site;
mod streams;
mod times;
mod wire;

use super::{Error, Protocol, Received, serve};
use client::Client;
use expect::Fate;
use site::{Content, Count, endless, guarded, say, site, stream_of, trailers};
use wire::*;

/// Fails with all cases of a table that went otherwise, rather than with the first.
fn none_differs<C: std::fmt::Debug>(different: &[C]) {
    let lines: Vec<_> = different.iter().map(|case| format!("{case:?}")).collect();
    assert!(
        different.is_empty(),
        "otherwise went:\n{}",
        lines.join("\n")
    );
}

/// A connection to a site that counts what is dropped of its handlers and answers.
async fn open_guarded(drops: &Count) -> Client {
    let drops = drops.clone();
    Client::open_to(move |request| guarded(request, drops.at_drop())).await
}

/// A connection to a site that counts the requests it is asked.
async fn open_counted(visits: &Count) -> Client {
    let visits = visits.clone();
    Client::open_to(move |request| {
        visits.add(1);
        site(request)
    })
    .await
}

/// Until all tasks have run as far as they can.
async fn settled() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}
