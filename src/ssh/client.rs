//! Somebody who has logged in: what they may do, and the one helper of their connection.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use russh::{keys::PublicKey, server::Handle};
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, watch},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Ended, Ssh, audit::Refusals, authorized::Permits, inbox::Inbox, keys::Unanswered, pace::Pace,
    store::Account,
};
use crate::{
    names::Username,
    places::Place,
    session::Claims,
    shell::{Shell, ShellError},
    workspace::{Cause, Entering, Kind, Mover, OpenChannel},
};

/// How many re-checks of a key in a row may have no answer before that is one: a web application
/// that restarts is no reason to end everybody's work.
const PATIENCE: u32 = 5;

/// How somebody logged in.
#[derive(Clone, Debug)]
pub enum Login {
    /// With a key.
    Key(PublicKey),
    /// With a token as password.
    Token,
    /// By a click in a browser.
    Approval,
}

impl Login {
    /// A stable word for the audit log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Token => "token",
            Self::Approval => "approval",
        }
    }
}

/// A workspace can't be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] Cause),
    /// It runs, and nothing can be run in it.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

/// Somebody who has logged in, over one connection.
pub struct Client {
    /// Who it is.
    pub user: Username,
    /// Where from.
    pub peer: SocketAddr,
    /// Where to.
    pub local: SocketAddr,
    /// What they may do.
    pub permits: Permits,
    /// The connection.
    pub handle: Handle,
    /// All that runs for the connection.
    pub tasks: TaskTracker,
    /// Cancelled at its end.
    pub ended: CancellationToken,
    /// How it is read.
    pub pace: Arc<Pace>,
    /// What was refused to it.
    pub refusals: Refusals,
    /// The helper's socket of the client's agent, once the client offered one.
    agent: Mutex<Option<String>>,
    account: Account,
    claims: Claims,
    login: Login,
    _place: Place<Username>,
    ssh: Arc<Ssh>,
    shell: OnceCell<Arc<Shell>>,
    /// Cancelled once the helper is there.
    there: CancellationToken,
    progress: watch::Sender<Option<Entering>>,
    open: Arc<AtomicUsize>,
}

/// A channel or forwarded port of a connection; counted, and activity, until dropped.
pub struct Held {
    open: Arc<AtomicUsize>,
    /// One of its user's.
    _place: OwnedSemaphorePermit,
    activity: Option<Arc<OpenChannel>>,
}

impl Held {
    /// It is in the workspace from now on.
    pub fn inside(&mut self, client: &Client, shell: &Shell) -> Arc<OpenChannel> {
        let open = Arc::new(shell.inside.channel(client.addr()));
        self.activity = Some(Arc::clone(&open));
        open
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    /// Begins with who it is and how they proved it.
    pub fn new(
        ssh: Arc<Ssh>,
        (peer, local): (SocketAddr, SocketAddr),
        handle: Handle,
        pace: Arc<Pace>,
        ((claims, login, permits), held): ((Claims, Login, Permits), Place<Username>),
    ) -> Arc<Self> {
        Arc::new(Self {
            account: ssh.store.account(&claims.user, &pace),
            pace,
            user: claims.user.clone(),
            claims,
            peer,
            local,
            permits,
            handle,
            tasks: TaskTracker::new(),
            refusals: Refusals::default(),
            ended: CancellationToken::new(),
            agent: Mutex::new(None),
            login,
            _place: held,
            ssh,
            shell: OnceCell::new(),
            there: CancellationToken::new(),
            progress: watch::Sender::new(None),
            open: Arc::default(),
        })
    }

    /// The address it comes from.
    pub fn addr(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Names the session; it opens nothing.
    pub fn session(&self) -> &str {
        &self.claims.session
    }

    /// How they logged in.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// What the operator allows.
    pub fn config(&self) -> &crate::config::Ssh {
        &self.ssh.config
    }

    /// Takes a place for one more channel or forwarded port, if there is one.
    pub fn hold(&self) -> Option<Held> {
        let place = self.account.channel()?;
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.ssh.config.channels {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Held {
            _place: place,
            open: Arc::clone(&self.open),
            activity: None,
        })
    }

    /// Where what comes on a channel waits.
    pub fn inbox(&self) -> Inbox {
        Inbox::new(self.account.clone())
    }

    /// The agent can be reached at this socket in the container.
    pub fn offer_agent(&self, path: Option<String>) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    /// Where the agent can be reached, if the client offered one.
    pub fn agent_path(&self) -> Option<String> {
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent.clone()
    }

    /// How far the start of the workspace is, while somebody waits for it.
    pub fn progress(&self) -> watch::Receiver<Option<Entering>> {
        self.progress.subscribe()
    }

    /// The helper in the workspace; both are started if need be, once for all who wait.
    ///
    /// # Errors
    /// [`EnterError`]; the next call tries again.
    pub async fn shell(&self) -> Result<Arc<Shell>, EnterError> {
        let shell = self.shell.get_or_try_init(async || {
            let uid = self.claims.uid.as_deref();
            let by = Mover {
                kind: Kind::Ssh,
                app: None,
                client: Some(self.addr()),
            };
            let mut phase = self.ssh.workspaces.enter(&self.user, uid, &by);
            loop {
                let now = phase.borrow_and_update().clone();
                match now {
                    Entering::Ready(inside) => {
                        let shell = Shell::open(&self.ssh.workspaces, inside).await?;
                        return Ok::<_, EnterError>(Arc::new(shell));
                    }
                    Entering::Failed(failure) => return Err(failure.cause.clone().into()),
                    Entering::Queued { .. } | Entering::Working(_) => {
                        self.progress.send_replace(Some(now));
                    }
                }
                phase.changed().await.map_err(|_| Cause::GivenUp)?;
            }
        });
        let shell = shell.await.cloned();
        if shell.is_ok() {
            self.there.cancel();
        }
        shell
    }

    /// Runs something for the connection, which ends with it.
    pub fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = ended.cancelled() => {}
            }
        });
    }

    /// Waits until the connection must end, and says why.
    pub async fn must_end(&self) -> Ended {
        let mut recheck = interval(self.ssh.config.recheck);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.tick().await;
        let mut revocations = self.ssh.sessions.revocations();
        let mut unanswered = 0;
        loop {
            if self.ssh.sessions.is_revoked(&self.claims) {
                return Ended::Revoked;
            }
            // Looked at anew at each re-check: the clock on the wall may jump.
            let left = self.claims.expires.duration_since(SystemTime::now());
            let Ok(left) = left else {
                return Ended::Expired;
            };
            let running = self.shell.get();
            let gone = async {
                match running {
                    Some(shell) => tokio::select! {
                        () = shell.inside.closed.cancelled() => {}
                        () = shell.ended().cancelled() => {}
                    },
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = gone => return Ended::Stopped,
                // The sender lives as long as we.
                _ = revocations.changed() => continue,
                () = sleep(left) => continue,
                _ = recheck.tick() => {}
                () = self.there.cancelled(), if running.is_none() => continue,
            }
            if let Login::Key(key) = &self.login {
                let found = tokio::select! {
                    found = self.ssh.keys.find(&self.user, key, self.addr()) => found,
                    _ = revocations.changed() => continue,
                };
                match found {
                    Ok(Some(permits)) if permits == self.permits => unanswered = 0,
                    Err(Unanswered) if unanswered < PATIENCE => unanswered += 1,
                    _ => return Ended::Key,
                }
            }
        }
    }

    /// Ends whatever runs for the connection.
    pub fn end(&self) {
        self.ended.cancel();
        self.tasks.close();
    }
}
