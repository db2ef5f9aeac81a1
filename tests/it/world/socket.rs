//! Web sockets as a browser opens them.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{client::conn::http2, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, client::IntoClientRequest as _, protocol::Role},
};

use super::{World, within};

/// A socket to Vestibule.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;
/// A socket to Vestibule over HTTP/2.
pub type SocketH2 = WebSocketStream<TokioIo<Upgraded>>;
/// An open socket and the answer that opened it.
pub type Open = (Socket, Response<()>);

impl World {
    /// Opens a socket over HTTP/2 (RFC 8441) with these header fields.
    pub async fn socket_h2(&self, path: &str, fields: &[(&str, &str)]) -> SocketH2 {
        let io = TokioIo::new(self.connect(b"h2").await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let authority = self.authority();
        let request = |path: &str| Request::builder().uri(format!("https://{authority}{path}"));
        // With the first answer, it is known what the server can do.
        let first = request("/_vestibule/healthz").body(Empty::<Bytes>::new());
        sender.send_request(first.unwrap()).await.unwrap();
        let mut open = request(path)
            .method(Method::CONNECT)
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        for (name, value) in fields {
            open = open.header(*name, *value);
        }
        let answer = sender.send_request(open.body(Empty::new()).unwrap());
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        WebSocketStream::from_raw_socket(stream, Role::Client, None).await
    }

    /// Opens a socket with these header fields; or says how it was refused.
    pub async fn socket(&self, path: &str, fields: &[(&str, &str)]) -> Result<Open, StatusCode> {
        let url = format!("wss://{}{path}", self.authority());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request
                .headers_mut()
                .append(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = self.connect(b"http/1.1").await.unwrap();
        match client_async(request, stream).await {
            Ok((socket, answer)) => Ok((socket, answer.map(|_| ()))),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }
}

impl super::Person<'_> {
    /// Opens a socket from a page of theirs.
    pub async fn socket(&self, path: &str, more: &[(&str, &str)]) -> Result<Open, StatusCode> {
        let origin = self.world().origin.clone();
        let mut fields = vec![("cookie", self.cookie.as_str()), ("origin", &origin)];
        fields.extend_from_slice(more);
        self.world().socket(path, &fields).await
    }
}

/// The next text that comes.
pub async fn text(socket: &mut Socket) -> String {
    use futures_util::StreamExt as _;
    let next = within("a message comes", Duration::from_secs(20), socket.next()).await;
    next.unwrap().unwrap().into_text().unwrap().to_string()
}

/// Sends a handshake as it is and hands back the head of the answer, for fields that a client
/// library would take an interest in.
pub async fn handshake(
    mut stream: TlsStream<TcpStream>,
    world: &World,
    path: &str,
    fields: &[(&str, &str)],
) -> String {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        world.authority()
    );
    for (name, value) in fields {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = within("a head", Duration::from_secs(20), stream.read_u8()).await;
        answer.push(byte.unwrap());
    }
    String::from_utf8(answer).unwrap()
}
