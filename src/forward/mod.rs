//! Carries a request to a running app, and its answer back, as if nobody stood between.
//!
//! Imports `secret` only: it is told an address and what to change. Promise: bodies stream
//! both ways with back-pressure and are never held; no connection is used again once the
//! container it leads to has ended; what a client or an app may not say to the other is gone.

mod body;
mod cookies;
mod error;
mod fields;
mod location;
mod pool;
mod request;
mod response;
mod set_cookie;
mod tunnel;
mod upload;
mod websocket;

use std::{any::Any, net::SocketAddr, sync::Arc};

use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio_util::sync::CancellationToken;

pub use self::{
    body::Body,
    error::ForwardError,
    pool::Pool,
    request::{ClientInfo, ForRequest},
    response::ForResponse,
    upload::BodyError,
};
use self::{
    body::Lease,
    pool::{Connection, Key},
    upload::{RequestBody, Watch},
};

/// Where a request goes, and what is changed on its way.
pub struct Destination<'a> {
    /// Where the app listens.
    pub addr: SocketAddr,
    /// The container it runs in; a connection to another one is never taken for this one's.
    pub container: &'a Arc<str>,
    /// Cancelled when the app is no more: whatever is under way ends.
    pub closed: &'a CancellationToken,
    /// What the app is to see.
    pub request: ForRequest<'a>,
    /// What the client is to see.
    pub response: ForResponse<'a>,
}

impl Pool {
    /// Sends a request to an app. `guard` is dropped at the end of the answer's body, or of the
    /// tunnel that the answer opens.
    ///
    /// # Errors
    /// [`ForwardError`]; nothing was answered to the client yet.
    pub async fn send(
        &self,
        request: Request<Incoming>,
        to: Destination<'_>,
        guard: impl Any,
    ) -> Result<Response<Body>, ForwardError> {
        // Cancel-safe: a connection whose answer was not waited for is not used again.
        tokio::select! {
            answered = self.exchange(request, &to, guard) => answered,
            () = to.closed.cancelled() => Err(ForwardError::Closed),
        }
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        to: &Destination<'_>,
        guard: impl Any,
    ) -> Result<Response<Body>, ForwardError> {
        let (mut parts, incoming) = request.into_parts();
        if websocket::is_handshake(&parts) {
            return websocket::open(Request::from_parts(parts, incoming), to, guard).await;
        }
        let version = parts.version;
        request::clean(&mut parts, &to.request)?;
        let repeatable = incoming.is_end_stream() && is_safe(&parts.method);
        let (body, watch) = RequestBody::new(incoming, version, &parts.headers);
        let again = repeatable.then(|| parts.clone());
        let request = Request::from_parts(parts, body);
        let (mut connection, response) = self.round_trip(request, again, &watch, to).await?;
        let (mut parts, incoming) = response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ForwardError::Upgrade("the app switched protocols unasked"));
        }
        response::clean(&mut parts, &to.response);
        connection.pool = Some(self.clone());
        let lease = Lease::new(Some(connection), to.closed.clone(), Box::new(guard));
        Ok(Response::from_parts(parts, Body::upstream(incoming, lease)))
    }

    /// Sends a cleaned request on a pooled connection, or on a new one. `again` is its head, if
    /// it may be sent twice.
    async fn round_trip(
        &self,
        mut request: Request<RequestBody>,
        again: Option<http::request::Parts>,
        watch: &Arc<Watch>,
        to: &Destination<'_>,
    ) -> Result<(Connection, Response<Incoming>), ForwardError> {
        let key = Key::new(to.container, to.addr);
        watch.informational(&mut request);
        // An app may close an idle connection in the moment we use it. What it certainly did
        // not get is sent again; what it may have got, only if that changes nothing (RFC 9110
        // 9.2.2), and only once.
        if let Some(mut connection) = self.take(&key) {
            match watch
                .guard(connection.sender.try_send_request(request))
                .await?
            {
                Ok(response) => return Ok((connection, response)),
                Err(mut error) => match (error.take_message(), again) {
                    (Some(unsent), _) => request = unsent,
                    (None, Some(parts)) => {
                        request = Request::from_parts(parts, RequestBody::empty());
                    }
                    (None, None) => return Err(watch.explain(error.into_error())),
                },
            }
        }
        let mut connection = Connection::open(key, to.closed).await?;
        let sent = watch.guard(connection.sender.send_request(request)).await?;
        match sent {
            Ok(response) => Ok((connection, response)),
            Err(error) => Err(watch.explain(error)),
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
