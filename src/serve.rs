//! Wires everything together: the one place that knows all the rooms.
//!
//! Imports all of them. The control plane (engine, starts, reaper, admin) runs on a runtime of
//! its own; each serving thread has a single-threaded runtime with its own listeners and
//! upstream connections, so that nothing on a request's way crosses threads.

mod faults;

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    runtime::{self, LocalOptions},
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin,
    config::{Config, UsageOf},
    doctor::Doctor,
    engine::Docker,
    front::{Front, Shared},
    listener::{self, Bound, Bounds, Door, Drain, Service},
    log,
    metrics::Metrics,
    reaper,
    scrape::{self, Scrape},
    session::{Revocations, Sessions},
    ssh::{Approvals, Ssh},
    state_dir,
    symptoms::Symptoms,
    workspace::{Instance, Workspaces},
};

pub use self::faults::{ServeError, check, lacks};

/// How long requests may take to end once we were told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The same for SSH: what is left is then told why it ends, within [`GRACE`].
const SSH_GRACE: Duration = Duration::from_secs(7);

/// Runs the proxy until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] if it can't start.
pub fn run(config: Config) -> Result<(), ServeError> {
    log::init(&config.log)?;
    let control = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()?;
    control.block_on(run_with(config))
}

async fn run_with(config: Config) -> Result<(), ServeError> {
    let stop = CancellationToken::new();
    state_dir::prepare(&config.state_dir).map_err(|source| ServeError::StateDir {
        path: config.state_dir.clone(),
        source,
    })?;
    let tls = config
        .tls
        .as_ref()
        .map(listener::server_config)
        .transpose()?;
    let config = Arc::new(config);
    // First of all, as it looks whether there was a cookie key before.
    let revocations = Revocations::load(&config.state_dir)?;
    let cookie_key = crate::session::cookie_key(&config.state_dir)?;
    let sessions = Arc::new(Sessions::new(&config.session, cookie_key, revocations)?);
    let symptoms = Arc::new(Symptoms::default());
    let socket = admin::socket_path(&config.state_dir);
    let admin_socket = admin::bind(&socket).map_err(|source| ServeError::Admin {
        path: socket.clone(),
        source,
    })?;
    let bound = bind(&config)?;
    let ssh_bound = bind_ssh(&config)?;
    let scraped = config.metrics.listen.iter().map(|addr| {
        let listen = |source| ServeError::Listen {
            addr: *addr,
            source,
        };
        std::net::TcpListener::bind(addr).map_err(listen)
    });
    let scraped: Vec<_> = scraped.collect::<Result<_, _>>()?;
    let metrics = Metrics::new(config.openable().map(str::to_owned));
    let rare = &metrics.rare;
    let engine = Docker::connect(&config.engine).await;
    let engine = engine.map_err(|source| ServeError::Engine {
        socket: config.engine.socket.clone(),
        source,
    })?;
    let engine = Arc::new(engine.counted(rare.clone()));
    let instance = Instance::load(&config.state_dir)?;
    let workspaces =
        Workspaces::open(engine, &config, instance, rare.clone(), stop.clone()).await?;

    let tasks = TaskTracker::new();
    tasks.spawn(reaper::run(workspaces.clone(), stop.clone()));
    let api = api(&config, &symptoms, &sessions, &workspaces);
    tasks.spawn(admin::serve(admin_socket, api.clone(), stop.clone()));
    let bounds = Bounds::new(&config.limits, config.listen.trusted_proxies.clone());
    // Of those who log in, so that the others find a place.
    let approvals = Approvals::new(config.ssh.unauthenticated.div_ceil(2));
    let shared = Arc::new(Shared {
        config,
        sessions,
        workspaces,
        approvals,
        api,
        symptoms,
        metrics,
        stop: stop.clone(),
    });
    serve_ssh(&shared, ssh_bound, &tasks)?;
    be_scraped(scraped, &shared, &tasks, &stop);
    let (sessions, until) = (Arc::clone(&shared.sessions), stop.clone());
    tasks.spawn(async move { sessions.run(until).await });
    let mut threads = Vec::new();
    for (number, listeners) in bound.into_iter().enumerate() {
        let (shared, bounds, stop) = (Arc::clone(&shared), Arc::clone(&bounds), stop.clone());
        let tls = tls.clone().map(TlsAcceptor::from);
        let thread = thread::Builder::new().name(format!("serve-{number}"));
        threads.push(thread.spawn(move || serve(listeners, shared, tls, bounds, stop))?);
    }
    tracing::info!(
        origin = shared.config.site.origin,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );

    told_to_stop().await?;
    tracing::info!(
        "stopping: no new connections, {} s for what is under way",
        GRACE.as_secs()
    );
    stop.cancel();
    let joined = tokio::task::spawn_blocking(move || {
        threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .count()
    });
    if joined.await.is_ok_and(|panicked| panicked > 0) {
        tracing::error!("a serving thread had panicked");
    }
    tasks.close();
    // Starts under way belong to the engine by now; whatever is left is found at the next start.
    let _ = timeout(GRACE, tasks.wait()).await;
    // Best effort: a stale socket is replaced at the next start anyway.
    let _ = std::fs::remove_file(socket);
    Ok(())
}

/// Waits for SIGTERM or SIGINT. SIGHUP, by which others are told to read their files again, cuts
/// nobody off; but a proxy that was started at a terminal ends with it.
async fn told_to_stop() -> io::Result<()> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut hangup = signal(SignalKind::hangup())?;
    let at_terminal = io::stderr().is_terminal();
    loop {
        // Each is cancel-safe.
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hangup.recv() => {
                if at_terminal {
                    return Ok(());
                }
                tracing::warn!("SIGHUP changes nothing: the configuration is read at the start");
            }
        }
    }
}

/// Opens the second door, if there is one.
fn serve_ssh(
    shared: &Shared,
    listeners: Vec<std::net::TcpListener>,
    tasks: &TaskTracker,
) -> Result<(), ServeError> {
    if listeners.is_empty() {
        return Ok(());
    }
    let ssh = Ssh::new(
        &shared.config,
        Arc::clone(&shared.sessions),
        shared.workspaces.clone(),
        Arc::clone(&shared.approvals),
    )?;
    for listener in listeners {
        let serve = Arc::clone(&ssh).serve(listener, shared.stop.clone(), SSH_GRACE);
        tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "an SSH listener failed");
            }
        });
    }
    Ok(())
}

/// What operators may ask for, at both doors.
fn api(
    config: &Arc<Config>,
    symptoms: &Arc<Symptoms>,
    sessions: &Arc<Sessions>,
    workspaces: &Workspaces,
) -> admin::Api {
    let doctor = Doctor::new(config.clone(), symptoms.clone(), sessions.clone());
    admin::Api::new(config.clone(), sessions.clone(), workspaces.clone(), doctor)
}

/// Answers Prometheus on its listeners, if there are any.
fn be_scraped(
    listeners: Vec<std::net::TcpListener>,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    if listeners.is_empty() {
        return;
    }
    if shared.config.metrics.usage != UsageOf::Nobody {
        tasks.spawn(shared.workspaces.clone().measure_all(stop.clone()));
    }
    let scrape = Scrape::new(Arc::clone(shared));
    for listener in listeners {
        tasks.spawn(scrape::serve(listener, Arc::clone(&scrape), stop.clone()));
    }
}

/// One serving thread, from its listeners to the end of its last connection.
fn serve(
    listeners: Vec<Bound>,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    bounds: Arc<Bounds>,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let connections = TaskTracker::new();
    runtime.block_on(async move {
        let meter = shared.metrics.meter();
        let service = Rc::new(Service {
            handler: Rc::new(Front::new(shared, Arc::clone(&meter), connections.clone())),
            meter,
            tls,
            bounds,
            drain: Drain::default(),
            connections: connections.clone(),
        });
        for bound in listeners {
            let service = Rc::clone(&service);
            connections.spawn_local(async move {
                if let Err(error) = listener::accept(bound, service).await {
                    tracing::error!(%error, "a listener failed");
                }
            });
        }
        stop.cancelled().await;
        service.drain.begin();
        connections.close();
        if timeout(GRACE, connections.wait()).await.is_err() {
            tracing::info!(
                cut = connections.len(),
                "connections cut at the end of the grace time"
            );
        }
    });
    Ok(())
}

/// Binds every address once for each serving thread; a port left to the system is chosen once.
fn bind(config: &Config) -> Result<Vec<Vec<Bound>>, ServeError> {
    let listen = &config.listen;
    let doors = [
        (&listen.https, Door::Https),
        (&listen.http, Door::Redirect),
        (&listen.plain, Door::Plain),
    ];
    let mut threads: Vec<Vec<Bound>> = (0..listen.threads).map(|_| Vec::new()).collect();
    for (addrs, door) in doors {
        for addr in addrs {
            let mut addr = *addr;
            Bound::is_free(addr).map_err(|source| ServeError::Listen { addr, source })?;
            for thread in &mut threads {
                let listen = |source| ServeError::Listen { addr, source };
                let bound = Bound::new(addr, door).map_err(listen)?;
                addr = bound.addr().map_err(listen)?;
                thread.push(bound);
            }
            tracing::info!(%addr, ?door, "listening");
        }
    }
    Ok(threads)
}

/// Binds the SSH listeners.
fn bind_ssh(config: &Config) -> Result<Vec<std::net::TcpListener>, ServeError> {
    let bind = |addr: &SocketAddr| {
        let listen = |source| ServeError::Listen {
            addr: *addr,
            source,
        };
        let listener = std::net::TcpListener::bind(addr).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        tracing::info!(%addr, door = "Ssh", "listening");
        Ok(listener)
    };
    config.ssh.listen.iter().map(bind).collect()
}
