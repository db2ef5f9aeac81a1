//! Forwarded ports and sockets: from the client into the container, and from there to the
//! client. All of them begin or end inside the container, never on the proxy's host.

use std::{net::IpAddr, sync::Arc};

use russh::{
    Channel, ChannelOpenFailure, ChannelWriteHalf,
    server::{ChannelOpenHandle, Msg},
};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    audit::{denied, forwarded, told},
    client::{Client, EnterError, Held},
    inbox::Inbox,
    pace::Pace,
    session::pass_on,
};
use crate::{
    config::Forward,
    shell::{self, Listening, Place, Shell, ShellError, Stream},
    workspace::OpenChannel,
};

const PIECE: usize = 32 * 1024;

/// A stream that the client opens into the container.
pub async fn direct(
    client: Arc<Client>,
    writer: ChannelWriteHalf<Msg>,
    (inbox, closed): (Arc<Inbox>, CancellationToken),
    to: Place,
    reply: ChannelOpenHandle,
) {
    let _over = closed.clone().drop_guard();
    let policy = client.config().forward;
    if policy == Forward::Off || !client.permits.forwarding {
        denied(&client, "direct", &to, "forwarding is not allowed");
        reply
            .reject(ChannelOpenFailure::AdministrativelyProhibited)
            .await;
        return;
    }
    let Some(mut held) = client.hold() else {
        reply.reject(ChannelOpenFailure::ResourceShortage).await;
        return;
    };
    let connected = async {
        let shell = client.shell().await?;
        let stream = shell.connect(&to, policy == Forward::Localhost).await?;
        Ok::<_, EnterError>((shell, stream))
    };
    match connected.await {
        Ok((shell, stream)) => {
            let open = held.inside(&client, &shell);
            forwarded(&client, "direct", &to);
            reply.accept().await;
            tokio::select! {
                () = tie(stream, &inbox, &writer, &client.pace, &open) => {}
                () = closed.cancelled() => {}
            }
        }
        Err(EnterError::Shell(ShellError::Denied(why))) => {
            denied(&client, "direct", &to, &why);
            reply
                .reject(ChannelOpenFailure::AdministrativelyProhibited)
                .await;
        }
        Err(error) => {
            tracing::debug!(%error, place = told(&to), "a forward does not connect");
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        }
    }
}

/// Passes bytes both ways, and each end by itself.
async fn tie(
    stream: Stream,
    inbox: &Inbox,
    writer: &ChannelWriteHalf<Msg>,
    pace: &Pace,
    open: &OpenChannel,
) {
    let Stream {
        mut reader,
        writer: to,
        early,
    } = stream;
    let outward = async {
        if !early.is_empty() && writer.data_bytes(early).await.is_err() {
            return false;
        }
        loop {
            let mut piece = bytes::BytesMut::with_capacity(PIECE);
            match reader.read_buf(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    let _sending = pace.sending();
                    if writer.data_bytes(piece.freeze()).await.is_err() {
                        return false;
                    }
                }
            }
        }
        let _ = writer.eof().await;
        true
    };
    let inward = pass_on(inbox, to, |bytes| open.forwarded(bytes));
    tokio::select! {
        (all_said, ()) = async { tokio::join!(outward, inward) } => {
            if all_said {
                shell::end(&reader);
            }
        }
        () = inbox.overflow() => tracing::debug!("more waits on a forward than can be kept"),
    }
    let _ = writer.close().await;
}

/// Listens in the container for a client, and returns the port and what stops it.
pub async fn listen(client: &Arc<Client>, place: &Place) -> Option<(u16, CancellationToken)> {
    if !client.config().remote_forward || !client.permits.forwarding {
        denied(client, "remote", place, "forwarding is not allowed");
        return None;
    }
    let held = client.hold()?;
    let asked = place.clone();
    let local = match place {
        Place::Port(host, port) => Place::Port(loopback(host), *port),
        place => place.clone(),
    };
    let listened = async {
        let shell = client.shell().await.map_err(|error| error.to_string())?;
        let listening = shell
            .listen(&local)
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>((shell, listening))
    };
    let (shell, listening) = match listened.await {
        Ok(listened) => listened,
        Err(why) => {
            denied(client, "remote", place, &why);
            return None;
        }
    };
    forwarded(client, "remote", place);
    let port = listening.port.unwrap_or_default();
    let stop = CancellationToken::new();
    let accept = accept(Arc::clone(client), shell, listening, asked, held);
    let stopped = stop.clone();
    client.spawn(async move {
        tokio::select! {
            () = accept => {}
            () = stopped.cancelled() => {}
        }
    });
    Some((port, stop))
}

/// Listens for programs in the container that want the client's agent; once a connection.
pub async fn agent(client: &Arc<Client>) -> bool {
    if client.agent_path().is_some() {
        return true;
    }
    let Some(held) = client.hold() else {
        return false;
    };
    let listened = async {
        let shell = client.shell().await.ok()?;
        let listening = shell.listen(&Place::Agent).await.ok()?;
        Some((shell, listening))
    };
    let Some((shell, listening)) = listened.await else {
        return false;
    };
    client.offer_agent(listening.path.clone());
    forwarded(client, "agent", &Place::Agent);
    client.spawn(accept(
        Arc::clone(client),
        shell,
        listening,
        Place::Agent,
        held,
    ));
    true
}

/// Opens a channel to the client for each connection that comes.
async fn accept(
    client: Arc<Client>,
    shell: Arc<Shell>,
    mut listening: Listening,
    place: Place,
    mut held: Held,
) {
    held.inside(&client, &shell);
    let port = listening.port.unwrap_or_default();
    while let Ok(taken) = listening.next().await {
        let Some(mut held) = client.hold() else {
            continue;
        };
        let (this, shell, place) = (Arc::clone(&client), Arc::clone(&shell), place.clone());
        client.spawn(async move {
            let Ok(stream) = shell.take(&taken).await else {
                return;
            };
            let open = held.inside(&this, &shell);
            let opened = match place {
                Place::Port(host, _) => {
                    let (from, at) = (taken.host, taken.port.into());
                    this.handle
                        .channel_open_forwarded_tcpip(host, port.into(), from, at)
                        .await
                }
                Place::Path(path) => this.handle.channel_open_forwarded_streamlocal(path).await,
                Place::Agent => this.handle.channel_open_agent().await,
            };
            if let Ok(channel) = opened {
                carry(&this, channel, stream, &open).await;
            }
        });
    }
}

/// Carries a channel that we opened: its bytes come by the channel's own queue.
async fn carry(client: &Client, channel: Channel<Msg>, stream: Stream, open: &OpenChannel) {
    let (mut reader, writer) = channel.split();
    let inbox = client.inbox();
    let drain = async {
        // Taken at once, so that the connection's loop never waits.
        while let Some(message) = reader.wait().await {
            match message {
                russh::ChannelMsg::Data { data } => inbox.push(&data).await,
                russh::ChannelMsg::Eof => inbox.end(),
                russh::ChannelMsg::Close => return,
                _ => {}
            }
        }
    };
    tokio::select! {
        () = tie(stream, &inbox, &writer, &client.pace, open) => {}
        () = drain => {}
    }
}

/// A remote forward listens on the container's loopback, whatever was asked for.
fn loopback(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => "::1".to_owned(),
        _ => "127.0.0.1".to_owned(),
    }
}
