//! HTTP/2 for a client's connection (RFC 9113), and tunnels over it (RFC 8441).
//!
//! Imports `tcp` and `text` alone. Promise: whatever a client sends, what it makes us hold has a bound, and so has
//! the work that is of no use to it; a request that breaks a rule reaches nobody.
//!
//! `connection` is the task of one: it reads, and sends what waits. Bytes in: `inlet` cuts them into
//! frames and makes requests of heads (`hpack`, `head`). Each request is an `exchange`, a task of its
//! own, whose body is `received` and whose answer goes into `state`: there are the streams, their
//! windows, and one buffer of what waits, which the connection sends once a turn. `patience` counts
//! what is of no use to the client; all bounds stand in `bounds`.
//!
//! Our own, where HTTP/1.1 is hyper's: half of what a request cost here was spent in the h2 crate.

mod bounds;
mod connection;
mod exchange;
mod frame;
mod head;
mod hpack;
mod inlet;
mod patience;
mod received;
mod state;
mod tunnel;

#[cfg(test)]
mod tests;

use std::{future::poll_fn, io, task::Context};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use self::connection::Connection;
pub use self::{head::Protocol, received::Received, state::Fault, tunnel::Tunnel};

/// Why a connection ended before its client wanted it to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection broke off.
    #[error("the connection broke off")]
    Io(#[from] io::Error),
    /// The client broke a rule or was too slow, and was told so.
    #[error("the client's connection was ended: {0}")]
    Broken(&'static str),
}

/// Serves a connection whose preface is still to come, until it ends. `answer` answers each
/// request, in a task of this thread (so it runs in a local runtime), which ends if the client
/// wants no answer any more; `drain` says, once, that the connection should end with what is open
/// on it.
///
/// # Errors
/// [`Error`].
pub async fn serve<S, A, F, B>(
    stream: S,
    answer: A,
    mut drain: impl FnMut(&mut Context<'_>) -> bool,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Received>) -> F,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin + 'static,
{
    let mut connection = Connection::new(stream, answer);
    poll_fn(|cx| {
        let drains = drain(cx);
        connection.poll(cx, drains)
    })
    .await
}
