//! Carries a request to a running app, and its answer back, as if nobody stood between.
//!
//! Imports `http2`, `incoming`, `secret`, `tcp` and `text` only: it is told an address and what to
//! change. Promise: bodies stream both ways with back-pressure and are never held; no connection is
//! used again once the container it leads to has ended; what a client or an app may not say to the
//! other is gone.

mod answer;
mod body;
mod chunks;
mod connection;
mod cookies;
mod error;
mod fields;
mod frames;
mod lines;
mod location;
mod moment;
mod pool;
mod request;
mod response;
mod set_cookie;
mod tunnel;
mod upload;
mod websocket;

use std::{net::SocketAddr, pin::pin, rc::Rc};

use http::{Method, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Body as _;
use tokio_util::sync::CancellationToken;

use self::{
    answer::Head,
    body::Home,
    connection::{Connection, Failure},
    request::{Ask, Draft},
    upload::Upload,
};
pub use self::{
    body::{Body, BodyError},
    error::{AnswerError, ForwardError},
    frames::Frame,
    pool::Pool,
    request::{ClientInfo, ForRequest, names_websocket},
    response::ForResponse,
    websocket::{agree, is_handshake},
};
use crate::incoming::Incoming;

/// Where a request goes, and what is changed on its way.
pub struct Destination<'a> {
    /// Which run of which app it is; a connection to another one is never taken for this one's.
    pub id: u64,
    /// Where the app listens.
    pub addr: SocketAddr,
    /// Cancelled when the app is no more: whatever is under way ends.
    pub closed: &'a CancellationToken,
    /// Cancelled when the client may no longer have it: the same.
    pub ended: &'a CancellationToken,
    /// What the app is to see.
    pub request: ForRequest<'a>,
    /// What the client is to see.
    pub response: ForResponse<'a>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the app.
    Up,
    /// From the app to the client.
    Down,
}

/// Held as long as an answer or a WebSocket lasts, and told what passes through a WebSocket.
/// Every frame waits for it: it does no more than count.
pub trait Guard: 'static {
    /// So many bytes came, frame headers among them.
    fn passed(&mut self, direction: Direction, bytes: usize);
    /// The client began a frame.
    fn client_frame(&mut self, frame: Frame);
}

impl Pool {
    /// Sends the request of `head` and `body` to an app. `guard` is dropped at the end of the answer's body, or of the
    /// tunnel that the answer opens.
    ///
    /// # Errors
    /// [`ForwardError`]; nothing was answered to the client yet.
    pub async fn send(
        &self,
        head: &Parts,
        body: Incoming,
        to: &Destination<'_>,
        guard: impl Guard,
    ) -> Result<Response<Body>, ForwardError> {
        let mut exchange = pin!(self.exchange(head, body, to, guard));
        // To wait for a token takes locks. Most answers come before one of them could matter.
        if let Some(answered) = self.moments().within(exchange.as_mut()).await {
            // What went wrong may have done so for just that reason.
            let gone = answered.is_err() && to.closed.is_cancelled();
            return if gone {
                Err(ForwardError::Closed)
            } else {
                answered
            };
        }
        // Cancel-safe: a connection whose answer was not waited for is not used again.
        tokio::select! {
            biased;
            answered = exchange => answered,
            () = to.closed.cancelled() => Err(ForwardError::Closed),
            () = to.ended.cancelled() => Err(ForwardError::Ended),
        }
    }

    async fn exchange(
        &self,
        asked: &Parts,
        incoming: Incoming,
        to: &Destination<'_>,
        guard: impl Guard,
    ) -> Result<Response<Body>, ForwardError> {
        if websocket::is_handshake(asked) {
            // Boxed, as are bodies below: few requests are worth the room in each one's future.
            return Box::pin(websocket::open(asked, incoming, to, guard)).await;
        }
        let mut connection = self.take(to.id);
        let draft = connection.as_mut().map(|pooled| &mut pooled.draft);
        let mut draft = draft.map(std::mem::take).unwrap_or_default();
        let body = !incoming.is_end_stream();
        let framing = request::write(asked, &to.request, Ask::Answer { body }, &mut draft)?;
        let mut upload = body.then(|| {
            let asks = asked.headers.get(header::EXPECT);
            let asks =
                asks.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
            // HTTP/2 can tell a client to stop; it needs no patience.
            let linger = asked.version < Version::HTTP_2;
            Box::new(Upload::new(
                incoming,
                framing,
                asks,
                linger,
                to.request.set_headers,
            ))
        });
        let (mut connection, answer) = self
            .round_trip(connection, draft, &mut upload, asked, to)
            .await?;
        let Head {
            mut parts,
            length,
            keep,
        } = answer;
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ForwardError::Upgrade("the app switched protocols unasked"));
        }
        // A body that is still being sent may be what the rest waits for.
        if upload.is_none() {
            connection.gather(length).await;
        }
        response::clean(&mut parts, &to.response);
        let home = keep.then(|| Home {
            pool: self.clone(),
            id: to.id,
            closed: to.closed.clone(),
        });
        let guard = Rc::new(guard);
        // Taken only for a rest: without it, an app reads that the client has gone.
        if let Some(rest) = upload
            && let Some(write) = connection.take_write()
        {
            // An answer may come, and end, before the body does.
            let (closed, ended) = (to.closed.clone(), to.ended.clone());
            let share = Rc::clone(&guard);
            tokio::task::spawn_local(async move {
                // Cancel-safe: a body broken off leaves a connection that nothing uses again.
                tokio::select! {
                    () = rest.finish(write) => {}
                    () = closed.cancelled() => {}
                    () = ended.cancelled() => {}
                }
                drop(share);
            });
        }
        let body = Body::upstream(connection, length, home, to, guard);
        Ok(Response::from_parts(parts, body))
    }

    /// Sends a request on a pooled connection, or on a new one. What is left of its body by the
    /// time of the answer stays in `upload`.
    async fn round_trip(
        &self,
        pooled: Option<Connection>,
        mut draft: Draft,
        upload: &mut Option<Box<Upload>>,
        asked: &Parts,
        to: &Destination<'_>,
    ) -> Result<(Connection, Head), ForwardError> {
        let bodiless = asked.method == Method::HEAD;
        let shares = asked.version == Version::HTTP_2;
        // An app may close an idle connection in the moment we use it. What it certainly did
        // not get is sent again; what it may have got, only if that changes nothing (RFC 9110
        // 9.2.2), and only once.
        let repeatable = upload.is_none() && is_safe(&asked.method);
        if let Some(mut connection) = pooled {
            (connection.draft, connection.shares) = (draft, shares);
            match connection.exchange(upload, bodiless).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(Failure::Unsent) => draft = connection.draft,
                Err(Failure::Unanswered(_)) if repeatable => draft = connection.draft,
                Err(Failure::Unanswered(error)) => return Err(ForwardError::Broken(error)),
                Err(Failure::Final(error)) => return Err(error),
            }
        }
        let mut connection = Connection::open(to.addr, to.closed).await?;
        (connection.draft, connection.shares) = (draft, shares);
        match connection.exchange(upload, bodiless).await {
            Ok(answer) => Ok((connection, answer)),
            Err(Failure::Unsent) => Err(ForwardError::Broken(AnswerError::Ended)),
            Err(Failure::Unanswered(error)) => Err(ForwardError::Broken(error)),
            Err(Failure::Final(error)) => Err(error),
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
