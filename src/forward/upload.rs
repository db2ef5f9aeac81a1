//! The client's body on its way to the app, and what becomes known of the request meanwhile.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    ext::on_informational,
};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{ForwardError, fields::allowed_trailer};

/// How long a client that asked waits for the app's leave to send its body; an app that knows
/// nothing of this gives none (RFC 9110 10.1.1).
const LEAVE: Duration = Duration::from_secs(1);
/// How long a client is listened to whose body nobody wants.
const LINGER: Duration = Duration::from_secs(5);
/// Most interim answers to one request.
const MOST_INTERIM: usize = 100;

/// A body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection it came by broke.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// Its container was stopped.
    #[error("the app was stopped")]
    Closed,
    /// The client's session ended.
    #[error("the session ended")]
    Ended,
    /// A trailer that only a head may hold.
    #[error("a trailer that may not be one")]
    Trailer,
}

/// The client's body on its way to the app.
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// Whether the client must be listened to although nobody wants the rest.
    linger: bool,
    watch: Option<Arc<Watch>>,
    patience: Option<Pin<Box<Sleep>>>,
}

/// What becomes known of a request while it is under way.
pub(super) struct Watch {
    /// Whether the body may be sent.
    leave: AtomicBool,
    waker: Mutex<Option<Waker>>,
    interim: AtomicUsize,
    too_many: CancellationToken,
    /// Whether the client's side of the body went wrong.
    body_failed: AtomicBool,
}

impl RequestBody {
    /// A body that waits for the app's leave if the client asked for that.
    pub(super) fn new(
        incoming: Incoming,
        version: Version,
        headers: &HeaderMap,
    ) -> (Self, Arc<Watch>) {
        let asks = headers.get(header::EXPECT);
        let asks = asks.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let watch = Arc::new(Watch {
            leave: AtomicBool::new(!asks),
            waker: Mutex::default(),
            interim: AtomicUsize::new(0),
            too_many: CancellationToken::new(),
            body_failed: AtomicBool::new(false),
        });
        let body = Self {
            incoming: Some(incoming),
            // HTTP/2 can tell a client to stop; it needs no patience.
            linger: version < Version::HTTP_2,
            watch: Some(Arc::clone(&watch)),
            patience: asks.then(|| Box::pin(sleep(LEAVE))),
        };
        (body, watch)
    }

    pub(super) fn empty() -> Self {
        Self {
            incoming: None,
            linger: false,
            watch: None,
            patience: None,
        }
    }

    /// Waits until the app lets the client send, or for as long as is polite.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = &mut self.patience else {
            return Poll::Ready(());
        };
        if let Some(watch) = &self.watch {
            *watch.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            if !watch.leave.load(Ordering::Acquire) {
                ready!(patience.as_mut().poll(cx));
            }
        }
        self.patience = None;
        Poll::Ready(())
    }
}

impl Drop for RequestBody {
    /// An app may answer and want no more of the body. Were the connection closed with bytes
    /// unread, the client would be reset before it could read the answer (RFC 9112 9.6).
    fn drop(&mut self) {
        let rest = self
            .incoming
            .take()
            .filter(|rest| self.linger && !rest.is_end_stream());
        let Some(mut rest) = rest else { return };
        tokio::task::spawn_local(async move {
            let all = async { while let Some(Ok(_)) = rest.frame().await {} };
            // Who sends for longer has had time to read the answer.
            let _ = timeout(LINGER, all).await;
        });
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        ready!(self.poll_leave(cx));
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        let checked = frame.map(|frame| {
            let frame = frame?;
            let bad = frame
                .trailers_ref()
                .is_some_and(|all| !all.keys().all(allowed_trailer));
            if bad {
                Err(BodyError::Trailer)
            } else {
                Ok(frame)
            }
        });
        if let (Some(Err(_)), Some(watch)) = (&checked, &self.watch) {
            watch.body_failed.store(true, Ordering::Release);
        }
        Poll::Ready(checked)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Watch {
    /// Has `request` report the interim answers (1xx) it gets.
    pub fn informational(self: &Arc<Self>, request: &mut Request<RequestBody>) {
        let watch = Arc::clone(self);
        on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                watch.leave.store(true, Ordering::Release);
                let waker = watch
                    .waker
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                waker.into_iter().for_each(Waker::wake);
            }
            if watch.interim.fetch_add(1, Ordering::Relaxed) >= MOST_INTERIM {
                watch.too_many.cancel();
            }
        });
    }

    /// Waits for an answer, unless interim ones never end.
    pub async fn guard<T>(&self, answer: impl Future<Output = T>) -> Result<T, ForwardError> {
        tokio::select! {
            // An answer that came after too many is none either.
            biased;
            () = self.too_many.cancelled() => Err(ForwardError::Informational),
            answer = answer => Ok(answer),
        }
    }

    /// Whose fault it is that the exchange broke.
    pub fn explain(&self, error: hyper::Error) -> ForwardError {
        if self.body_failed.load(Ordering::Acquire) {
            ForwardError::Body
        } else {
            ForwardError::Broken(error)
        }
    }
}
