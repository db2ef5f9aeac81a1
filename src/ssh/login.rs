//! Who logs in over a connection, and how: by a key, a token or a click in the browser.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    keys::{Algorithm, PublicKey},
    server::{Auth, Response},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    Ssh,
    algorithms::is_strong,
    approval::Ask,
    authorized::Permits,
    client::{Client, Login},
    limits::Full,
};
use crate::{names::Username, session::Claims};

/// How long a client may take to log in.
pub const LOGIN: Duration = Duration::from_secs(30);
/// How much longer while its user is awaited in the browser.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often one connection may ask for a click; OpenSSH does three times.
const ASKS: usize = 3;

/// How a connection's login went.
pub enum Came {
    /// Somebody is in.
    In(Arc<Client>),
    /// Somebody would be, and has too many connections.
    OneTooMany(Full),
    /// Nobody is, and the time for it is over.
    Late,
    /// The client has gone.
    Left,
}

/// What hears of a connection's login. Once it is dropped, nobody gets in any more.
pub struct Entrance {
    client: oneshot::Receiver<Result<Arc<Client>, Full>>,
    name: Arc<Mutex<Option<String>>>,
    awaited: watch::Receiver<bool>,
    began: Instant,
}

impl Entrance {
    /// Waits for the login, until its time is over. No try makes that later, however often.
    pub async fn logged_in(&mut self) -> Came {
        loop {
            let awaited = *self.awaited.borrow_and_update();
            let more = if awaited { PATIENCE } else { Duration::ZERO };
            tokio::select! {
                biased;
                client = &mut self.client => return match client {
                    Ok(Ok(client)) => Came::In(client),
                    Ok(Err(full)) => Came::OneTooMany(full),
                    Err(_) => Came::Left,
                },
                () = sleep_until(self.began + LOGIN + more) => return Came::Late,
                Ok(()) = self.awaited.changed() => {}
            }
        }
    }

    /// The name that was tried last, if anybody tried to log in.
    pub fn tried(&self) -> Option<String> {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        name.clone()
    }
}

/// Somebody who has not logged in yet.
pub struct Guest {
    ssh: Arc<Ssh>,
    addr: IpAddr,
    proven: Option<(Claims, Login, Permits)>,
    told: Option<oneshot::Sender<Result<Arc<Client>, Full>>>,
    name: Arc<Mutex<Option<String>>>,
    /// Whether a click is.
    awaited: watch::Sender<bool>,
    asked: Option<Ask>,
    asks: usize,
}

impl Guest {
    /// One who begins to log in, and what hears of it.
    pub fn new(ssh: Arc<Ssh>, addr: IpAddr) -> (Self, Entrance) {
        let (told, client) = oneshot::channel();
        let (sender, awaited) = watch::channel(false);
        let name = Arc::<Mutex<Option<String>>>::default();
        let guest = Self {
            ssh,
            addr,
            proven: None,
            told: Some(told),
            name: Arc::clone(&name),
            awaited: sender,
            asked: None,
            asks: 0,
        };
        let entrance = Entrance {
            client,
            name,
            awaited,
            began: Instant::now(),
        };
        (guest, entrance)
    }

    /// Who it is, once it was proven.
    pub fn proven(&mut self) -> Option<(Claims, Login, Permits)> {
        self.proven.take()
    }

    /// The client is in, or is one too many; says whether anybody still waits for it.
    pub fn enters(&mut self, client: Result<Arc<Client>, Full>) -> bool {
        let told = self.told.take();
        told.is_some_and(|told| told.send(client).is_ok())
    }

    /// A key is offered, and not proven.
    pub async fn offers(&mut self, user: &str, key: &PublicKey, signed: &Algorithm) -> Auth {
        match self.find(user, key, signed).await {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        }
    }

    /// A key was proven.
    pub async fn key(&mut self, user: &str, key: &PublicKey, signed: &Algorithm) -> Auth {
        let Some((user, permits)) = self.find(user, key, signed).await else {
            return Auth::reject();
        };
        let claims = self.ssh.sessions.ssh_session(&user);
        self.proven = Some((claims, Login::Key(key.clone()), permits));
        Auth::Accept
    }

    /// A token came as the password.
    pub fn password(&mut self, user: &str, password: &str) -> Auth {
        self.tries(user);
        match self.ssh.sessions.ssh(password) {
            Ok(claims) if claims.user.as_str() == user => {
                self.proven = Some((claims, Login::Token, Permits::ALL));
                Auth::Accept
            }
            // The same ways are open as before.
            _ => Auth::Reject {
                proceed_with_methods: Some(self.ssh.server.methods.clone()),
                partial_success: false,
            },
        }
    }

    /// Asks for a click in the browser, or waits for it: until it comes or the connection ends,
    /// since russh reads nothing meanwhile.
    pub async fn approval(&mut self, user: &str, response: Option<Response<'_>>) -> Auth {
        self.is_called(user);
        let auth = match response {
            None => self.ask(user),
            Some(_) => self.answered().await,
        };
        auth.unwrap_or_else(|| {
            self.awaits_none();
            Auth::reject()
        })
    }

    fn ask(&mut self, user: &str) -> Option<Auth> {
        self.asks += 1;
        if self.asks > ASKS || !self.ssh.config.approval {
            return None;
        }
        let asked = self.ssh.approvals.ask(user, self.addr)?;
        let link = format!("{}/_vestibule/ssh/{}", self.ssh.origin, asked.code);
        self.asked = Some(asked);
        self.awaited.send_replace(true);
        Some(Auth::Partial {
            name: "".into(),
            instructions: format!(
                "To log in, open this link and allow it:\n\n  {link}\n\n\
                 (To give a password instead: ssh -o PreferredAuthentications=password ...)\n"
            )
            .into(),
            // Nothing is asked, so the client answers at once, and we can wait.
            prompts: (&[][..]).into(),
        })
    }

    async fn answered(&mut self) -> Option<Auth> {
        let (asked, told) = (self.asked.as_mut()?, self.told.as_mut()?);
        let claims = tokio::select! {
            claims = asked.answered() => claims,
            () = told.closed() => None,
        };
        self.proven = Some((claims?, Login::Approval, Permits::ALL));
        Some(Auth::Accept)
    }

    /// What a key may do here, if it may log in by such a signature. A name that nobody can have
    /// takes the same way.
    async fn find(
        &mut self,
        user: &str,
        key: &PublicKey,
        signed: &Algorithm,
    ) -> Option<(Username, Permits)> {
        self.tries(user);
        if !is_strong(key, signed) {
            return None;
        }
        let user = Username::parse(user).ok()?;
        let found = self.ssh.keys.find(&user, key, self.addr).await;
        Some((user, found.ok()??))
    }

    /// A try begins that waits for no click.
    fn tries(&mut self, user: &str) {
        self.is_called(user);
        self.awaits_none();
    }

    fn is_called(&self, user: &str) {
        let short = user.chars().take(80).collect();
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = Some(short);
    }

    fn awaits_none(&mut self) {
        self.asked = None;
        self.awaited.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_to_log_in_has_one_end_and_a_click_another_one_however_often_it_is_asked_for()
    {
        let began = Instant::now();
        let (_told, client) = oneshot::channel();
        let (sender, awaited) = watch::channel(false);
        let mut entrance = Entrance {
            client,
            name: Arc::default(),
            awaited,
            began,
        };
        assert!(matches!(entrance.logged_in().await, Came::Late));
        assert_eq!(began.elapsed(), LOGIN);
        sender.send_replace(true);
        let asks = async {
            loop {
                sender.send_replace(true);
                tokio::time::sleep(Duration::from_secs(15)).await;
            }
        };
        tokio::select! {
            came = entrance.logged_in() => assert!(matches!(came, Came::Late)),
            () = asks => {}
        }
        assert_eq!(began.elapsed(), LOGIN + PATIENCE);
        sender.send_replace(false);
        assert!(matches!(entrance.logged_in().await, Came::Late));
        assert_eq!(began.elapsed(), LOGIN + PATIENCE);
    }
}
