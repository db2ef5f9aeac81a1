//! Whether an app answers: one GET of its ready path, as often as it takes.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::config::App;

/// Longest one answer may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Where and how an app is asked.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The `Host` it is to believe it has.
    pub authority: String,
    /// Its ready path, filled in.
    pub path: String,
    /// Its own headers, cookies among them, filled in.
    pub headers: Vec<(String, String)>,
}

impl Probe {
    /// How to ask `app` with its templates filled in by `fill`.
    pub fn new(
        addr: SocketAddr,
        authority: &str,
        app: &App,
        fill: impl Fn(&str) -> String,
    ) -> Self {
        let headers = app
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), fill(value)));
        let cookies = app
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={}", fill(value)));
        let cookies: Vec<String> = cookies.collect();
        let cookie = (!cookies.is_empty()).then(|| ("cookie".to_owned(), cookies.join("; ")));
        Self {
            addr,
            authority: authority.to_owned(),
            path: fill(&app.ready_path),
            headers: headers.chain(cookie).collect(),
        }
    }

    /// Whether it answers now, with a status below 400.
    pub async fn answers(&self) -> bool {
        let asked = timeout(LONGEST, self.ask()).await;
        asked.is_ok_and(|status| status.is_some_and(|status| status < 400))
    }

    async fn ask(&self) -> Option<u16> {
        let stream = TcpStream::connect(self.addr).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let mut request = Request::get(&self.path).header(header::HOST, &self.authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        // Both end together: the connection when `sender` is gone, this future with either.
        tokio::select! {
            answer = sender.send_request(request) => answer.ok().map(|answer| answer.status().as_u16()),
            _ = connection => None,
        }
    }
}
