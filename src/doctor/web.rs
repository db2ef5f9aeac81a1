//! One request of our own to whatever stands at an address: a browser's way in, but its
//! certificate is judged instead of insisted upon.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header, uri::Scheme};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::certificate::Judge;

/// Longest one request may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes of the frame that our own probe answers with.
const FRAME: usize = 2;

/// What came of a request.
pub struct Met {
    /// The status of the answer.
    pub status: StatusCode,
    /// Its head.
    pub headers: HeaderMap,
    /// What a browser would say of the certificate; `None` without TLS.
    pub certificate: Option<Result<(), String>>,
    /// The first bytes behind a 101.
    pub frame: Vec<u8>,
}

/// A request that met nobody.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is none.
    #[error("the address can't be used")]
    Address,
    /// There is no such host, or nobody answers there.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// Whatever answers there speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// Whatever answers there speaks no HTTP.
    #[error("no HTTP answer: {0}")]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer within {} s", LONGEST.as_secs())]
    Timeout,
}

/// Sends a request to `url` with these header fields besides `Host`.
///
/// # Errors
/// [`WebError`].
pub async fn meet(method: Method, url: &Uri, fields: &[(&str, &str)]) -> Result<Met, WebError> {
    timeout(LONGEST, send(method, url, fields))
        .await
        .map_err(|_| WebError::Timeout)?
}

async fn send(method: Method, url: &Uri, fields: &[(&str, &str)]) -> Result<Met, WebError> {
    let authority = url.authority().ok_or(WebError::Address)?;
    let host = authority.host().trim_matches(['[', ']']);
    let secure = url.scheme() == Some(&Scheme::HTTPS);
    let port = authority
        .port_u16()
        .unwrap_or(if secure { 443 } else { 80 });
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority.as_str());
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::new()).map_err(|_| WebError::Address)?;
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(WebError::Connect)?;
    if !secure {
        return exchange(stream, request, None).await;
    }
    let judge = Arc::new(Judge::default());
    let connector = TlsConnector::from(Arc::new(judge.client()));
    let name = ServerName::try_from(host.to_owned()).map_err(|_| WebError::Address)?;
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(WebError::Tls)?;
    exchange(stream, request, judge.verdict()).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    certificate: Option<Result<(), String>>,
) -> Result<Met, WebError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection, which goes when the answer is dropped.
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let frame = if status == StatusCode::SWITCHING_PROTOCOLS {
        frame(response).await
    } else {
        Vec::new()
    };
    Ok(Met {
        status,
        headers,
        certificate,
        frame,
    })
}

/// The first bytes that come behind a 101; fewer, or none, if the connection ends before.
async fn frame(response: Response<Incoming>) -> Vec<u8> {
    let mut bytes = vec![0; FRAME];
    let Ok(stream) = hyper::upgrade::on(response).await else {
        return Vec::new();
    };
    match TokioIo::new(stream).read_exact(&mut bytes).await {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}
