//! How far one stream is (RFC 9113 5.1).

use std::{
    collections::VecDeque,
    task::{Context, Waker},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::http2::{bounds::STREAM_WINDOW, frame::LARGEST};

/// What is known of a stream.
pub struct Stream {
    /// What the client sent and nobody took yet.
    pub pieces: VecDeque<BytesMut>,
    pub trailers: Option<Box<HeaderMap>>,
    pub inbound: Inbound,
    /// How much of the body the client announced is still to come.
    pub announced: Option<u64>,
    /// How much the client may still send, and how much of it was taken since it was told.
    pub recv_window: i64,
    pub unannounced: u32,
    /// Whether somebody will take what it sends.
    pub wanted: bool,
    pub reader: Option<Waker>,
    pub outbound: Outbound,
    /// How much we may send.
    pub send_window: i64,
    pub writer: Option<Waker>,
    /// Whether it is among those that wait for what all share.
    pub waits: bool,
    pub tunnel: Tunneled,
}

/// What comes from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// More of its body.
    Open,
    /// Nothing more.
    Ended,
}

/// What goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// The answer is still to come.
    Head,
    /// Its body is.
    Body,
    /// Nothing more.
    Ended,
}

/// Whether it carries bytes both ways (RFC 8441).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunneled {
    No,
    /// The client asked for that.
    Wanted,
    /// It was agreed to.
    Up,
}

/// A piece of what a client sends.
pub enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// A stream broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Either side ended it early, or its connection ended.
    #[error("the stream was reset, or its connection ended")]
    Gone,
    /// What was asked to be a tunnel was answered as something else.
    #[error("the stream did not become a tunnel")]
    Refused,
}

impl Stream {
    /// One that we may send `send_window` bytes on; `ended`: nothing follows its head.
    pub fn new(send_window: i64, ended: bool) -> Self {
        Self {
            pieces: VecDeque::new(),
            trailers: None,
            inbound: if ended { Inbound::Ended } else { Inbound::Open },
            announced: None,
            recv_window: i64::from(STREAM_WINDOW),
            unannounced: 0,
            wanted: false,
            reader: None,
            outbound: Outbound::Head,
            send_window,
            writer: None,
            waits: false,
            tunnel: Tunneled::No,
        }
    }

    /// Adds to what nobody took yet. A client that sends byte by byte costs no more than others.
    pub fn push(&mut self, data: &[u8]) {
        match self.pieces.back_mut() {
            Some(last) if last.len() + data.len() <= LARGEST => last.extend_from_slice(data),
            _ => self.pieces.push_back(data.into()),
        }
    }

    /// How much of it there is, in bytes.
    pub fn unread(&self) -> usize {
        self.pieces.iter().map(BytesMut::len).sum()
    }

    /// Whether it counts no longer against the client's bound.
    pub fn is_closed(&self) -> bool {
        self.inbound == Inbound::Ended && self.outbound == Outbound::Ended
    }

    pub fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The task of a stream waits for many things, and stays the same.
    pub fn wake_writer(&mut self) {
        if let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
    }
}

/// Remembers whom to wake.
pub fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(known) if known.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}
