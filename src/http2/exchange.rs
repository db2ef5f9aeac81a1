//! The task of one stream: a request on its way to whoever answers it, and the answer back.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Response, StatusCode, header, response::Parts};
use hyper::body::{Body, Frame};

use super::{
    frame::ErrorCode,
    state::{Room, Shared},
};

/// A request that is being answered.
pub struct Exchange<F, B> {
    shared: Shared,
    id: u32,
    /// Whether the answer has no body whatever it says (RFC 9110 9.3.2).
    bodiless: bool,
    stage: Stage<F, B>,
}

enum Stage<F, B> {
    /// It is being answered.
    Answering(F),
    /// The answer waits for its turn.
    Head(Option<Box<Response<B>>>),
    /// Its body comes; beside it, what was taken of it and not sent yet.
    Body(B, Bytes),
    Done,
}

impl<F, B> Exchange<F, B>
where
    F: Future<Output = Response<B>> + Unpin,
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    pub fn new(shared: Shared, id: u32, bodiless: bool, answer: F) -> Self {
        Self {
            shared,
            id,
            bodiless,
            stage: Stage::Answering(answer),
        }
    }

    /// Writes an answer's head if it may be; what comes next.
    fn answer(&self, response: Response<B>, cx: &Context<'_>) -> Stage<F, B> {
        // Nothing is dropped while this is borrowed: it may look at a stream of its own.
        let room = self.shared.borrow_mut().room_for_head(self.id, cx);
        match room {
            Room::Some(_) => {}
            Room::Wait => return Stage::Head(Some(Box::new(response))),
            Room::Gone => return Stage::Done,
        }
        let (mut parts, body) = response.into_parts();
        let tunnel = self.shared.borrow().opens_tunnel(self.id, parts.status);
        let end = self.bodiless || has_no_body(parts.status) || body.is_end_stream();
        if !end {
            say_length(&mut parts, &body);
        }
        say_date(&mut parts);
        self.shared
            .borrow_mut()
            .answer(self.id, parts.status, &parts.headers, end && !tunnel);
        // It may be reset, and room be made for it.
        self.shared.borrow_mut().patience.earn(2);
        if end || tunnel {
            Stage::Done
        } else {
            Stage::Body(body, Bytes::new())
        }
    }
}

impl<F, B> Future for Exchange<F, B>
where
    F: Future<Output = Response<B>> + Unpin,
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Whoever asked may have gone; then nothing more is done on their behalf.
        if !this.shared.borrow_mut().is_awaited(this.id, cx) {
            this.stage = Stage::Done;
        }
        loop {
            this.stage = match &mut this.stage {
                Stage::Answering(answer) => {
                    let response = ready!(Pin::new(answer).poll(cx));
                    this.answer(response, cx)
                }
                Stage::Head(response) => {
                    let Some(response) = response.take() else {
                        return Poll::Ready(());
                    };
                    this.answer(*response, cx)
                }
                Stage::Body(body, rest) => {
                    ready!(poll_body(&this.shared, this.id, body, rest, cx));
                    Stage::Done
                }
                Stage::Done => return Poll::Ready(()),
            };
            if matches!(this.stage, Stage::Head(_)) {
                return Poll::Pending;
            }
        }
    }
}

impl<F, B> Drop for Exchange<F, B> {
    /// Whoever answers may have panicked; the client is not left waiting.
    fn drop(&mut self) {
        let mut state = self.shared.borrow_mut();
        if state.may_send(self.id) && !state.is_tunnel(self.id) {
            state.reset(self.id, ErrorCode::Internal);
        }
    }
}

/// Sends what there is of a body, and no more of it is taken before. Ready at its end.
fn poll_body<B>(
    shared: &Shared,
    id: u32,
    body: &mut B,
    rest: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    loop {
        while rest.is_empty() {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            // Not while a body is asked, which may be another half of this very stream.
            let mut state = shared.borrow_mut();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    *rest = data;
                    continue;
                }
                Some(Ok(Err(frame))) => match frame.into_trailers() {
                    Ok(trailers) => state.trailers(id, &trailers),
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    tracing::debug!(%error, "an answer broke off");
                    state.reset(id, ErrorCode::Internal);
                }
                None => state.data(id, b"", true),
            }
            return Poll::Ready(());
        }
        let whole = body.is_end_stream();
        let mut state = shared.borrow_mut();
        let room = match state.room_for_body(id, cx) {
            Room::Some(room) => room,
            Room::Wait => return Poll::Pending,
            Room::Gone => return Poll::Ready(()),
        };
        let now = rest.len().min(room);
        let end = whole && now == rest.len();
        state.data(id, &rest[..now], end);
        rest.advance(now);
        if end {
            return Poll::Ready(());
        }
        if state.others_wait() {
            state.had_its_turn(id);
            return Poll::Pending;
        }
    }
}

/// Whether an answer of this status never has a body (RFC 9110 6.4.1).
fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Says how long the body is, if that is known and nobody said it.
fn say_length(parts: &mut Parts, body: &impl Body) {
    if let Some(length) = body.size_hint().exact()
        && !parts.headers.contains_key(header::CONTENT_LENGTH)
    {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

/// Says when it was, if nobody did (RFC 9110 6.6.1).
fn say_date(parts: &mut Parts) {
    if !parts.headers.contains_key(header::DATE) {
        let now = httpdate::fmt_http_date(SystemTime::now());
        if let Ok(now) = HeaderValue::try_from(now) {
            parts.headers.insert(header::DATE, now);
        }
    }
}
