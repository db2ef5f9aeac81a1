//! What a client sends, frame by frame (RFC 9113 4 to 6): cuts it, judges frames by their headers, and
//! lets bodies pass as they come. All other frames are taken in whole, by `request` and `control`.

mod control;
mod request;

use std::borrow::Cow;

use tokio::time::Instant;

use self::request::Block;
pub use self::request::NewRequest;
use super::{
    frame::{Broken, ErrorCode, HEADER_LENGTH, Header, LARGEST, PREFACE, broken, flag, kind},
    hpack::Decoder,
    state::{Shared, State},
};

/// What is said in a PING behind a GOAWAY.
pub const GOODBYE: &[u8; 8] = b"goodbye.";

/// What was read of a connection, and what comes next.
pub struct Inlet {
    next: Next,
    /// The beginning of what is taken in whole.
    partial: Vec<u8>,
    decoder: Decoder,
    /// The head that has not ended yet.
    block: Option<Block>,
    /// Since when a frame or a head has not ended.
    pub pending: Option<Instant>,
    /// The last stream that the client began.
    pub last: u32,
    /// Whether streams that it begins are refused.
    pub closes: bool,
    /// Whether it has requested something since that was last looked at.
    pub requested: bool,
    /// Whether it has answered our goodbye.
    pub pong: bool,
}

enum Next {
    Preface,
    /// The first frame, which must be SETTINGS (RFC 9113 3.4).
    Greeting,
    Header,
    Payload(Header),
    /// How much of DATA is padding comes first.
    Padding(Header),
    Data(Data),
}

/// DATA on its way.
struct Data {
    stream: u32,
    /// How much of a body is to come, and behind it of what means nothing.
    left: usize,
    padding: usize,
    /// Whether the stream ends with it.
    end: bool,
}

impl Inlet {
    pub fn new() -> Self {
        Self {
            next: Next::Preface,
            partial: Vec::new(),
            decoder: Decoder::new(),
            block: None,
            pending: None,
            last: 0,
            closes: false,
            requested: false,
            pong: false,
        }
    }

    /// Takes in what was read; `begin` has each request answered.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(
        &mut self,
        mut bytes: &[u8],
        shared: &Shared,
        mut begin: impl FnMut(NewRequest),
    ) -> Result<(), Broken> {
        loop {
            self.next = match self.next {
                Next::Preface => {
                    let Some(preface) = self.whole(&mut bytes, PREFACE.len()) else {
                        return Ok(());
                    };
                    if *preface != PREFACE[..] {
                        return broken(ErrorCode::Protocol, "no HTTP/2 preface");
                    }
                    Next::Greeting
                }
                Next::Greeting | Next::Header => {
                    let Some(head) = self.whole(&mut bytes, HEADER_LENGTH) else {
                        if !self.partial.is_empty() {
                            self.pending.get_or_insert_with(Instant::now);
                        }
                        return Ok(());
                    };
                    if self.block.is_none() {
                        self.pending = None;
                    }
                    let Ok(head) = (*head).try_into().map(Header::of) else {
                        return Ok(());
                    };
                    let greets = head.kind == kind::SETTINGS && !head.has(flag::ACK);
                    if matches!(self.next, Next::Greeting) && !greets {
                        return broken(ErrorCode::Protocol, "no SETTINGS behind the preface");
                    }
                    self.judge(head, &mut shared.borrow_mut())?
                }
                Next::Payload(head) => {
                    let Some(payload) = self.whole(&mut bytes, head.length) else {
                        self.pending.get_or_insert_with(Instant::now);
                        return Ok(());
                    };
                    let request = self.frame(head, &payload, &mut shared.borrow_mut())?;
                    if self.block.is_none() {
                        self.pending = None;
                    }
                    // Nothing is borrowed while it begins: what is dropped there looks again.
                    if let Some(request) = request {
                        begin(request);
                    }
                    Next::Header
                }
                Next::Padding(head) => {
                    let Some(padding) = self.whole(&mut bytes, 1) else {
                        return Ok(());
                    };
                    let padding = usize::from(padding[0]);
                    let Some(left) = (head.length - 1).checked_sub(padding) else {
                        return broken(ErrorCode::Protocol, "more padding than frame");
                    };
                    let mut state = shared.borrow_mut();
                    if left == 0 && !head.has(flag::END_STREAM) {
                        state.spend()?;
                    }
                    state.expect(head, left)?;
                    state.skip(head.stream, 1);
                    Next::Data(Data::of(head, left, padding))
                }
                Next::Data(ref mut data) => {
                    if data.pass(&mut bytes, &mut shared.borrow_mut()) {
                        return Ok(());
                    }
                    Next::Header
                }
            };
        }
    }

    /// The next `length` bytes, once all are there.
    fn whole<'a>(&mut self, bytes: &mut &'a [u8], length: usize) -> Option<Cow<'a, [u8]>> {
        if self.partial.is_empty() && bytes.len() >= length {
            let (now, later) = bytes.split_at(length);
            *bytes = later;
            return Some(Cow::Borrowed(now));
        }
        let missing = length - self.partial.len();
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        *bytes = later;
        self.partial.extend_from_slice(now);
        (self.partial.len() == length).then(|| Cow::Owned(std::mem::take(&mut self.partial)))
    }

    /// Judges a frame by its head.
    fn judge(&mut self, head: Header, state: &mut State) -> Result<Next, Broken> {
        if head.length > LARGEST {
            return broken(ErrorCode::FrameSize, "a frame is larger than agreed");
        }
        if let Some(block) = &self.block
            && (head.kind != kind::CONTINUATION || head.stream != block.stream)
        {
            return broken(ErrorCode::Protocol, "a head was interrupted");
        }
        if head.kind != kind::DATA {
            return Ok(Next::Payload(head));
        }
        if head.stream == 0 || head.stream > self.last {
            return broken(ErrorCode::Protocol, "DATA without a stream");
        }
        // Empty, it is of use only as an end.
        if head.length == 0 && !head.has(flag::END_STREAM) {
            state.spend()?;
        }
        if !head.has(flag::PADDED) {
            state.expect(head, head.length)?;
            Ok(Next::Data(Data::of(head, head.length, 0)))
        } else if head.length == 0 {
            broken(ErrorCode::FrameSize, "padding without a frame")
        } else {
            Ok(Next::Padding(head))
        }
    }

    /// Takes in a whole frame.
    fn frame(
        &mut self,
        head: Header,
        payload: &[u8],
        state: &mut State,
    ) -> Result<Option<NewRequest>, Broken> {
        match head.kind {
            kind::HEADERS => return self.headers(head, payload, state),
            kind::CONTINUATION => return self.continuation(head, payload, state),
            _ => self.control(head, payload, state)?,
        }
        Ok(None)
    }
}

impl Data {
    fn of(head: Header, left: usize, padding: usize) -> Self {
        Self {
            stream: head.stream,
            left,
            padding,
            end: head.has(flag::END_STREAM),
        }
    }

    /// Lets pass what there is of it; whether there is more to come.
    fn pass(&mut self, bytes: &mut &[u8], state: &mut State) -> bool {
        let (data, later) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= data.len();
        state.receive(self.stream, data);
        *bytes = later;
        if self.left == 0 {
            let (padding, later) = bytes.split_at(self.padding.min(bytes.len()));
            self.padding -= padding.len();
            state.skip(self.stream, padding.len());
            *bytes = later;
        }
        let more = self.left + self.padding > 0;
        if !more && self.end {
            state.receive_end(self.stream);
        }
        more
    }
}
