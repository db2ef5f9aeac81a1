//! What a test expects of the server, in words of RFC 9113.
use std::time::Duration;

use tokio::time::timeout;

use super::client::{Client, DEADLINE};
use super::wire::*;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Answered(u16),
    Reset(u32),
    /// GOAWAY with this code, and the end of the connection.
    Gone(u32),
    /// The end of the connection without GOAWAY.
    Cut,
    Silence,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Client {
    pub async fn expect_rst(&mut self, id: u32, code: u32) {
        let reset = self
            .find("RST_STREAM", |frame| frame.is_of(RST_STREAM, id))
            .await;
        assert_eq!(number(&reset.payload), code, "stream {id} was reset with");
    }

    /// The last stream the server says it took; then nothing may follow but its streams' answers.
    pub async fn expect_goaway(&mut self, code: u32) -> u32 {
        let away = self.find("GOAWAY", |frame| frame.is_of(GOAWAY, 0)).await;
        assert_eq!(number(&away.payload[4..]), code, "GOAWAY said");
        number(&away.payload)
    }

    /// The last stream that the server's final GOAWAY leaves to it; a first one may have named the
    /// highest number, to be followed when a PING was answered (RFC 9113 6.8).
    pub async fn expect_final_goaway(&mut self) -> u32 {
        loop {
            let said = |frame: &Frame| frame.is_of(GOAWAY, 0) || frame.is(PING, 0, 0);
            let frame = self.find("GOAWAY", said).await;
            if frame.kind == PING {
                self.send_frame(PING, ACK, 0, &frame.payload).await;
                continue;
            }
            assert_eq!(number(&frame.payload[4..]), NO_ERROR);
            match number(&frame.payload) {
                0x7fff_ffff => {}
                last => return last,
            }
        }
    }

    /// Reads on until the connection's end; when it came, the server's task has ended as well.
    pub async fn expect_end(&mut self) {
        let end = self.look(|_| false).await;
        assert_eq!(end, Err(Fate::Cut), "open; came: {:?}", self.kept);
        let served = timeout(DEADLINE, &mut self.served).await;
        let _ = served
            .expect("the connection's future ends")
            .expect("it didn't panic");
    }

    pub async fn expect_answer(&mut self, id: u32) -> Answered {
        self.answer(id, false, Answered::default()).await
    }

    /// The rest of a body whose head was asked for.
    pub async fn expect_answer_end(&mut self, id: u32) -> Vec<u8> {
        let begun = Answered {
            status: 200,
            ..Answered::default()
        };
        self.answer(id, true, begun).await.body
    }

    /// The next DATA of a stream.
    pub async fn expect_data(&mut self, id: u32, bytes: &[u8]) {
        let data = self.find("DATA", |frame| frame.is_of(DATA, id)).await;
        assert_eq!(data.payload, bytes, "on stream {id}");
    }

    /// An answer for whose DATA the windows are given back at once.
    pub async fn download(&mut self, id: u32) -> Answered {
        self.answer(id, true, Answered::default()).await
    }

    async fn answer(&mut self, id: u32, grant: bool, mut answered: Answered) -> Answered {
        loop {
            let frame = self
                .find("answer", |frame| {
                    frame.stream == id && [DATA, HEADERS, RST_STREAM].contains(&frame.kind)
                })
                .await;
            match frame.kind {
                HEADERS if answered.status == 0 => {
                    answered.status = status_of(&frame);
                    answered.fields = frame.fields;
                }
                HEADERS => answered.trailers = frame.fields,
                DATA => {
                    answered.body.extend_from_slice(&frame.payload);
                    if grant && !frame.payload.is_empty() {
                        self.grant(&[0, id], frame.payload.len()).await;
                    }
                }
                _ => panic!("stream {id} was reset: {}", number(&frame.payload)),
            }
            if frame.flags & END_STREAM != 0 {
                return answered;
            }
        }
    }

    pub async fn grant(&mut self, streams: &[u32], count: usize) {
        let count = u32::try_from(count).unwrap().to_be_bytes();
        for id in streams {
            self.send_frame(WINDOW_UPDATE, 0, *id, &count).await;
        }
    }

    /// Takes the DATA that is there and gives its window back; how many bytes.
    pub async fn take_data(&mut self, id: u32) -> usize {
        let mut count = 0;
        while self.has(|frame| frame.is_of(DATA, id)) {
            let data = self.find("DATA", |frame| frame.is_of(DATA, id)).await;
            self.grant(&[0, id], data.payload.len()).await;
            count += data.payload.len();
        }
        count
    }

    /// Whether the connection's window is opened again, up to half of what it may be.
    pub async fn comes_back_to(&mut self, size: usize) -> bool {
        self.linger(Duration::from_secs(1), false).await;
        self.window >= i64::try_from(size / 2).unwrap()
    }

    /// How a request ends, be it as it may.
    pub async fn fate(&mut self, id: u32) -> Fate {
        let found = self
            .look(|frame| {
                let of_stream = [HEADERS, RST_STREAM].contains(&frame.kind) && frame.stream == id;
                of_stream || frame.kind == GOAWAY
            })
            .await;
        match found {
            Err(none) => none,
            Ok(frame) if frame.kind == HEADERS => Fate::Answered(status_of(&frame)),
            Ok(frame) if frame.kind == RST_STREAM => Fate::Reset(number(&frame.payload)),
            Ok(frame) => {
                self.expect_end().await;
                Fate::Gone(number(&frame.payload[4..]))
            }
        }
    }

    /// Whether such a frame has come or comes within a second.
    pub async fn comes(&mut self, wanted: impl FnMut(&Frame) -> bool) -> bool {
        self.linger(Duration::from_secs(1), false).await;
        self.has(wanted)
    }

    /// Whether such a frame is there.
    pub fn has(&self, wanted: impl FnMut(&Frame) -> bool) -> bool {
        self.kept.iter().any(wanted)
    }

    /// How many bytes of DATA have come and come within a second.
    pub async fn comes_of(&mut self, id: u32) -> usize {
        self.linger(Duration::from_secs(1), false).await;
        let of_stream = |frame: &Frame| frame.is_of(DATA, id);
        let data = self.kept.iter().filter(|frame| of_stream(frame));
        let count = data.map(|frame| frame.payload.len()).sum();
        self.kept.retain(|frame| !of_stream(frame));
        count
    }
}
