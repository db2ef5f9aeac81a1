//! One GET of what the web application tells: HTTPS by the roots of this system, or plain HTTP
//! within this machine.
//!
//! Imports nothing of ours. Promise: an answer is small and comes soon, or is an error; no
//! redirect is followed.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// How long it may take in all.
const LONGEST: Duration = Duration::from_secs(5);
/// How long what the system trusts is remembered: to read it takes a while.
const TRUSTED: Duration = Duration::from_mins(1);
/// Most bytes of an answer: a hundred RSA keys.
const MOST_BYTES: usize = 64 << 10;

/// An answer could not be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself what it is")]
pub enum FetchError {
    #[error("no answer within {} s", LONGEST.as_secs())]
    Timeout,
    #[error("can't connect")]
    Connect(#[source] io::Error),
    #[error(
        "this system has no certificates to trust; install its package of them (ca-certificates)"
    )]
    NoRoots,
    #[error("TLS failed; is its certificate one that this system trusts?")]
    Tls(#[source] io::Error),
    #[error("the server did not speak HTTP")]
    Broken(#[from] hyper::Error),
    /// Redirects are among them: they could lead anywhere.
    #[error("the server answered {0}; give the address of the answer itself")]
    Status(StatusCode),
    #[error("the answer broke off or is larger than {MOST_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no request can be made of this address")]
    Address,
}

/// What came: the body, and how long it is good for, if the server says so.
pub struct Fetched {
    /// The body.
    pub body: Bytes,
    /// How long it is good for.
    pub max_age: Option<Duration>,
}

/// Fetches `url`, which is checked: https, or http to this machine.
///
/// # Errors
/// [`FetchError`] for anything but an answer of status 200.
pub async fn fetch(url: &Uri, accept: &'static str) -> Result<Fetched, FetchError> {
    let fetched = timeout(LONGEST, fetch_patiently(url, accept)).await;
    fetched.unwrap_or(Err(FetchError::Timeout))
}

async fn fetch_patiently(url: &Uri, accept: &'static str) -> Result<Fetched, FetchError> {
    let https = url.scheme_str() == Some("https");
    let authority = url.authority().ok_or(FetchError::Address)?;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(FetchError::Connect)?;
    if !https {
        return get(stream, url, accept).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Address)?;
    let connector = TlsConnector::from(trust().await?);
    let stream = connector.connect(name, stream).await;
    get(stream.map_err(FetchError::Tls)?, url, accept).await
}

/// What this system trusts now, or a minute ago: an authority that is installed later counts,
/// too.
async fn trust() -> Result<Arc<ClientConfig>, FetchError> {
    static KNOWN: Mutex<Option<(Instant, Arc<ClientConfig>)>> = Mutex::const_new(None);
    // Whoever comes meanwhile waits for the same.
    let mut known = KNOWN.lock().await;
    if let Some((at, config)) = &*known
        && at.elapsed() < TRUSTED
    {
        return Ok(Arc::clone(config));
    }
    let config = load_trust().await?;
    *known = Some((Instant::now(), Arc::clone(&config)));
    Ok(config)
}

async fn load_trust() -> Result<Arc<ClientConfig>, FetchError> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let mut roots = RootCertStore::empty();
    // A certificate that can't be read is none that is needed.
    roots.add_parsable_certificates(loaded.map_err(|_| FetchError::NoRoots)?.certs);
    if roots.is_empty() {
        return Err(FetchError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Tls(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn get<S>(stream: S, url: &Uri, accept: &'static str) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with `sender`.
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, url.authority().map_or("", |a| a.as_str()))
        .header(header::ACCEPT, accept)
        .header(header::USER_AGENT, "vestibule")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Address)?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(FetchError::Status(head.status));
    }
    let body = Limited::new(body, MOST_BYTES).collect().await;
    Ok(Fetched {
        body: body.map_err(FetchError::Body)?.to_bytes(),
        max_age: max_age(&head.headers),
    })
}

/// For how long an answer is still fresh (RFC 9111 4.2), if it says so.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|one| one.trim().to_ascii_lowercase());
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok());
    let age: u64 = age.and_then(|age| age.parse().ok()).unwrap_or_default();
    directives.find_map(|one| match one.split_once('=') {
        Some(("max-age", seconds)) => {
            let seconds: u64 = seconds.trim_matches('"').parse().ok()?;
            Some(Duration::from_secs(seconds.saturating_sub(age)))
        }
        None if one == "no-store" || one == "no-cache" => Some(Duration::ZERO),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_age_of_an_answer_is_what_the_server_says() {
        for (control, age, seconds) in [
            ("max-age=600", None, Some(600)),
            ("public, Max-Age=\"600\", immutable", None, Some(600)),
            ("max-age=600", Some("500"), Some(100)),
            ("max-age=600", Some("700"), Some(0)),
            ("max-age=600", Some("x"), Some(600)),
            ("no-store", None, Some(0)),
            ("no-cache, max-age=600", None, Some(0)),
            ("max-age=", None, None),
            ("max-age=-1", None, None),
            ("max-age=99999999999999999999", None, None),
            ("s-maxage=600", None, None),
            ("", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
            if let Some(age) = age {
                headers.insert(header::AGE, HeaderValue::from_static(age));
            }
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(max_age(&headers), expected, "{control} {age:?}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
