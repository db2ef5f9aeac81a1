//! Bytes as they are: what no client library would send, and what exactly comes back.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{World, within};

/// What came back until the other side closed.
pub struct Bytes(pub Vec<u8>);

impl World {
    /// Sends `bytes` over TLS (as HTTP/1.1) and reads until Vestibule closes, which it must.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> Bytes {
        let stream = self.connect(b"http/1.1").await.unwrap();
        exchange(stream, bytes.as_ref()).await
    }
}

/// The same without TLS.
pub async fn plain(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Bytes {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, bytes.as_ref()).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Bytes {
    // A refusal may come, and the connection end, before everything was sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = within("the connection is closed", Duration::from_secs(20), read).await;
    Bytes(answer)
}

impl Bytes {
    /// Everything as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The statuses of all answers, in order; interim ones too.
    pub fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let lines = text.split("HTTP/1.1 ").skip(1);
        lines
            .filter_map(|line| line.get(..3)?.parse().ok())
            .collect()
    }

    /// The first status, or 0 for none.
    pub fn status(&self) -> u16 {
        self.statuses().first().copied().unwrap_or_default()
    }
}
