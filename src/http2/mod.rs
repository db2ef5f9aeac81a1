//! HTTP/2 for a client's connection (RFC 9113), and tunnels over it (RFC 8441).
//!
//! Imports `tcp` alone. Promise: whatever a client sends, what it makes us hold has a bound, and so
//! has the work that is of no use to it; a request that breaks a rule reaches nobody.
//!
//! Our own, where HTTP/1.1 is hyper's: of what a request over HTTP/2 cost, half was spent in the
//! library (docs/benchmarks.md).

mod asked;
mod connection;
mod exchange;
mod frame;
mod head;
mod hpack;
mod inlet;
mod patience;
mod receive;
mod received;
mod send;
mod state;
mod stream;
mod told;

#[cfg(test)]
mod tests;

use std::{future::poll_fn, io, task::Context, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use self::connection::Connection;
pub use self::{
    head::Protocol,
    received::{Received, Tunnel},
    stream::Fault,
};

/// Longest the first request may take, and each from its first byte to the end of its head.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may take for a sign of life.
const PONG: Duration = Duration::from_secs(10);
/// How long a connection on which nothing is open is kept for further requests.
const IDLE: Duration = Duration::from_mins(3);

/// Why a connection ended before its client wanted it to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection broke off.
    #[error("the connection broke off")]
    Io(#[from] io::Error),
    /// The client broke a rule, and was told so.
    #[error("the client broke a rule of HTTP/2: {0}")]
    Broken(&'static str),
    /// A head didn't come in time.
    #[error("a request's head did not come in time")]
    Late,
    /// The client gave no sign of life.
    #[error("the client gave no sign of life")]
    Silent,
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
