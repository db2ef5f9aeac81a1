//! Who logs in over a connection, and how: by a key, a token or a click in the browser.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use russh::{
    keys::PublicKey,
    server::{Auth, Response},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    Ssh,
    approval::{self, Ask},
    authorized::Permits,
    client::{Client, Login},
};
use crate::{names::Username, session::Claims};

/// What hears of a connection's login.
pub struct Entrance {
    client: oneshot::Receiver<Arc<Client>>,
    name: Arc<Mutex<String>>,
    deadline: watch::Receiver<Instant>,
}

impl Entrance {
    /// Waits for the login, until its time is over.
    pub async fn logged_in(&mut self) -> Option<Arc<Client>> {
        loop {
            let deadline = *self.deadline.borrow_and_update();
            tokio::select! {
                client = &mut self.client => return client.ok(),
                () = sleep_until(deadline) => return None,
                // A terminal that waits for a click has more time.
                Ok(()) = self.deadline.changed() => {}
            }
        }
    }

    /// The name that was tried last.
    pub fn name(&self) -> String {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        name.clone()
    }
}

/// Somebody who has not logged in yet.
pub struct Guest {
    ssh: Arc<Ssh>,
    addr: IpAddr,
    proven: Option<(Claims, Login, Permits)>,
    told: Option<oneshot::Sender<Arc<Client>>>,
    name: Arc<Mutex<String>>,
    deadline: watch::Sender<Instant>,
    asked: Option<Ask>,
}

impl Guest {
    /// One who has until `deadline`, and what hears of the login.
    pub fn new(ssh: Arc<Ssh>, addr: IpAddr, deadline: Instant) -> (Self, Entrance) {
        let (told, client) = oneshot::channel();
        let (sender, deadline) = watch::channel(deadline);
        let name = Arc::<Mutex<String>>::default();
        let guest = Self {
            ssh,
            addr,
            proven: None,
            told: Some(told),
            name: Arc::clone(&name),
            deadline: sender,
            asked: None,
        };
        let entrance = Entrance {
            client,
            name,
            deadline,
        };
        (guest, entrance)
    }

    /// Who it is, once it was proven.
    pub fn proven(&mut self) -> Option<(Claims, Login, Permits)> {
        self.proven.take()
    }

    /// The client is in.
    pub fn enters(&mut self, client: Arc<Client>) {
        if let Some(told) = self.told.take() {
            let _ = told.send(client);
        }
    }

    /// A key is offered, and not proven.
    pub async fn offers(&self, user: &str, key: &PublicKey) -> Auth {
        match self.find(user, key).await {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        }
    }

    /// A key was proven.
    pub async fn key(&mut self, user: &str, key: &PublicKey) -> Auth {
        let Some((user, permits)) = self.find(user, key).await else {
            return Auth::reject();
        };
        let claims = self.ssh.sessions.ssh_session(&user, None);
        self.proven = Some((claims, Login::Key(key.clone()), permits));
        Auth::Accept
    }

    /// A token came as the password.
    pub fn password(&mut self, user: &str, password: &str) -> Auth {
        self.tried(user);
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

    /// Asks for a click in the browser, or waits for it.
    pub async fn approval(&mut self, user: &str, response: Option<Response<'_>>) -> Auth {
        if !self.ssh.config.approval {
            return Auth::reject();
        }
        self.tried(user);
        if response.is_none() {
            return self.ask(user);
        }
        let Some(mut asked) = self.asked.take() else {
            return Auth::reject();
        };
        match (Username::parse(user), asked.answered().await) {
            (Ok(user), Some(session)) => {
                let claims = self.ssh.sessions.ssh_session(&user, Some(session));
                self.proven = Some((claims, Login::Approval, Permits::ALL));
                Auth::Accept
            }
            _ => Auth::reject(),
        }
    }

    fn ask(&mut self, user: &str) -> Auth {
        self.asked = self.ssh.approvals.ask(user, self.addr);
        let Some(asked) = &self.asked else {
            return Auth::reject();
        };
        self.deadline
            .send_replace(Instant::now() + approval::PATIENCE + approval::SLACK);
        let link = format!("{}/_vestibule/ssh/{}", self.ssh.origin, asked.code);
        Auth::Partial {
            name: "".into(),
            instructions: format!("To log in, open this link and allow it:\n\n  {link}\n").into(),
            // Nothing is asked, so the client answers at once, and we can wait.
            prompts: (&[][..]).into(),
        }
    }

    /// What a key may do here, if it may log in. A name that nobody can have takes the same way.
    async fn find(&self, user: &str, key: &PublicKey) -> Option<(Username, Permits)> {
        self.tried(user);
        let user = Username::parse(user).ok()?;
        let found = self.ssh.keys.find(&user, key, self.addr).await;
        Some((user, found.ok()??))
    }

    fn tried(&self, user: &str) {
        let short: String = user.chars().take(80).collect();
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = short;
    }
}
