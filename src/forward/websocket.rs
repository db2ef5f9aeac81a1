//! The handshake of a WebSocket (RFC 6455, and RFC 8441 over HTTP/2); then a tunnel.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};

use crate::{http2::Protocol, incoming::Incoming};

use super::{
    AnswerError, Body, Destination, ForwardError, Guard,
    answer::Head,
    connection::{Connection, Failure},
    request::{self, Ask},
    response, tunnel,
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
    asked: &Parts,
    client: Incoming,
    to: &Destination<'_>,
    guard: impl Guard,
) -> Result<Response<Body>, ForwardError> {
    let over_h2 = asked.extensions.get::<Protocol>().is_some();
    let mut asked = Cow::Borrowed(asked);
    let offered = Offered::of(&asked.headers);
    let key = if over_h2 {
        let as_h1 = asked.to_mut();
        as_h1.method = Method::GET;
        as_h1.headers.remove(header::SEC_WEBSOCKET_KEY);
        STANDARD.encode(crate::secret::Secret::random(16).expose())
    } else {
        key_of(&asked.headers)?
    };
    let ask = Ask::WebSocket {
        key: over_h2.then_some(key.as_str()),
    };
    let mut connection = Connection::open(to.addr, to.closed).await?;
    request::write(&asked, &to.request, ask, &mut connection.draft)?;
    let answered = connection.exchange(&mut None, false).await;
    let Head {
        mut parts, length, ..
    } = answered.map_err(|failure| match failure {
        Failure::Unsent => ForwardError::Broken(AnswerError::Ended),
        Failure::Unanswered(error) => ForwardError::Broken(error),
        Failure::Final(error) => error,
    })?;
    let status = parts.status;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        if status.is_success() {
            return Err(ForwardError::Upgrade(
                "the app answered a WebSocket as a plain request",
            ));
        }
        response::clean(&mut parts, &to.response);
        let body = Body::upstream(connection, length, None, to, guard);
        return Ok(Response::from_parts(parts, body));
    }
    offered.check(&parts.headers, &accept_of(&key))?;
    let Some((app, early)) = connection.into_stream() else {
        return Err(ForwardError::Broken(AnswerError::Ended));
    };
    // A copy: even an empty rest would hold on to the whole buffer that the head was read into.
    let early = Bytes::copy_from_slice(&early);
    let (closed, ended) = (to.closed.clone(), to.ended.clone());
    // Boxed, or the task would hold room for it as long as the socket is open.
    let client = Box::pin(client.take_up());
    tokio::task::spawn_local(async move {
        let client = tokio::select! {
            client = client => client,
            () = closed.cancelled() => return,
            () = ended.cancelled() => return,
        };
        let outcome = match client {
            // A future of its own, so that what led here is no part of it.
            Ok(client) => Box::pin(tunnel::join(client, app, early, closed, ended, guard)).await,
            Err(error) => return tracing::debug!(%error, "a WebSocket was not taken up"),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a WebSocket broke off");
        }
    });
    response::clean(&mut parts, &to.response);
    if over_h2 {
        parts.status = StatusCode::OK;
        parts.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    } else {
        request::agree_to_websocket(&mut parts.headers);
    }
    Ok(Response::from_parts(parts, Body::empty()))
}

/// Agrees to a WebSocket that ends with us, whose stream is what the client's is taken up as.
///
/// # Errors
/// [`ForwardError::Handshake`] for a request that opens none.
pub fn agree(asked: &Parts) -> Result<Response<Body>, ForwardError> {
    let version = asked.headers.get(header::SEC_WEBSOCKET_VERSION);
    if !is_handshake(asked) || version.is_none_or(|version| version != "13") {
        return Err(ForwardError::Handshake);
    }
    let mut answer = Response::new(Body::empty());
    if asked.extensions.get::<Protocol>().is_none() {
        let accept = HeaderValue::try_from(accept_of(&key_of(&asked.headers)?));
        let accept = accept.map_err(|_| ForwardError::Handshake)?;
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        request::agree_to_websocket(headers);
    }
    Ok(answer)
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

    /// Checks an app's agreement (RFC 6455 4.1). `Upgrade` and `Connection` ended with the head; the
    /// digest stands for them.
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

/// The one key of a handshake.
///
/// # Errors
/// [`ForwardError::Handshake`] for none, and for two.
fn key_of(head: &HeaderMap) -> Result<String, ForwardError> {
    let mut keys = head.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(ForwardError::Handshake);
    };
    let key = key.to_str().map_err(|_| ForwardError::Handshake)?;
    Ok(key.to_owned())
}

/// What `Sec-WebSocket-Accept` must be for a key.
fn accept_of(key: &str) -> String {
    let text = [key.as_bytes(), MAGIC].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
    STANDARD.encode(digest)
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
        let key = key_of(&head).unwrap();
        assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
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
