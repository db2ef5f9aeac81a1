//! What stands behind a request's head, over HTTP/1.1 as over HTTP/2: a body, or a stream that is
//! taken up as something else.
//!
//! Imports `http2`.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    body::{self, Body, Frame, SizeHint},
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use tokio_util::either::Either;

use crate::http2::{Fault, Received, Tunnel};

/// What a client sends behind a request's head. Whoever drops it wants no more of it.
pub enum Incoming {
    /// Over HTTP/1.1, and what becomes of the connection if it is upgraded.
    Http1(body::Incoming, Option<OnUpgrade>),
    /// Over HTTP/2.
    Http2(Received),
}

/// Something broke off on the client's side.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// Its connection did.
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    /// Its stream did.
    #[error(transparent)]
    Http2(#[from] Fault),
    /// It asked for no upgrade.
    #[error("the request asked for no other protocol")]
    Unasked,
}

impl Incoming {
    /// Waits until an answer that agrees to another protocol was sent, and takes the stream up.
    ///
    /// # Errors
    /// [`IncomingError`].
    pub async fn take_up(self) -> Result<Upgraded, IncomingError> {
        match self {
            Self::Http1(_, upgrade) => {
                let upgraded = upgrade.ok_or(IncomingError::Unasked)?.await?;
                Ok(Upgraded::Left(TokioIo::new(upgraded)))
            }
            Self::Http2(received) => Ok(Upgraded::Right(received.take_up().await?)),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = IncomingError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncomingError>>> {
        match self.get_mut() {
            Self::Http1(body, _) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Self::Http2(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body, _) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body, _) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// A client's stream that carries another protocol now: all of its connection, or one stream of it.
pub type Upgraded = Either<TokioIo<upgrade::Upgraded>, Tunnel>;
