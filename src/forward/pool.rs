//! Connections to apps, kept for the next request. One pool for each thread: no lock, and no
//! connection ever crosses threads.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{ForwardError, upload::RequestBody};

/// Longest an app may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept idle: less than the 5 s after which Node.js closes one
/// (Node.js documentation, `server.keepAliveTimeout`), so that we are the first.
const IDLE: Duration = Duration::from_secs(4);
/// Most idle connections to one app: a page's worth.
const IDLE_PER_APP: usize = 32;
/// Most fields in an answer's head.
const HEAD_FIELDS: usize = 100;
/// How long until a peer that answers nothing counts as gone.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// Which app a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    container: Arc<str>,
    addr: SocketAddr,
}

impl Key {
    pub fn new(container: &Arc<str>, addr: SocketAddr) -> Self {
        Self {
            container: Arc::clone(container),
            addr,
        }
    }
}

/// A connection taken out of the pool, or a new one.
pub struct Connection {
    pub sender: SendRequest<RequestBody>,
    key: Key,
    /// Where it returns to, once its answer has ended.
    pub pool: Option<Pool>,
}

/// The idle connections of one thread; a clone is another handle of the same.
#[derive(Clone, Default)]
pub struct Pool(Rc<Idle>);

#[derive(Default)]
struct Idle {
    by_app: RefCell<HashMap<Key, Vec<Kept>>>,
    swept: Cell<Option<Instant>>,
}

/// Since when a connection has been idle, and the connection.
type Kept = (Instant, SendRequest<RequestBody>);

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connection that was used last and still is one.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut idle = self.0.by_app.borrow_mut();
        let kept = idle.get_mut(key)?;
        while let Some((since, sender)) = kept.pop() {
            if since.elapsed() >= IDLE {
                // All that are left have waited longer.
                kept.clear();
            } else if sender.is_ready() {
                let key = key.clone();
                return Some(Connection {
                    sender,
                    key,
                    pool: None,
                });
            }
        }
        None
    }

    fn put(&self, key: Key, sender: SendRequest<RequestBody>) {
        let now = Instant::now();
        let mut idle = self.0.by_app.borrow_mut();
        let kept = idle.entry(key).or_default();
        if kept.len() < IDLE_PER_APP {
            kept.push((now, sender));
        }
        // Apps that nobody asks for any more would otherwise be remembered for ever.
        if self.0.swept.get().is_none_or(|swept| now - swept >= IDLE) {
            self.0.swept.set(Some(now));
            idle.retain(|_, kept| {
                kept.retain(|(since, sender)| now - *since < IDLE && !sender.is_closed());
                !kept.is_empty()
            });
        }
    }
}

impl Connection {
    /// Connects to an app; the connection ends with `closed` at the latest.
    pub(super) async fn open(key: Key, closed: &CancellationToken) -> Result<Self, ForwardError> {
        let stream = connect(key.addr).await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(HEAD_FIELDS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ForwardError::Broken)?;
        let closed = closed.clone();
        tokio::task::spawn_local(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to an app ended");
                },
                () = closed.cancelled() => {}
            }
        });
        Ok(Self {
            sender,
            key,
            pool: None,
        })
    }

    /// Keeps the connection for the next request; its answer has ended.
    pub(super) fn keep(self) {
        if let Some(pool) = &self.pool
            && !self.sender.is_closed()
        {
            pool.put(self.key, self.sender);
        }
    }
}

/// Connects to an app, with the settings that both requests and tunnels want.
pub(super) async fn connect(addr: SocketAddr) -> Result<TcpStream, ForwardError> {
    let stream = match timeout(CONNECT, TcpStream::connect(addr)).await {
        Ok(connected) => connected.and_then(tune).map_err(ForwardError::Connect)?,
        Err(_) => return Err(ForwardError::ConnectTimeout),
    };
    Ok(stream)
}

fn tune(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    socket.set_tcp_user_timeout(Some(KEEP_ALIVE))?;
    Ok(stream)
}
