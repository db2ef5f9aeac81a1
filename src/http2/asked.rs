//! Heads of requests, and what stands behind their bodies (RFC 9113 4.3, 6.2, 6.10 and 8.1).

use http::{HeaderMap, Method, Request, StatusCode};
use tokio::time::Instant;

use super::{
    frame::{Head, Reason, flag, number},
    head::{Fields, HeadError, Protocol, announced},
    inlet::{Broken, Inlet, broken},
    state::State,
    stream::{Inbound, Stream, Tunneled},
};

/// Largest head of a request in bytes, as fields count (RFC 9113 10.5.1).
pub const HEAD_LIST: u32 = 64 * 1024;
/// Largest block that is read at all, so that a head somewhat larger is refused by itself.
const HEAD_BLOCK: usize = 2 * HEAD_LIST as usize;
/// Requests at once.
pub const STREAMS: u32 = 100;
/// Streams of which anything is left, such as a body that goes on behind its answer.
const KNOWN: usize = 2 * STREAMS as usize;

/// A block of fields that has not ended yet.
pub struct Block {
    pub stream: u32,
    bytes: Vec<u8>,
    /// Whether its stream ends with it, and whether it depends on itself.
    end: bool,
    circular: bool,
}

/// A request to be answered.
pub struct Asked {
    pub stream: u32,
    pub request: Request<()>,
    /// Whether a body follows, or a tunnel is wanted.
    pub body: bool,
}

impl Inlet {
    /// Takes in HEADERS.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn headers(
        &mut self,
        head: Head,
        payload: &[u8],
        state: &mut State,
    ) -> Result<Option<Asked>, Broken> {
        if head.stream.is_multiple_of(2) {
            return broken(Reason::Protocol, "a client's streams have odd numbers");
        }
        let Some((bytes, circular)) = fragment(head, payload) else {
            return broken(Reason::Protocol, "HEADERS with more padding than frame");
        };
        let end = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, bytes, end, circular, state);
        }
        self.pending.get_or_insert_with(Instant::now);
        self.block = Some(Block {
            stream: head.stream,
            bytes: bytes.to_vec(),
            end,
            circular,
        });
        Ok(None)
    }

    /// Takes in CONTINUATION.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn continuation(
        &mut self,
        head: Head,
        payload: &[u8],
        state: &mut State,
    ) -> Result<Option<Asked>, Broken> {
        let Some(block) = &mut self.block else {
            return broken(Reason::Protocol, "CONTINUATION of nothing");
        };
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > HEAD_BLOCK {
            return broken(Reason::Calm, "a head without end");
        }
        if !head.has(flag::END_HEADERS) {
            state.spend()?;
            return Ok(None);
        }
        let Some(block) = self.block.take() else {
            return Ok(None);
        };
        self.pending = None;
        self.block(block.stream, &block.bytes, block.end, block.circular, state)
    }

    /// Takes in a whole block of fields. It is decoded even if nobody wants it, since later ones
    /// refer to it (RFC 9113 4.3).
    fn block(
        &mut self,
        id: u32,
        block: &[u8],
        end: bool,
        circular: bool,
        state: &mut State,
    ) -> Result<Option<Asked>, Broken> {
        let is_new = id > self.last;
        let mut fields = if is_new {
            Fields::new()
        } else {
            Fields::default()
        };
        let decoded = self
            .decoder
            .decode(block, |field| fields.take(field, HEAD_LIST));
        if decoded.is_err() {
            return broken(Reason::Compression, "fields that can't be decoded");
        }
        if !is_new {
            trailers(id, fields, end, state)?;
            return Ok(None);
        }
        (self.last, self.asked) = (id, true);
        if self.closes || state.open >= STREAMS || state.streams.len() >= KNOWN {
            state.spend()?;
            state.reset(id, Reason::Refused);
            return Ok(None);
        }
        let request = fields.into_request(HEAD_LIST);
        let request = request.and_then(|request| {
            let length = announced(request.headers())?;
            // A request that has ended has no body.
            let fits = !circular && (!end || length.is_none_or(|length| length == 0));
            if fits {
                Ok((request, length))
            } else {
                Err(HeadError::Malformed)
            }
        });
        let mut stream = Stream::new(state.first_window, end);
        match request {
            Ok((request, length)) => {
                stream.announced = length;
                let tunnel = request.extensions().get::<Protocol>().is_some();
                if tunnel {
                    stream.tunnel = Tunneled::Asked;
                }
                let body = tunnel || !end;
                stream.wanted = body;
                state.begin(id, stream);
                Ok(Some(Asked {
                    stream: id,
                    request,
                    body,
                }))
            }
            Err(HeadError::TooLarge) => {
                state.spend()?;
                state.begin(id, stream);
                let none = HeaderMap::new();
                state.answer(id, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &none, true);
                Ok(None)
            }
            Err(HeadError::Malformed) => {
                state.spend()?;
                state.reset(id, Reason::Protocol);
                Ok(None)
            }
        }
    }
}

impl Asked {
    /// Whether its answer has no body whatever it says.
    pub fn is_bodiless(&self) -> bool {
        self.request.method() == Method::HEAD
    }
}

/// What stands behind a body.
fn trailers(id: u32, fields: Fields, end: bool, state: &mut State) -> Result<(), Broken> {
    let Some(stream) = state.streams.get_mut(&id) else {
        return state.on_closed(id, Reason::Protocol);
    };
    if stream.inbound == Inbound::Ended {
        state.reset(id, Reason::StreamClosed);
        return Ok(());
    }
    match fields.into_trailers(HEAD_LIST) {
        Ok(trailers) if end && stream.announced.is_none_or(|left| left == 0) => {
            if !trailers.is_empty() {
                stream.trailers = Some(Box::new(trailers));
            }
            state.heard_all(id);
        }
        _ => state.reset(id, Reason::Protocol),
    }
    Ok(())
}

/// The fields in HEADERS, and whether the stream depends on itself; of priority nothing else is
/// heeded (RFC 9113 5.3.2).
fn fragment(head: Head, payload: &[u8]) -> Option<(&[u8], bool)> {
    let mut bytes = payload;
    let mut padding = 0;
    if head.has(flag::PADDED) {
        let (first, rest) = bytes.split_first()?;
        (padding, bytes) = (usize::from(*first), rest);
    }
    let mut circular = false;
    if head.has(flag::PRIORITY) {
        let (priority, rest) = bytes.split_first_chunk::<5>()?;
        let [a, b, c, d, _] = *priority;
        circular = number([a, b, c, d]) == head.stream;
        bytes = rest;
    }
    let length = bytes.len().checked_sub(padding)?;
    Some((&bytes[..length], circular))
}
