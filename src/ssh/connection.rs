//! The protocol's side of a connection: who logs in, and which channel is whose.

mod handler;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use russh::{
    Channel, ChannelId,
    server::{ChannelOpenHandle, Msg, Session},
};
use tokio_util::sync::CancellationToken;

use super::{
    Ssh,
    channels::Channels,
    client::Client,
    forward,
    login::{Entrance, Guest},
    pace::Pace,
    session::{Asked, SessionChannel},
};
use crate::shell::Place;

/// One connection's handler.
pub struct Connection {
    ssh: Arc<Ssh>,
    addresses: (SocketAddr, SocketAddr),
    pace: Arc<Pace>,
    guest: Guest,
    client: Option<Arc<Client>>,
    channels: Channels,
    listeners: HashMap<Place, CancellationToken>,
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
        pace: Arc<Pace>,
    ) -> (Self, Entrance) {
        let addr = addresses.0.ip().to_canonical();
        let (guest, entrance) = Guest::new(Arc::clone(&ssh), addr);
        let connection = Self {
            ssh,
            addresses,
            pace,
            guest,
            client: None,
            channels: Channels::default(),
            listeners: HashMap::new(),
        };
        (connection, entrance)
    }

    fn client(&self) -> Result<&Arc<Client>, russh::Error> {
        self.client.as_ref().ok_or(russh::Error::NotAuthenticated)
    }

    /// Runs what was asked for on a channel, once.
    fn start(
        &mut self,
        id: ChannelId,
        asked: Asked,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let client = Arc::clone(self.client()?);
        let prepared = self.channels.session(id).and_then(SessionChannel::take);
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
        let (inbox, closed) = self.channels.open(&channel, &client);
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
