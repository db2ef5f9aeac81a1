//! HTTP as a program speaks it: one connection for each request, HTTP/1.1 or HTTP/2 over TLS.

use std::{collections::HashMap, error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::World;

/// What can go wrong on the way.
pub type Failure = Box<dyn Error + Send + Sync>;
/// A request's body.
pub type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A request that is being put together.
pub struct Call<'w> {
    world: &'w World,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Body,
    h2: bool,
    deadline: Duration,
}

/// A whole answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl World {
    /// A GET of a program.
    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    /// Any request of a program.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call {
            world: self,
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Full::default().boxed(),
            h2: false,
            deadline: Duration::from_secs(30),
        }
    }

    /// A fresh TLS connection that has agreed on `alpn`.
    pub async fn connect(&self, alpn: &[u8]) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(self.https).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(self.tls.client(alpn));
        let stream = connector
            .connect(ServerName::try_from("localhost")?, stream)
            .await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
        Ok(stream)
    }

    /// `localhost:<port>`.
    pub fn authority(&self) -> &str {
        self.origin.strip_prefix("https://").unwrap()
    }
}

impl Call<'_> {
    /// Adds a header field.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Makes it what a browser sends when a person opens a page.
    pub fn navigate(self) -> Self {
        self.header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none")
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// Makes it what a page's script sends to its own origin.
    pub fn fetch(self) -> Self {
        let origin = self.world.origin.clone();
        self.header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("sec-fetch-site", "same-origin")
            .header("origin", origin)
            .header("accept", "*/*")
    }

    /// Adds a session token as API clients do.
    pub fn bearer(self, token: &str) -> Self {
        self.world.secret(token);
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Speaks HTTP/2.
    pub fn h2(mut self) -> Self {
        self.h2 = true;
        self
    }

    /// Sends any body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Allows more time than 30 s.
    pub fn patient(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends it and takes in the whole answer.
    pub async fn send(self) -> Answer {
        let what = self.to_string();
        let answer = self.try_send().await;
        answer.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// As [`Call::send`], for when there may be no answer.
    pub async fn try_send(self) -> Result<Answer, Failure> {
        let deadline = self.deadline;
        let whole = async {
            let (head, body) = self.open().await?.into_parts();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.collect().await?.to_bytes(),
            })
        };
        timeout(deadline, whole)
            .await
            .map_err(|over: Elapsed| Failure::from(over))?
    }

    /// Sends it and hands back the answer as soon as its head is there.
    pub async fn open(self) -> Result<Response<Incoming>, Failure> {
        if let Some((_, query)) = self.path.split_once('?') {
            self.world.secret(query);
        }
        let authority = self.world.authority();
        let target = if self.h2 {
            format!("https://{authority}{}", self.path)
        } else {
            self.path.clone()
        };
        let mut request = Request::builder().method(self.method).uri(target);
        if !self.h2 && !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", authority);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body)?;
        if self.h2 {
            let io = TokioIo::new(self.world.connect(b"h2").await?);
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        } else {
            let io = TokioIo::new(self.world.connect(b"http/1.1").await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        }
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{} {path}", self.method)
    }
}

impl Answer {
    /// A header field, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text()))
    }

    /// Whether it is a page for a person.
    pub fn is_page(&self) -> bool {
        self.header("content-type").starts_with("text/html")
    }

    /// Whether it is an RFC 9457 problem for a program, which never is a redirect.
    pub fn is_problem(&self) -> bool {
        self.header("content-type") == "application/problem+json"
            && self.header("location").is_empty()
            && self.json()["status"] == self.status.as_u16()
    }

    /// The `Set-Cookie` of that name, whole.
    pub fn set_cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all("set-cookie").iter();
        let mut texts = all.map(|value| value.to_str().unwrap().to_owned());
        texts.find(|text| text.split('=').next() == Some(name))
    }

    /// The value of a cookie that was set.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let text = self.set_cookie(name)?;
        let pair = text.split(';').next().unwrap_or_default();
        Some(pair.split_once('=')?.1.to_owned())
    }

    /// The parameters of the URL it redirects to.
    pub fn location_query(&self) -> HashMap<String, String> {
        let location = self.header("location");
        let query = location.split_once('?').map_or("", |(_, query)| query);
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            let text = percent_encoding::percent_decode_str(&text);
            text.decode_utf8().unwrap().into_owned()
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (decode(name), decode(value)))
            .collect()
    }
}
