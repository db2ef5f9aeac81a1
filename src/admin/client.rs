//! The other end of the admin socket, for the command line.

use std::{io, path::Path};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// A call to the running proxy failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error(
        "no proxy answers on {path}: {source}; is `vestibule serve` running with this config, and are you its user?"
    )]
    Connect {
        /// The socket.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The proxy ended the connection or spoke nonsense.
    #[error("the proxy did not answer the call; its log says why")]
    Broken(#[from] hyper::Error),
    /// The answer isn't JSON.
    #[error("the proxy's answer is not JSON; is it of another version?")]
    Json(#[from] serde_json::Error),
    /// The request could not be written, because of the path.
    #[error("the call can't be made")]
    Request(#[from] http::Error),
    /// The proxy refused the call.
    #[error("{0}")]
    Refused(String),
}

/// Calls `path` on the proxy listening at `socket`; a `body` of null is none.
///
/// # Errors
/// [`ClientError`]; what the proxy itself says is [`ClientError::Refused`].
pub async fn call(
    socket: &Path,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Value, ClientError> {
    let connect = |source| ClientError::Connect {
        path: socket.display().to_string(),
        source,
    };
    let stream = UnixStream::connect(socket).await.map_err(connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends with the connection, when `sender` is dropped.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "vestibule")
        .body(Full::<Bytes>::from(if body.is_null() {
            String::new()
        } else {
            body.to_string()
        }))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
    if head.status == StatusCode::OK {
        return Ok(body);
    }
    let detail = body["detail"].as_str();
    let detail = detail.unwrap_or("the proxy refused the call");
    Err(ClientError::Refused(detail.to_owned()))
}
