//! Why a request could not be carried.

use std::io;

use http::StatusCode;

use super::request::HeadError;

/// What came from an app was no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The connection broke.
    #[error("the connection to the app broke")]
    Connection(#[from] io::Error),
    /// It ended before the answer did.
    #[error("the app ended the connection early")]
    Ended,
    /// It is no HTTP/1.1, or its length is ambiguous.
    #[error("the app's answer is no HTTP/1.1, or of no certain length")]
    NotHttp,
    /// Its head or trailers are larger than any that are read.
    #[error("the head or the trailers of the app's answer are too large")]
    TooLarge,
}

/// A request could not be carried to an app, or its answer not back.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Nothing listens there.
    #[error("the app can't be reached")]
    Connect(#[source] io::Error),
    /// It did not accept the connection in time.
    #[error("the app did not accept a connection in time")]
    ConnectTimeout,
    /// The connection broke before an answer came, or what came was no HTTP.
    #[error("the app ended the connection before it answered, or did not speak HTTP")]
    Broken(#[source] AnswerError),
    /// The container ended meanwhile.
    #[error("the app was stopped before it answered")]
    Closed,
    /// The client's session ended meanwhile.
    #[error("the session ended before the app answered")]
    Ended,
    /// The app switched protocols wrongly.
    #[error("{0}")]
    Upgrade(&'static str),
    /// The client's handshake of a WebSocket has no key, or two.
    #[error("a WebSocket needs exactly one Sec-WebSocket-Key")]
    Handshake,
    /// Interim answers came without end.
    #[error("the app sent interim answers without end")]
    Informational,
    /// The client's head can't be carried.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The client's body ended early, or had trailers that it may not have.
    #[error("the request's body ended early, or its trailers may not be there")]
    Body,
}

impl ForwardError {
    /// Whose fault it is, as a status: the client's, or the app's.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Head(_) | Self::Handshake | Self::Body => StatusCode::BAD_REQUEST,
            Self::Ended => StatusCode::UNAUTHORIZED,
            Self::ConnectTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Connect(_)
            | Self::Broken(_)
            | Self::Closed
            | Self::Upgrade(_)
            | Self::Informational => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the app may be no more.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout | Self::Closed)
    }
}
