//! Accepts connections: TLS, HTTP/1.1 and HTTP/2, bounds, and who is on the other side.
//!
//! Imports `config`, `http2`, `incoming`, `metrics`, `places` and `tcp`. Promise: the accept loop never
//! waits for a client; every connection has a bound on its handshake, its heads and its number; a
//! stop lets requests end in time.

mod ahead;
mod bounds;
mod drain;
mod patient;
mod through;
mod tls;
mod witness;

use std::{
    convert::Infallible, future::poll_fn, io, net::SocketAddr, pin::pin, rc::Rc, sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::{body, server::conn, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConnection};
use tokio_util::task::TaskTracker;

use self::{ahead::Ahead, patient::Patient, witness::Witnessed};
use crate::{
    http2::{self, Received},
    incoming::Incoming,
    metrics::{Meter, Metered},
    tcp,
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
        + Unpin
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
    let answer = service_fn(|mut request: Request<body::Incoming>| {
        witness.restore(request.headers_mut());
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let request = request.map(|body| Incoming::Http1(body, upgrade));
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
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    service: &Service<H>,
) -> Result<(), BoxError> {
    let shared = Rc::new((Rc::clone(&service.handler), H::Connection::default()));
    let answer = |request: Request<Received>| {
        let shared = Rc::clone(&shared);
        async move {
            let (handler, known) = &*shared;
            let request = request.map(Incoming::Http2);
            handler.handle(peer, known, request).await
        }
    };
    let mut drain = service.drain.watch();
    http2::serve(stream, answer, |cx| drain.just_begun(cx)).await?;
    Ok(())
}
