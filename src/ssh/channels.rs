//! The open channels of a connection, and where the bytes of each go.

use std::{collections::HashMap, sync::Arc};

use russh::{Channel, ChannelId, server::Msg};
use tokio_util::sync::CancellationToken;

use super::{client::Client, inbox::Inbox, session::SessionChannel};

/// The channels that a client opened.
#[derive(Default)]
pub struct Channels(HashMap<ChannelId, Open>);

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

impl Channels {
    /// Takes in a channel. Its end is told by the token, in both directions.
    pub fn open(
        &mut self,
        channel: &Channel<Msg>,
        client: &Client,
    ) -> (Arc<Inbox>, CancellationToken) {
        // One that was refused is never closed by the client.
        self.0.retain(|_, open| !open.closed.is_cancelled());
        let (inbox, closed) = (Arc::new(client.inbox()), CancellationToken::new());
        let open = Open {
            inbox: Arc::clone(&inbox),
            closed: closed.clone(),
            session: None,
        };
        self.0.insert(channel.id(), open);
        (inbox, closed)
    }

    /// Makes a channel one that runs a program.
    pub fn is_session(&mut self, id: ChannelId, session: SessionChannel) {
        if let Some(open) = self.0.get_mut(&id) {
            open.session = Some(session);
        }
    }

    /// The channel, if it is one that runs a program.
    pub fn session(&mut self, id: ChannelId) -> Option<&mut SessionChannel> {
        self.0.get_mut(&id)?.session.as_mut()
    }

    /// Where what comes on a channel goes.
    pub fn inbox(&self, id: ChannelId) -> Option<&Inbox> {
        self.0.get(&id).map(|open| &*open.inbox)
    }

    /// The client closed a channel.
    pub fn close(&mut self, id: ChannelId) {
        self.0.remove(&id);
    }
}
