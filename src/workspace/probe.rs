//! What an app answers: one GET of its ready path, as often as it takes, or of the path by which
//! it says that it computes.

use std::{net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use crate::config::{App, BusyQuestion};

/// Longest one answer may take.
const LONGEST: Duration = Duration::from_secs(5);
/// Most of an answer that is read: a list of a thousand kernels.
const LARGEST: usize = 1 << 20;

/// Where and how an app is asked.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The `Host` it is to believe it has.
    pub authority: String,
    /// Its ready path, filled in.
    pub path: String,
    /// The path by which it says that it computes, filled in; empty if there is none.
    pub busy_path: String,
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
            busy_path: app
                .busy
                .as_ref()
                .map_or_else(String::new, |busy| fill(&busy.path)),
            headers: headers.chain(cookie).collect(),
        }
    }

    /// Whether it answers now, with a status below 400.
    pub async fn answers(&self) -> bool {
        let asked = timeout(
            LONGEST,
            self.ask(&self.path, async |answer| answer.status()),
        );
        let status = asked.await.ok().flatten();
        status.is_some_and(|status| status.as_u16() < 400)
    }

    /// Whether it says now that it computes. One that doesn't answer says nothing.
    pub async fn says(&self, question: &BusyQuestion) -> bool {
        let read = async |answer: Response<Incoming>| {
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            serde_json::from_slice(&body.ok()?.to_bytes()).ok()
        };
        let asked = timeout(LONGEST, self.ask(&self.busy_path, read)).await;
        let answer: Option<Value> = asked.ok().flatten().flatten();
        answer.is_some_and(|answer| holds(&answer, &question.field, &question.value))
    }

    async fn ask<T>(
        &self,
        path: &str,
        read: impl AsyncFnOnce(Response<Incoming>) -> T,
    ) -> Option<T> {
        let stream = TcpStream::connect(self.addr).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let mut request = Request::get(path).header(header::HOST, &self.authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        let answer = async { Some(read(sender.send_request(request).await.ok()?).await) };
        let mut connection = pin!(connection);
        let mut answer = pin!(answer);
        // Both end together: the connection when `sender` is gone, this future with either. An
        // answer whose connection is over may still be read to its end.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }
}

/// Whether a field of this name says `value` anywhere in `json`.
fn holds(json: &Value, field: &str, value: &str) -> bool {
    match json {
        Value::Object(fields) => fields.iter().any(|(name, inner)| {
            (name == field && inner.as_str() == Some(value)) || holds(inner, field, value)
        }),
        Value::Array(items) => items.iter().any(|item| holds(item, field, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_found_wherever_it_is() {
        let kernels = |state: &str| json!([{ "id": "busy" }, { "execution_state": state }]);
        assert!(holds(&kernels("busy"), "execution_state", "busy"));
        assert!(!holds(&kernels("idle"), "execution_state", "busy"));
        assert!(holds(&json!({ "a": { "b": "c" } }), "b", "c"));
        assert!(!holds(&json!("busy"), "execution_state", "busy"));
    }
}
