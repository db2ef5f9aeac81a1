//! What an app answers: one GET of its ready path, as often as it takes, or of the path by which
//! it says that it computes.

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use httparse::Status;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::config::{App, BusyQuestion};

/// Longest one answer may take.
const LONGEST: Duration = Duration::from_secs(5);
/// Most of an answer that is read: a list of a thousand kernels.
const LARGEST: usize = 1 << 20;
/// Most bytes read before the status is known, most fields in a head, and how much is read at once.
const HEADS: usize = 16 * 1024;
const MOST_FIELDS: usize = 100;
const PIECE: usize = 8 * 1024;

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

    /// Whether it answers now, and well.
    pub async fn answers(&self) -> bool {
        self.status().await.is_some_and(is_good)
    }

    /// The status that it answers now, if it does.
    pub async fn status(&self) -> Option<u16> {
        timeout(LONGEST, self.head()).await.ok().flatten()
    }

    /// What it answers, read up to the status: an HTTP client has 25 KiB for each request, and
    /// after our start every app of every workspace is asked at once.
    async fn head(&self) -> Option<u16> {
        // Made first, since that checks what is written.
        let request = self.request(&self.path)?;
        let mut asked = format!("GET {} HTTP/1.1\r\n", request.uri()).into_bytes();
        for (name, value) in request.headers() {
            asked.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        asked.extend(b"\r\n");
        let mut stream = TcpStream::connect(self.addr).await.ok()?;
        stream.write_all(&asked).await.ok()?;
        let mut answer = Vec::new();
        while answer.len() < HEADS {
            stream.readable().await.ok()?;
            // Not before, and most answers whole: what is left unread, an app sees as an error.
            answer.reserve(PIECE);
            match stream.try_read_buf(&mut answer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) | Ok(0) => return None,
                Ok(_) => {}
            }
            if let Some(status) = status(&answer).ok()? {
                return Some(status);
            }
        }
        None
    }

    /// Whether it says now that it computes. One that doesn't answer says nothing.
    pub async fn says(&self, question: &BusyQuestion) -> bool {
        let answer = timeout(LONGEST, self.read(&self.busy_path)).await;
        let answer = answer.ok().flatten();
        answer.is_some_and(|answer| holds(&answer, &question.field, &question.value))
    }

    /// The JSON that it answers.
    async fn read(&self, path: &str) -> Option<Value> {
        let request = self.request(path)?;
        let stream = TcpStream::connect(self.addr).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let answer = async {
            let answer = sender.send_request(request).await.ok()?;
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            serde_json::from_slice(&body.ok()?.to_bytes()).ok()
        };
        let mut connection = pin!(connection);
        let mut answer = pin!(answer);
        // Both end together: the connection when `sender` is gone, this future with either. An
        // answer whose connection is over may still be read to its end.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }

    fn request(&self, path: &str) -> Option<Request<Empty<Bytes>>> {
        let mut request = Request::get(path).header(header::HOST, &self.authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Empty::new()).ok()
    }
}

/// Whether an app that answers so is ready.
pub fn is_good(status: u16) -> bool {
    status < 400
}

/// The status of an answer that began so, if that was said yet. Interim answers come before the
/// one asked for (RFC 9110 15.2).
fn status(mut answer: &[u8]) -> Result<Option<u16>, httparse::Error> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let read = head.parse(answer)?;
        match (head.code, read) {
            (Some(status @ (101 | 200..)), _) => return Ok(Some(status)),
            (_, Status::Complete(end)) => answer = &answer[end..],
            (_, Status::Partial) => return Ok(None),
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
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn an_app_answers_if_its_status_is_below_400() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe = Probe {
            addr: listener.local_addr().unwrap(),
            authority: "ide.example.org".to_owned(),
            path: "/ready?a".to_owned(),
            busy_path: String::new(),
            headers: vec![("cookie".to_owned(), "a=b".to_owned())],
        };
        for (answer, answers) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.0 302\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\n\r\n", false),
            (
                "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 \u{e9}\r\n",
                true,
            ),
            (
                "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 503 No\r\n",
                false,
            ),
            ("HTTP/1.1 103 Early Hints\r\nlink: x\r\n", false),
            ("HTTP/1.1 503 Not Yet\r\n\r\n", false),
            ("SSH-2.0-x 200 OK\r\n\r\n", false),
            ("HTTP/1.1 20", false),
            ("", false),
        ] {
            let serve = async {
                let mut stream = listener.accept().await.unwrap().0;
                let mut head = vec![0; 256];
                let length = stream.read(&mut head).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                String::from_utf8_lossy(&head[..length]).into_owned()
            };
            let (seen, head) = tokio::join!(probe.answers(), serve);
            assert_eq!(seen, answers, "{answer}");
            let expected = "GET /ready?a HTTP/1.1\r\nhost: ide.example.org\r\ncookie: a=b\r\n\r\n";
            assert_eq!(head, expected);
        }
    }

    #[test]
    fn a_field_is_found_wherever_it_is() {
        let kernels = |state: &str| json!([{ "id": "busy" }, { "execution_state": state }]);
        assert!(holds(&kernels("busy"), "execution_state", "busy"));
        assert!(!holds(&kernels("idle"), "execution_state", "busy"));
        assert!(holds(&json!({ "a": { "b": "c" } }), "b", "c"));
        assert!(!holds(&json!("busy"), "execution_state", "busy"));
    }
}
