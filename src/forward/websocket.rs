//! The handshake of a WebSocket (RFC 6455, and RFC 8441 over HTTP/2); then a tunnel.

use std::any::Any;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header,
    request::Parts,
};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1, ext::Protocol, upgrade};
use hyper_util::rt::TokioIo;

use super::{
    Body, Destination, ForwardError, body::Lease, pool::connect, request, response, tunnel,
};

/// Added to the key before it is hashed (RFC 6455 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request opens a WebSocket.
pub fn is_handshake(head: &Parts) -> bool {
    let protocol = head.extensions.get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str() == "websocket") || request::is_websocket(head)
}

/// Opens a WebSocket to an app on a connection of its own. The client is told of success only
/// once the app agreed, and nothing it sends before reaches the app.
pub async fn open(
    mut request: Request<Incoming>,
    to: &Destination<'_>,
    guard: impl Any,
) -> Result<Response<Body>, ForwardError> {
    let client = upgrade::on(&mut request);
    let (mut parts, _) = request.into_parts();
    let over_h2 = parts.extensions.remove::<Protocol>().is_some();
    let offered = Offered::of(&parts.headers);
    parts.method = Method::GET;
    request::clean(&mut parts, &to.request)?;
    let head = &mut parts.headers;
    request::ask_for_websocket(head);
    if over_h2 {
        let key = crate::secret::Secret::random(16);
        let key = HeaderValue::try_from(STANDARD.encode(key.expose()));
        head.insert(
            header::SEC_WEBSOCKET_KEY,
            key.expect("base64 is a header's text"),
        );
    }
    head.remove(header::CONTENT_LENGTH);
    let accept = accept_of(head)?;

    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(to.addr).await?))
        .await
        .map_err(ForwardError::Broken)?;
    // It ends by itself: after the answer, or by becoming a tunnel.
    tokio::task::spawn_local(connection.with_upgrades());
    let upstream = Request::from_parts(parts, Empty::<Bytes>::new());
    let mut answer = sender
        .send_request(upstream)
        .await
        .map_err(ForwardError::Broken)?;
    let status = answer.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        if status.is_success() {
            return Err(ForwardError::Upgrade(
                "the app answered a WebSocket as a plain request",
            ));
        }
        let (mut parts, incoming) = answer.into_parts();
        response::clean(&mut parts, &to.response);
        let lease = Lease::new(None, to.closed.clone(), Box::new(guard));
        return Ok(Response::from_parts(parts, Body::upstream(incoming, lease)));
    }
    offered.check(answer.headers(), &accept)?;
    let app = upgrade::on(&mut answer);
    let closed = to.closed.clone();
    tokio::task::spawn_local(async move {
        let both = async { tokio::try_join!(client, app) };
        let joined = tokio::select! {
            both = both => both,
            () = closed.cancelled() => return,
        };
        let ended = match joined {
            Ok((client, app)) => {
                let (client, app) = (TokioIo::new(client), TokioIo::new(app));
                tunnel::join(client, app, closed, Box::new(guard)).await
            }
            Err(error) => return tracing::debug!(%error, "a WebSocket was not taken up"),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a WebSocket broke off");
        }
    });
    let (mut parts, _) = answer.into_parts();
    response::clean(&mut parts, &to.response);
    if over_h2 {
        parts.status = StatusCode::OK;
        parts.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    } else {
        request::ask_for_websocket(&mut parts.headers);
    }
    parts.extensions.clear();
    Ok(Response::from_parts(parts, Body::empty()))
}

/// What the client offered; the app may take none else.
struct Offered {
    protocols: Vec<String>,
    extensions: Vec<String>,
}

impl Offered {
    fn of(head: &HeaderMap) -> Self {
        let protocols = tokens(head, &header::SEC_WEBSOCKET_PROTOCOL).map(str::to_owned);
        let extensions = extensions(head).map(str::to_ascii_lowercase);
        Self {
            protocols: protocols.collect(),
            extensions: extensions.collect(),
        }
    }

    /// Checks an app's agreement (RFC 6455 4.1).
    fn check(&self, head: &HeaderMap, accept: &str) -> Result<(), ForwardError> {
        let mut accepts = head.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
        if accepts.next().is_none_or(|value| value != accept) || accepts.next().is_some() {
            return Err(ForwardError::Upgrade(
                "the app's answer was no answer to this WebSocket",
            ));
        }
        let mut protocols = tokens(head, &header::SEC_WEBSOCKET_PROTOCOL);
        let protocol = protocols.next();
        if protocols.next().is_some()
            || protocol.is_some_and(|one| !self.protocols.iter().any(|of| of == one))
        {
            return Err(ForwardError::Upgrade(
                "the app chose a WebSocket protocol nobody offered",
            ));
        }
        if extensions(head).any(|one| !self.extensions.contains(&one.to_ascii_lowercase())) {
            return Err(ForwardError::Upgrade(
                "the app chose a WebSocket extension nobody offered",
            ));
        }
        Ok(())
    }
}

/// What `Sec-WebSocket-Accept` must be for the key in `head`.
fn accept_of(head: &HeaderMap) -> Result<String, ForwardError> {
    let mut keys = head.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(ForwardError::Handshake);
    };
    let text = [key.as_bytes(), MAGIC].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
    Ok(STANDARD.encode(digest))
}

fn tokens<'a>(head: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = head
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// The names of the extensions, without their parameters.
fn extensions(head: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = tokens(head, &header::SEC_WEBSOCKET_EXTENSIONS);
    all.map(|one| one.split(';').next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    #[test]
    fn the_accept_value_is_the_one_of_the_rfc() {
        let head = head(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
        assert_eq!(accept_of(&head).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn an_app_may_only_take_what_was_offered() {
        let offered = Offered::of(&head(&[
            ("sec-websocket-protocol", "chat, v1.kernel"),
            (
                "sec-websocket-extensions",
                "permessage-deflate; client_max_window_bits",
            ),
        ]));
        for (answer, agreed) in [
            (vec![], true),
            (vec![("sec-websocket-protocol", "v1.kernel")], true),
            (vec![("sec-websocket-protocol", "other")], false),
            (vec![("sec-websocket-protocol", "chat, v1.kernel")], false),
            (
                vec![(
                    "sec-websocket-extensions",
                    "permessage-deflate; server_no_context_takeover",
                )],
                true,
            ),
            (vec![("sec-websocket-extensions", "x-other")], false),
        ] {
            let mut answer = answer;
            answer.push(("sec-websocket-accept", "right"));
            assert_eq!(
                offered.check(&head(&answer), "right").is_ok(),
                agreed,
                "{answer:?}"
            );
            assert!(offered.check(&head(&answer), "wrong").is_err());
        }
        assert!(offered.check(&head(&[]), "right").is_err());
    }
}
