//! Accepts connections: TLS, HTTP/1.1 and HTTP/2, bounds, and who is on the other side.
//!
//! Imports `config`, `metrics`, `places` and `tcp`. Promise: the accept loop never waits for a client; every connection has
//! a bound on its handshake, its heads and its number; a stop lets requests end in time.

mod ahead;
mod bounds;
mod drain;
mod gather;
mod patient;
mod through;
mod tls;
mod witness;

use std::{
    cell::Cell, convert::Infallible, future::poll_fn, io, net::SocketAddr, pin::pin, rc::Rc,
    sync::Arc, task::Poll, time::Duration,
};

use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConnection};
use tokio_util::task::TaskTracker;

use self::{ahead::Ahead, gather::Gathered, patient::Patient, witness::Witnessed};
use crate::{
    metrics::{Meter, Metered},
    tcp::{self, SILENCE},
};
pub use bounds::Bounds;
use bounds::Place;
pub use drain::Drain;
pub use tls::{TlsError, server_config};

/// Longest a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest a request head may take from its first byte, or the next one to begin.
const HEAD: Duration = Duration::from_secs(10);
/// Largest request head in bytes, and most fields in one.
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_FIELDS: usize = 100;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// HTTP/2 receive windows in bytes: large enough that a far upload isn't held back, small
/// enough that 100 idle uploads on one connection stay within the connection's window.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// How much of each answer waits for an HTTP/2 client to take it, in bytes: that many, a hundred
/// times, is what one that takes nothing costs.
const SEND_BUFFER: usize = 32 * 1024;
/// How long an HTTP/2 connection is kept for further requests. What is open on it goes on.
const IDLE: Duration = Duration::from_mins(3);
/// How much of an answer may be encrypted ahead of what the socket takes, in bytes: a large one is
/// written in few calls. Only while there is something to write.
const TLS_BUFFER: usize = 256 * 1024;

/// Which kind of listener a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// TLS ends here.
    Https,
    /// No TLS, behind a trusted proxy.
    Plain,
    /// No TLS, answers with redirects alone.
    Redirect,
}

/// The other side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The address the connection came from; the client's own unless that is a trusted proxy.
    pub addr: SocketAddr,
    /// The listener it came in by.
    pub door: Door,
}

/// What answers requests. One for each thread, so it needs no lock.
pub trait Handler: 'static {
    /// The body of its answers.
    type Body: http_body_util::BodyExt<Data = bytes::Bytes, Error: std::error::Error + Send + Sync>
        + 'static;
    /// What is remembered of a connection from one request to the next.
    type Connection: Default + 'static;

    /// Answers one request. Failures are answers too.
    fn handle(
        &self,
        peer: Peer,
        connection: &Self::Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>>;
}

/// A bound socket that isn't accepting yet; every thread makes its own of the same address.
#[derive(Debug)]
pub struct Bound {
    socket: std::net::TcpListener,
    door: Door,
}

impl Bound {
    /// Binds `addr`, so that further threads may bind it as well (`SO_REUSEPORT`, socket(7)).
    ///
    /// # Errors
    /// What the system says: the address is in use, not ours, or needs more rights.
    pub fn new(addr: SocketAddr, door: Door) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_port(true)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        if addr.ip().is_loopback() {
            // The connections that it accepts inherit this.
            tcp::set_local_congestion(&SockRef::from(&socket));
        }
        socket.listen(4096)?;
        let socket = socket.into();
        Ok(Self { socket, door })
    }

    /// Finds out whether another server has `addr`: one that also shares its port would
    /// otherwise silently get half of our connections.
    ///
    /// # Errors
    /// `AddrInUse`, or what else the system says.
    pub fn is_free(addr: SocketAddr) -> io::Result<()> {
        std::net::TcpListener::bind(addr).map(drop)
    }

    /// The address it is bound to, with the port the system chose if none was asked for.
    ///
    /// # Errors
    /// What the system says.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// What all listeners of a thread share.
pub struct Service<H> {
    /// What answers.
    pub handler: Rc<H>,
    /// For [`Door::Https`].
    pub tls: Option<TlsAcceptor>,
    /// Counts connections and their bytes.
    pub meter: Arc<Meter>,
    /// How many connections there may be, over all threads.
    pub bounds: Arc<Bounds>,
    /// Begins when we should stop.
    pub drain: Drain,
    /// The connections of this thread.
    pub connections: TaskTracker,
}

/// Accepts from `bound` until the service is told to stop. Runs in a local runtime.
///
/// # Errors
/// If the socket can't be given to the runtime.
pub async fn accept<H: Handler>(bound: Bound, service: Rc<Service<H>>) -> io::Result<()> {
    let door = bound.door;
    let listener = TcpListener::from_std(bound.socket)?;
    loop {
        // Both branches are cancel-safe: `accept` loses no connection when dropped.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.drain.begun() => return Ok(()),
        };
        let (stream, addr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly out of file descriptors: a busy loop would only make it worse.
                tracing::warn!(%error, "could not accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = service.bounds.enter(addr.ip()) else {
            tracing::debug!(client.addr = %addr.ip(), "connection refused: too many");
            continue;
        };
        let peer = Peer { addr, door };
        let service = Rc::clone(&service);
        let connections = service.connections.clone();
        connections.spawn_local(async move {
            if let Err(error) = serve(stream, peer, place, &service).await {
                tracing::debug!(client.addr = %addr.ip(), ?error, "connection ended");
            }
        });
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn serve<H: Handler>(
    stream: TcpStream,
    peer: Peer,
    place: Place,
    service: &Service<H>,
) -> Result<(), BoxError> {
    tcp::tune(&stream)?;
    let stream = Metered::new(stream, &service.meter);
    let (Door::Https, Some(tls)) = (peer.door, &service.tls) else {
        return http1(stream, peer, place, service).await;
    };
    let stream = Ahead::new(stream);
    let large = |tls: &mut ServerConnection| tls.set_buffer_limit(Some(TLS_BUFFER));
    let stream = timeout(HANDSHAKE, tls.accept_with(stream, large)).await??;
    let over_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Patient::new(stream);
    if over_h2 {
        let served = http2(stream, peer, service).await;
        drop(place);
        served
    } else {
        http1(stream, peer, place, service).await
    }
}

async fn http1<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    place: Place,
    service: &Service<H>,
) -> Result<(), BoxError> {
    // A connection that became a tunnel keeps its place until that ends.
    let (stream, witness) = Witnessed::new(stream, place);
    let known = H::Connection::default();
    let answer = service_fn(|mut request: Request<Incoming>| {
        witness.restore(request.headers_mut());
        // An async block that waits for it would hold it twice.
        let answer = service.handler.handle(peer, &known, request);
        answer.map(Ok::<_, Infallible>)
    });
    let connection = conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut drain = service.drain.watch();
    poll_fn(|cx| {
        if drain.just_begun(cx) {
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx).map_err(Into::into)
    })
    .await
}

async fn http2<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: Peer,
    service: &Service<H>,
) -> Result<(), BoxError> {
    let asked = Rc::new(Cell::new(false));
    let was_asked = Rc::clone(&asked);
    let shared = Rc::new((Rc::clone(&service.handler), H::Connection::default()));
    let answer = service_fn(move |request| {
        asked.set(true);
        let shared = Rc::clone(&shared);
        // Boxed, since hyper and tokio move a stream's future about.
        Box::pin(async move {
            let (handler, known) = &*shared;
            Ok::<_, Infallible>(handler.handle(peer, known, request).await)
        })
    });
    let (stream, sender) = Gathered::new(stream);
    let connection = conn::http2::Builder::new(ThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES)?)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(HANDSHAKE)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let mut drain = service.drain.watch();
    let (mut last, mut leaves) = (None, false);
    let mut first = pin!(sleep(HEAD));
    poll_fn(move |cx| {
        // Whenever anything moves, which a PING of ours does every minute.
        let now = Instant::now();
        if was_asked.take() {
            last = Some(now);
        }
        // Before the first request, hyper may wait for the preface, and sends no PING.
        if last.is_none() && first.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let idle = last.is_some_and(|last| now - last > IDLE);
        if drain.just_begun(cx) || (idle && !leaves) {
            leaves = true;
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(cx);
        // Everything that was said in this turn, at once.
        match sender.poll_send(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        ended.map_err(Into::into)
    })
    .await
}

/// Spawns the streams of an HTTP/2 connection on the thread that owns it.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
