//! What goes over a connection to the helper: a program's input and output, bytes of a stream,
//! lines of a listener.

use std::io;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt as _,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{ShellError, cut_on_drop};

/// How much is read at once: a few of the pieces that SSH sends on.
const READ: usize = 64 * 1024;
/// Longest frame of a program that is believed; the helper's are of 128 KiB.
const LONGEST_FRAME: usize = 1 << 20;
/// Longest line of an answer.
const LONGEST_LINE: usize = 8 * 1024;

/// In base64, as JSON can't carry any bytes.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code.
    Code(u32),
    /// By a signal, named without `SIG`.
    Signal {
        /// Its name.
        name: String,
        /// Whether memory was written out.
        core: bool,
    },
    /// With its container or helper.
    Lost,
}

/// A piece of what a program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// On standard output, or its terminal.
    Out(Bytes),
    /// On standard error.
    Err(Bytes),
    /// Nothing more.
    End(Ending),
}

/// A running program. Dropping it hangs up on it.
pub struct Running {
    reader: OwnedReadHalf,
    /// Its standard input, which ends when this is shut down.
    pub input: Option<OwnedWriteHalf>,
    read: BytesMut,
    /// What is left of the frame that is being passed on.
    frame: Option<(u8, usize)>,
}

impl Running {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Only a socket that was closed already has no options.
        let _ = cut_on_drop(&stream);
        let (reader, input) = stream.into_split();
        Self {
            reader,
            input: Some(input),
            read: BytesMut::new(),
            frame: None,
        }
    }

    /// The next piece, of at most `most` bytes. Cancel-safe.
    ///
    /// After [`Piece::End`] there is none.
    pub async fn next(&mut self, most: usize) -> Piece {
        loop {
            match self.piece(most) {
                Ok(Some(piece)) => return piece,
                Ok(None) => {}
                Err(()) => return Piece::End(Ending::Lost),
            }
            self.read.reserve(READ);
            match self.reader.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return Piece::End(Ending::Lost),
                Ok(_) => {}
            }
        }
    }

    /// Takes a piece from what was read; `Err` for what no helper of ours says.
    fn piece(&mut self, most: usize) -> Result<Option<Piece>, ()> {
        let (kind, left) = if let Some(frame) = self.frame {
            frame
        } else {
            let Some((head, _)) = self.read.split_first_chunk::<5>() else {
                return Ok(None);
            };
            let kind = head[0];
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if !(1..=LONGEST_FRAME).contains(&length) || !(1..=3).contains(&kind) {
                return Err(());
            }
            let _ = self.read.split_to(5);
            self.frame = Some((kind, length));
            (kind, length)
        };
        if kind == 3 {
            if self.read.len() < left {
                return Ok(None);
            }
            return Ok(Some(Piece::End(ending(&self.read[..left]))));
        }
        let length = left.min(most).min(self.read.len());
        if length == 0 {
            return Ok(None);
        }
        let bytes = self.read.split_to(length).freeze();
        self.frame = (left > length).then_some((kind, left - length));
        Ok(Some(if kind == 1 {
            Piece::Out(bytes)
        } else {
            Piece::Err(bytes)
        }))
    }
}

fn ending(text: &[u8]) -> Ending {
    let Ok(end) = serde_json::from_slice::<Value>(text) else {
        return Ending::Lost;
    };
    if let Some(name) = end["signal"].as_str() {
        return Ending::Signal {
            name: name.to_owned(),
            core: end["core"] == true,
        };
    }
    let code = end["code"].as_u64().and_then(|code| code.try_into().ok());
    code.map_or(Ending::Lost, Ending::Code)
}

/// Bytes both ways between us and a socket in the container.
pub struct Stream {
    /// What comes.
    pub reader: OwnedReadHalf,
    /// What goes; to be shut down at its end.
    pub writer: OwnedWriteHalf,
    /// What came with the answer.
    pub early: Bytes,
}

impl Stream {
    pub(super) async fn begin(mut stream: TcpStream) -> Result<Self, ShellError> {
        cut_on_drop(&stream)?;
        let mut read = BytesMut::new();
        let answer = line(&mut stream, &mut read).await?;
        refused(&answer)?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader,
            writer,
            early: read.freeze(),
        })
    }
}

/// Ends a [`Stream`] in good order: both sides have said all, and what was said shall arrive.
pub fn end(reader: &OwnedReadHalf) {
    let _ = socket2::SockRef::from(reader.as_ref()).set_linger(None);
}

/// A connection that came to a listener.
#[derive(Clone, Debug)]
pub struct Taken {
    pub(super) id: u64,
    /// The address it came from; empty for Unix sockets.
    pub host: String,
    /// The port it came from.
    pub port: u16,
}

/// A listener in the container, until it is dropped.
pub struct Listening {
    stream: TcpStream,
    read: BytesMut,
    /// The port it listens on, if it does on one.
    pub port: Option<u16>,
    /// The path it listens on, if it does on one.
    pub path: Option<String>,
}

impl Listening {
    pub(super) async fn begin(mut stream: TcpStream) -> Result<Self, ShellError> {
        let mut read = BytesMut::new();
        let answer = line(&mut stream, &mut read).await?;
        refused(&answer)?;
        Ok(Self {
            stream,
            read,
            port: answer["port"]
                .as_u64()
                .and_then(|port| port.try_into().ok()),
            path: answer["path"].as_str().map(str::to_owned),
        })
    }

    /// The next connection. Cancel-safe.
    ///
    /// # Errors
    /// [`ShellError::Unreachable`] once it listens no more.
    pub async fn next(&mut self) -> Result<Taken, ShellError> {
        let told = line(&mut self.stream, &mut self.read).await?;
        Ok(Taken {
            id: told["id"].as_u64().unwrap_or_default(),
            host: told["host"].as_str().unwrap_or_default().to_owned(),
            port: told["port"]
                .as_u64()
                .and_then(|port| port.try_into().ok())
                .unwrap_or_default(),
        })
    }
}

/// Reads a line of JSON. Cancel-safe: what was read stays in `read`.
async fn line(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Value> {
    loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let line = read.split_to(end + 1);
            return serde_json::from_slice(&line).map_err(io::Error::other);
        }
        if read.len() > LONGEST_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn refused(answer: &Value) -> Result<(), ShellError> {
    match answer["error"].as_str() {
        Some(why) => {
            let why: String = why.chars().take(200).collect();
            Err(if answer["denied"] == true {
                ShellError::Denied(why)
            } else {
                ShellError::Refused(why)
            })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    /// What is made of these bytes of a helper.
    async fn heard(bytes: &[u8]) -> Vec<Piece> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(ours, listener.accept());
        let (mut running, mut theirs) = (Running::new(ours.unwrap()), theirs.unwrap().0);
        theirs.write_all(bytes).await.unwrap();
        let mut pieces = Vec::new();
        while !matches!(pieces.last(), Some(Piece::End(_))) {
            pieces.push(running.next(4).await);
        }
        pieces
    }

    #[tokio::test]
    async fn frames_are_passed_on_in_pieces_and_what_is_none_ends_the_program() {
        let out = |text: &'static str| Piece::Out(text.into());
        let lost = || Piece::End(Ending::Lost);
        let end = b"\x03\0\0\0\x0a{\"code\":7}";
        assert_eq!(
            heard(&[b"\x01\0\0\0\x06onetwo\x02\0\0\0\x01!", &end[..]].concat()).await,
            [
                out("onet"),
                out("wo"),
                Piece::Err("!".into()),
                Piece::End(Ending::Code(7))
            ]
        );
        for (what, frame) in [
            ("an empty one", &b"\x01\0\0\0\0"[..]),
            ("an unknown one", b"\x04\0\0\0\x01x"),
            ("a long one", b"\x01\0\x10\0\x01x"),
        ] {
            assert_eq!(heard(&[frame, end].concat()).await, [lost()], "{what}");
        }
    }
}
