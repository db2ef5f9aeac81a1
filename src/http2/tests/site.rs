//! The site behind the server under test: what it answers depends on the path.
use std::cell::Cell;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};

use tokio::time::sleep;

use super::Received;

pub type Content = Pin<Box<dyn Body<Data = Bytes, Error = io::Error>>>;

/// `/never` doesn't answer, `/count` tells how long a body is, `/echo` sends it back with its
/// trailers, `/big` is 5 MiB, `/end` is empty and `/fault` breaks
/// off after a second. All else is greeted without
/// a look at its body.
pub async fn site(request: Request<Received>) -> Response<Content> {
    match request.uri().path() {
        "/never" => pending().await,
        "/count" => {
            let body = request.into_body().collect().await;
            body.map_or_else(
                |_| status(400),
                |body| say(&body.to_bytes().len().to_string()),
            )
        }
        "/echo" => {
            let fault = |_| io::Error::other("the request's body failed");
            Response::new(Box::pin(request.into_body().map_err(fault)))
        }
        "/big" => stream_of(stream::iter((0..320).map(|_| Ok(piece(16_384))))),
        "/end" => say(""),
        "/fault" => {
            let first = stream::iter([Ok(piece(5))]);
            stream_of(first.chain(stream::once(async {
                sleep(Duration::from_secs(1)).await;
                Err(io::Error::other("broken off"))
            })))
        }
        _ => say("hello"),
    }
}

/// As `site`, and with a guard that is dropped with the handler or with its answer: `/slow` has
/// begun one and waits, `/endless` goes on for ever.
pub async fn guarded(request: Request<Received>, guard: AtDrop) -> Response<Content> {
    match request.uri().path() {
        "/slow" => {
            let rest = stream::once(async move {
                let _guard = guard;
                pending().await
            });
            stream_of(stream::iter([Ok(piece(5))]).chain(rest))
        }
        "/endless" => stream_of(stream::repeat_with(move || {
            let _ = &guard;
            Ok(piece(10_000))
        })),
        _ => {
            let _guard = guard;
            site(request).await
        }
    }
}

pub fn say(text: &str) -> Response<Content> {
    let body = Full::new(Bytes::from(text.to_owned()));
    Response::new(Box::pin(body.map_err(|never| match never {})))
}

pub fn status(code: u16) -> Response<Content> {
    let mut answer = say("");
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

pub fn piece(count: usize) -> Frame<Bytes> {
    Frame::data(Bytes::from(vec![b'd'; count]))
}

pub fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let value = http::HeaderValue::from_static(value);
    let mut fields = HeaderMap::new();
    fields.insert(http::HeaderName::from_static(name), value);
    Frame::trailers(fields)
}

pub fn stream_of(
    pieces: impl Stream<Item = io::Result<Frame<Bytes>>> + 'static,
) -> Response<Content> {
    Response::new(Box::pin(StreamBody::new(Box::pin(pieces))))
}

/// An answer without end, which counts the bytes that were taken of it.
pub fn endless(size: usize, taken: &Count) -> Response<Content> {
    let taken = taken.clone();
    stream_of(stream::repeat_with(move || {
        taken.add(size);
        Ok(piece(size))
    }))
}

/// A number that a test and its site share.
#[derive(Clone, Default)]
pub struct Count(Rc<Cell<usize>>);

impl Count {
    pub fn add(&self, count: usize) {
        self.0.set(self.0.get() + count);
    }

    pub fn get(&self) -> usize {
        self.0.get()
    }

    /// Counts one when it is dropped.
    pub fn at_drop(&self) -> AtDrop {
        AtDrop(self.clone())
    }
}

pub struct AtDrop(Count);

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.0.add(1);
    }
}
