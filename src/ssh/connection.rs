//! The protocol's side of a connection: who logs in, and which channel is whose.
//!
//! Nothing here waits for the workspace: the loop that calls these would stand still with it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Pty, Sig,
    server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Ssh,
    approval::{self, Ask},
    authorized::Permits,
    client::{Client, Login},
    forward,
    inbox::Inbox,
    session::{Asked, Prepared, SessionChannel},
};
use crate::{
    names::Username,
    shell::{Place, Size, Terminal},
};

/// Most variables that a client may set for a program.
const VARIABLES: usize = 64;
/// Longest value of one.
const LONGEST_VALUE: usize = 4096;

/// One connection's handler.
pub struct Connection {
    ssh: Arc<Ssh>,
    addresses: (SocketAddr, SocketAddr),
    proven: Option<(Username, Login, Permits)>,
    client: Option<Arc<Client>>,
    told: Option<oneshot::Sender<Arc<Client>>>,
    name: Arc<Mutex<String>>,
    deadline: watch::Sender<Instant>,
    asked: Option<Ask>,
    channels: HashMap<ChannelId, Open>,
    listeners: HashMap<Place, CancellationToken>,
}

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

/// An open channel: where its bytes go, and its end.
struct Open {
    inbox: Arc<Inbox>,
    closed: CancellationToken,
    session: Option<SessionChannel>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.end();
        }
    }
}

impl Connection {
    /// A connection that has not logged in, and what hears of its login.
    pub fn new(
        ssh: Arc<Ssh>,
        addresses: (SocketAddr, SocketAddr),
        deadline: Instant,
    ) -> (Self, Entrance) {
        let (told, client) = oneshot::channel();
        let (sender, deadline) = watch::channel(deadline);
        let name = Arc::<Mutex<String>>::default();
        let connection = Self {
            ssh,
            addresses,
            proven: None,
            client: None,
            told: Some(told),
            name: Arc::clone(&name),
            deadline: sender,
            asked: None,
            channels: HashMap::new(),
            listeners: HashMap::new(),
        };
        let entrance = Entrance {
            client,
            name,
            deadline,
        };
        (connection, entrance)
    }

    fn tried(&self, user: &str) {
        let short: String = user.chars().take(80).collect();
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = short;
    }

    /// What a key may do here, if it may log in. A name that nobody can have takes the same way.
    async fn find(&self, user: &str, key: &russh::keys::PublicKey) -> Option<(Username, Permits)> {
        self.tried(user);
        let user = Username::parse(user).ok()?;
        let client = self.addresses.0.ip().to_canonical();
        let permits = self.ssh.keys.find(&user, key, client).await?;
        Some((user, permits))
    }

    /// A refusal after which the same ways are open as before.
    fn again(&self) -> Auth {
        Auth::Reject {
            proceed_with_methods: Some(self.ssh.server.methods.clone()),
            partial_success: false,
        }
    }

    fn client(&self) -> Result<&Arc<Client>, russh::Error> {
        self.client.as_ref().ok_or(russh::Error::NotAuthenticated)
    }

    /// Takes in a channel, whose bytes go to its inbox.
    fn open(
        &mut self,
        channel: &Channel<Msg>,
        session: Option<SessionChannel>,
    ) -> (Arc<Inbox>, CancellationToken) {
        let (inbox, closed) = (Arc::<Inbox>::default(), CancellationToken::new());
        let open = Open {
            inbox: Arc::clone(&inbox),
            closed: closed.clone(),
            session,
        };
        self.channels.insert(channel.id(), open);
        (inbox, closed)
    }

    fn session(&mut self, id: ChannelId) -> Option<&mut SessionChannel> {
        self.channels.get_mut(&id)?.session.as_mut()
    }

    /// Runs what was asked for on a channel, once.
    fn start(
        &mut self,
        id: ChannelId,
        asked: Asked,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let client = Arc::clone(self.client()?);
        let prepared = self.session(id).and_then(SessionChannel::take);
        let Some(prepared) = prepared else {
            return session.channel_failure(id);
        };
        if matches!(&asked, Asked::Subsystem(name) if name != "sftp") {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        client.spawn(prepared.run(Arc::clone(&client), asked));
        Ok(())
    }

    fn direct(
        &mut self,
        channel: Channel<Msg>,
        to: Place,
        reply: ChannelOpenHandle,
    ) -> Result<(), russh::Error> {
        let client = Arc::clone(self.client()?);
        let (inbox, closed) = self.open(&channel, None);
        let (_, writer) = channel.split();
        client.spawn(forward::direct(
            Arc::clone(&client),
            writer,
            (inbox, closed),
            to,
            reply,
        ));
        Ok(())
    }

    async fn listen(&mut self, place: Place) -> Result<Option<u16>, russh::Error> {
        let client = Arc::clone(self.client()?);
        match forward::listen(&client, &place).await {
            Some((port, stop)) => {
                let place = match place {
                    Place::Port(host, 0) => Place::Port(host, port),
                    place => place,
                };
                self.listeners.insert(place, stop);
                Ok(Some(port))
            }
            None => Ok(None),
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(match self.find(user, offer.public_key).await {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let Some((user, permits)) = self.find(user, key.public_key).await else {
            return Ok(Auth::reject());
        };
        self.proven = Some((user, Login::Key(key.public_key.clone()), permits));
        Ok(Auth::Accept)
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.tried(user);
        match self.ssh.sessions.ssh(password) {
            Ok(claims) if claims.user.as_str() == user => {
                self.proven = Some((claims.user.clone(), Login::Token, Permits::ALL));
                Ok(Auth::Accept)
            }
            _ => Ok(self.again()),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<russh::server::Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        if !self.ssh.config.approval {
            return Ok(Auth::reject());
        }
        self.tried(user);
        if response.is_none() {
            let client = self.addresses.0.ip().to_canonical();
            self.asked = self.ssh.approvals.ask(user, client);
            let Some(asked) = &self.asked else {
                return Ok(Auth::reject());
            };
            self.deadline
                .send_replace(Instant::now() + approval::PATIENCE + approval::SLACK);
            let link = format!("{}/_vestibule/ssh/{}", self.ssh.origin, asked.code);
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: format!("To log in, open this link and allow it:\n\n  {link}\n")
                    .into(),
                // Nothing is asked, so the client answers at once, and we can wait.
                prompts: (&[][..]).into(),
            });
        }
        let Some(mut asked) = self.asked.take() else {
            return Ok(Auth::reject());
        };
        let allowed = asked.answered().await;
        match Username::parse(user) {
            Ok(user) if allowed => {
                self.proven = Some((user, Login::Approval, Permits::ALL));
                Ok(Auth::Accept)
            }
            _ => Ok(Auth::reject()),
        }
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        let proven = self.proven.take().ok_or(russh::Error::NotAuthenticated)?;
        let client = Client::new(
            Arc::clone(&self.ssh),
            self.addresses,
            session.handle(),
            proven,
        );
        tracing::info!(target: "audit", event = "ssh_open", user = %client.user,
            client.addr = %client.addr(), by = client.login().as_str());
        // By the time the first channel is asked for, the start is under way.
        client.spawn({
            let client = Arc::clone(&client);
            async move {
                // Whoever asks for a channel hears what is wrong.
                let _ = client.shell().await;
            }
        });
        self.client = Some(Arc::clone(&client));
        if let Some(told) = self.told.take() {
            let _ = told.send(client);
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(held) = self.client()?.hold() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let id = channel.id();
        let (inbox, closed) = self.open(&channel, None);
        let (_, writer) = channel.split();
        let prepared = Prepared::new(writer, inbox, closed, held);
        if let Some(open) = self.channels.get_mut(&id) {
            open.session = Some(SessionChannel::new(prepared));
        }
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Ok(port) = u16::try_from(port_to_connect) else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        let to = Place::Port(host_to_connect.to_owned(), port);
        self.direct(channel, to, reply)
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.direct(channel, Place::Path(socket_path.to_owned()), reply)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.get(&channel) {
            open.inbox.push(data);
        }
        if let Some(shell) = self.client()?.running() {
            shell.inside.touch();
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.get(&channel) {
            open.inbox.end();
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let allowed = self.client()?.permits.pty;
        let Some(prepared) = self.session(channel).and_then(|session| session.prepared()) else {
            return session.channel_failure(channel);
        };
        if !allowed {
            return session.channel_failure(channel);
        }
        prepared.env.insert("TERM".to_owned(), term.to_owned());
        prepared.terminal = Some(Terminal {
            size: Size {
                columns,
                rows,
                width,
                height,
            },
            modes: modes
                .iter()
                .map(|(code, value)| (*code as u8, *value))
                .collect(),
        });
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let fits = allowed(name) && value.len() <= LONGEST_VALUE && !value.contains('\0');
        let prepared = self.session(channel).and_then(|session| session.prepared());
        let Some(prepared) = prepared.filter(|prepared| fits && prepared.env.len() < VARIABLES)
        else {
            return session.channel_failure(channel);
        };
        prepared.env.insert(name.to_owned(), value.to_owned());
        session.channel_success(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Asked::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Asked::Command(command.to_vec()), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Asked::Subsystem(name.to_owned()), session)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(session) = self.session(channel) {
            session.resize(Size {
                columns,
                rows,
                width,
                height,
            });
        }
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let client = Arc::clone(self.client()?);
        if let Some(session) = self.session(channel) {
            session.signal(&client, &signal);
        }
        Ok(())
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let client = Arc::clone(self.client()?);
        if !client.permits.agent || !client.config().agent_forward {
            return Ok(false);
        }
        let prepared = self.session(channel).and_then(|session| session.prepared());
        Ok(prepared.is_some() && forward::agent(&client).await)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let Ok(asked) = u16::try_from(*port) else {
            return Ok(false);
        };
        match self.listen(Place::Port(address.to_owned(), asked)).await? {
            Some(bound) => {
                *port = bound.into();
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let port = u16::try_from(port).unwrap_or_default();
        let listener = self
            .listeners
            .remove(&Place::Port(address.to_owned(), port));
        Ok(listener.inspect(CancellationToken::cancel).is_some())
    }

    async fn streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.listen(Place::Path(path.to_owned())).await?.is_some())
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let listener = self.listeners.remove(&Place::Path(path.to_owned()));
        Ok(listener.inspect(CancellationToken::cancel).is_some())
    }
}

/// Variables that a client may set: what a terminal is, and how its user writes; never what
/// changes which programs and libraries are loaded.
fn allowed(name: &str) -> bool {
    let listed = [
        "LANG",
        "LANGUAGE",
        "COLORTERM",
        "TERM_PROGRAM",
        "TERM_PROGRAM_VERSION",
    ];
    let locale = name.strip_prefix("LC_").is_some_and(|rest| {
        (1..=40).contains(&rest.len())
            && rest.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    });
    locale || listed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sets_its_language_and_not_what_programs_load() {
        for name in [
            "LANG",
            "LC_ALL",
            "LC_VSCODE_X1",
            "COLORTERM",
            "TERM_PROGRAM",
        ] {
            assert!(allowed(name), "{name}");
        }
        for name in [
            "LD_PRELOAD",
            "PATH",
            "BASH_ENV",
            "LC_",
            "LC_A=B",
            "lang",
            "",
        ] {
            assert!(!allowed(name), "{name}");
        }
    }
}
