//! Heads of requests, and what stands behind their bodies (RFC 9113 4.3, 6.2, 6.10 and 8.1).

use http::{HeaderMap, Method, Request, StatusCode};
use tokio::time::Instant;

use super::{
    super::{
        bounds::{HEAD_BLOCK, KNOWN_STREAMS, STREAMS},
        frame::{Broken, ErrorCode, Header, broken, flag},
        head::{Fields, HeadError, Protocol},
        state::{Inbound, State, Stream, Tunneled},
    },
    Inlet,
};
use crate::text::content_length;

/// A block of fields that has not ended yet.
pub struct Block {
    pub stream: u32,
    bytes: Vec<u8>,
    /// Whether its stream ends with it.
    end: bool,
}

/// A request to be answered.
pub struct NewRequest {
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
        head: Header,
        payload: &[u8],
        state: &mut State,
    ) -> Result<Option<NewRequest>, Broken> {
        if head.stream.is_multiple_of(2) {
            return broken(ErrorCode::Protocol, "a client's streams have odd numbers");
        }
        let Some(bytes) = fragment(head, payload) else {
            return broken(ErrorCode::Protocol, "HEADERS with more padding than frame");
        };
        let end = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, bytes, end, state);
        }
        self.pending.get_or_insert_with(Instant::now);
        self.block = Some(Block {
            stream: head.stream,
            bytes: bytes.to_vec(),
            end,
        });
        Ok(None)
    }

    /// Takes in CONTINUATION.
    ///
    /// # Errors
    /// [`Broken`].
    pub(super) fn continuation(
        &mut self,
        head: Header,
        payload: &[u8],
        state: &mut State,
    ) -> Result<Option<NewRequest>, Broken> {
        let Some(mut block) = self.block.take() else {
            return broken(ErrorCode::Protocol, "CONTINUATION of nothing");
        };
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > HEAD_BLOCK {
            return broken(ErrorCode::EnhanceYourCalm, "a head without end");
        }
        if !head.has(flag::END_HEADERS) {
            state.spend()?;
            self.block = Some(block);
            return Ok(None);
        }
        self.block(block.stream, &block.bytes, block.end, state)
    }

    /// Takes in a whole block of fields. It is decoded even if nobody wants it, since later ones
    /// refer to it (RFC 9113 4.3).
    fn block(
        &mut self,
        id: u32,
        block: &[u8],
        end: bool,
        state: &mut State,
    ) -> Result<Option<NewRequest>, Broken> {
        let is_new = id > self.last;
        let mut fields = if is_new {
            Fields::of_a_request()
        } else {
            Fields::default()
        };
        let decoded = self.decoder.decode(block, |field| fields.take(field));
        if let Err(error) = decoded {
            tracing::debug!(%error, "a client's fields can't be decoded");
            return broken(ErrorCode::Compression, "fields that can't be decoded");
        }
        // A few bytes may name a field of thousands again and again.
        state.spend_on(fields.excess())?;
        if is_new {
            self.begin(id, fields, end, state)
        } else {
            trailers(id, fields, end, state)?;
            Ok(None)
        }
    }

    /// Begins a stream with a request, or refuses it.
    fn begin(
        &mut self,
        id: u32,
        fields: Fields,
        end: bool,
        state: &mut State,
    ) -> Result<Option<NewRequest>, Broken> {
        (self.last, self.requested) = (id, true);
        if self.closes || state.open >= STREAMS || state.streams.len() >= KNOWN_STREAMS {
            state.spend()?;
            state.reset(id, ErrorCode::RefusedStream);
            return Ok(None);
        }
        let request = fields.into_request();
        let request = request.and_then(|request| {
            let length = content_length(request.headers());
            let length = length.map_err(|_| HeadError::Malformed)?;
            // A request that has ended has no body.
            if !end || length.is_none_or(|length| length == 0) {
                Ok((request, length))
            } else {
                Err(HeadError::Malformed)
            }
        });
        let mut stream = Stream::new(state.first_send_window, end);
        match request {
            Ok((request, length)) => {
                stream.announced = length;
                let tunnel = request.extensions().get::<Protocol>().is_some();
                if tunnel {
                    stream.tunnel = Tunneled::Wanted;
                }
                let body = tunnel || !end;
                stream.wanted = body;
                state.open_stream(id, stream);
                Ok(Some(NewRequest {
                    stream: id,
                    request,
                    body,
                }))
            }
            Err(HeadError::TooLarge) => {
                state.open_stream(id, stream);
                let none = HeaderMap::new();
                state.answer(id, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &none, true);
                Ok(None)
            }
            Err(HeadError::Malformed) => {
                state.spend()?;
                state.reset(id, ErrorCode::Protocol);
                Ok(None)
            }
        }
    }
}

impl NewRequest {
    /// Whether its answer has no body whatever it says.
    pub fn is_bodiless(&self) -> bool {
        self.request.method() == Method::HEAD
    }
}

/// What stands behind a body.
fn trailers(id: u32, fields: Fields, end: bool, state: &mut State) -> Result<(), Broken> {
    let Some(stream) = state.streams.get_mut(&id) else {
        return state.on_closed(id, ErrorCode::Protocol);
    };
    if stream.inbound == Inbound::Ended {
        state.spend()?;
        state.reset(id, ErrorCode::StreamClosed);
        return Ok(());
    }
    match fields.into_trailers() {
        Ok(trailers) if end && stream.announced.is_none_or(|left| left == 0) => {
            if stream.wanted && !trailers.is_empty() {
                stream.trailers = Some(Box::new(trailers));
            }
            state.receive_end(id);
        }
        _ => {
            state.spend()?;
            state.reset(id, ErrorCode::Protocol);
        }
    }
    Ok(())
}

/// The fields in HEADERS, between what is said of priority, which isn't heeded (RFC 9113 5.3.2), and
/// padding.
fn fragment(head: Header, payload: &[u8]) -> Option<&[u8]> {
    let mut bytes = payload;
    let mut padding = 0;
    if head.has(flag::PADDED) {
        let (first, rest) = bytes.split_first()?;
        (padding, bytes) = (usize::from(*first), rest);
    }
    if head.has(flag::PRIORITY) {
        bytes = bytes.get(5..)?;
    }
    let length = bytes.len().checked_sub(padding)?;
    bytes.get(..length)
}
