//! What a connection's client asks for, message by message.
//!
//! The loop that calls these stands still as long as they take. So nothing here waits for the
//! workspace but what the protocol has answered at once: the requests for `-R` and `-A`.

use std::sync::Arc;

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty, Sig,
    server::{
        Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
    },
};
use tokio_util::sync::CancellationToken;

use super::Connection;
use crate::{
    shell::{Place, Size, Terminal},
    ssh::{
        client::Client,
        forward,
        session::{Asked, Prepared, SessionChannel},
        variables,
    },
};

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self
            .guest
            .offers(user, offer.public_key, offer.algorithm)
            .await)
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.guest.key(user, key.public_key, key.algorithm).await)
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(self.guest.password(user, password))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.guest.approval(user, response).await)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        let proven = self.guest.proven().ok_or(russh::Error::NotAuthenticated)?;
        let place = match self.ssh.door.enter(&proven.0.user) {
            Ok(place) => place,
            Err(full) => {
                self.guest.enters(Err(full));
                // Here, so that it is said before anything the client asks for next is refused.
                return session.disconnect(Disconnect::TooManyConnections, &full.to_string(), "");
            }
        };
        let client = Client::new(
            Arc::clone(&self.ssh),
            self.addresses,
            session.handle(),
            Arc::clone(&self.pace),
            (proven, place),
        );
        if !self.guest.enters(Ok(Arc::clone(&client))) {
            // It came too late.
            return Err(russh::Error::Disconnect);
        }
        self.pace.let_in();
        tracing::info!(target: "audit", event = "ssh_open", user = %client.user,
            session = client.session(),
            client.addr = %client.addr(), how = client.login().as_str());
        // By the time the first channel is asked for, the start is under way.
        client.spawn({
            let client = Arc::clone(&client);
            async move {
                // Whoever asks for a channel hears what is wrong.
                let _ = client.shell().await;
            }
        });
        self.client = Some(client);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let client = Arc::clone(self.client()?);
        let Some(held) = client.hold() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let id = channel.id();
        let (inbox, closed) = self.channels.open(&channel, &client);
        let (_, writer) = channel.split();
        let prepared = Prepared::new(writer, inbox, closed, held);
        self.channels.is_session(id, SessionChannel::new(prepared));
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
        if let Some(inbox) = self.channels.inbox(channel) {
            inbox.push(data).await;
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(inbox) = self.channels.inbox(channel) {
            inbox.end();
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.close(channel);
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
        let Some(prepared) = self
            .channels
            .session(channel)
            .and_then(|session| session.prepared())
        else {
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
        let prepared = self
            .channels
            .session(channel)
            .and_then(|session| session.prepared());
        if prepared.is_some_and(|prepared| variables::set(&mut prepared.env, name, value)) {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
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
        if let Some(session) = self.channels.session(channel) {
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
        if let Some(session) = self.channels.session(channel) {
            session.signal(&signal);
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
        let prepared = self
            .channels
            .session(channel)
            .and_then(|session| session.prepared());
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
