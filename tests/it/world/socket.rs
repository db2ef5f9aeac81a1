//! Web sockets as a browser opens them.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, client::IntoClientRequest as _},
};

use super::{World, within};

/// A socket to Vestibule.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;
/// An open socket and the answer that opened it.
pub type Open = (Socket, Response<()>);

impl World {
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
