//! How TCP connections are set up, on either side of us, and who counts as one client.
//!
//! Imports nothing of ours.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroU64,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long a peer may be silent: until it is probed, and, with data unacknowledged, until it counts
/// as gone.
pub const SILENCE: Duration = Duration::from_mins(1);
/// Congestion control that every kernel has and lets everyone choose (ip-sysctl,
/// `tcp_allowed_congestion_control`).
const LOCAL_CONGESTION: &[u8] = b"reno";

/// Has a connection send at once, and find out that its peer has gone.
///
/// # Errors
/// What the system says.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))?;
    socket.set_tcp_user_timeout(Some(SILENCE))
}

/// Connects to a peer on this machine.
///
/// # Errors
/// What the system says.
pub async fn connect_local(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    set_local_congestion(&SockRef::from(&stream));
    tune(&stream)?;
    Ok(stream)
}

/// Has a socket, or those that it will accept, send to peers on this machine by a congestion
/// control without a rate of its own. One that has, such as BBR, is for networks: here it costs a
/// timer for every few segments of a large body.
pub fn set_local_congestion(socket: &SockRef<'_>) {
    // A sandbox may know no such option, and loses nothing but speed.
    let _ = socket.set_tcp_congestion(LOCAL_CONGESTION);
}

/// What an address counts as: an IPv6 client is its /64, since it owns all of it. One machine
/// word, as every connection holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(NonZeroU64);

impl Client {
    /// What `addr` counts as.
    pub fn of(addr: IpAddr) -> Self {
        let number = match addr.to_canonical() {
            // Half of it always fits.
            IpAddr::V6(addr) => u64::try_from(addr.to_bits() >> 64).unwrap_or(u64::MAX),
            // As a multicast prefix (RFC 4291 2.7), from which nothing ever comes.
            IpAddr::V4(addr) => u64::from(u32::MAX) << 32 | u64::from(addr.to_bits()),
        };
        Self(NonZeroU64::MIN.saturating_add(number))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_on_this_machine_is_not_sent_to_as_over_a_network() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        set_local_congestion(&SockRef::from(&listener));
        let local = connect_local(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(local.nodelay().unwrap());
        let socket = SockRef::from(&local);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SILENCE));
        for stream in [local, accepted] {
            let control = SockRef::from(&stream).tcp_congestion().unwrap();
            assert!(control.starts_with(LOCAL_CONGESTION));
        }
    }

    #[test]
    fn an_address_counts_as_itself_or_its_network() {
        let same =
            |a: &str, b: &str| Client::of(a.parse().unwrap()) == Client::of(b.parse().unwrap());
        for (a, b, expected) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0", "0.0.0.1", false),
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
            ("::1", "0:0:0:1::1", false),
        ] {
            assert_eq!(same(a, b), expected, "{a} {b}");
        }
    }
}
