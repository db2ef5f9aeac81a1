//! How addresses are written: to listen on, of networks, origins and pages.
//!
//! Imports `values`. Promise: pure; an origin that comes out is written as browsers write it,
//! so that comparing the bytes is comparing origins.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{Uri, uri::Authority};

use super::{Network, mistake::Read, node::Node, values::text};

/// An address to listen on.
pub fn address(node: &Node) -> Read<SocketAddr> {
    let text = text(node)?;
    text.parse().map_err(|_| {
        let what = r#"must be an address and a port such as "0.0.0.0:443" or "[::]:443""#;
        format!("{what}, not {text:?}").into()
    })
}

/// A range of addresses, or a single one.
pub fn network(node: &Node) -> Read<Network> {
    let text = text(node)?;
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text.as_str(), None),
    };
    let network = address.parse::<IpAddr>().ok().and_then(|address| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |prefix| prefix.parse().ok())?;
        (prefix <= most).then_some(Network { address, prefix })
    });
    network.ok_or_else(|| {
        let what = r#"must be an address or a network such as "10.0.0.0/8""#;
        format!("{what}, not {text:?}").into()
    })
}

/// Whether two authorities are the same, the default port being as good as none.
pub fn same_host(a: &str, b: &str) -> bool {
    let bare = |host| str::strip_suffix(host, ":443").unwrap_or(host);
    a == b || bare(a).eq_ignore_ascii_case(bare(b))
}

/// An origin as browsers write it (RFC 6454 6.2): lower case, without the default port.
pub fn origin(node: &Node) -> Read<String> {
    let text = text(node)?;
    let origin = parse(&text).and_then(|uri| {
        let bare = uri.path() == "/" && uri.query().is_none() && !text.contains('#');
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let default = if scheme == "https" { 443 } else { 80 };
        let port = authority.port_u16().filter(|port| *port != default);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        bare.then_some(format!("{scheme}://{}{port}", host(authority)?))
    });
    origin.ok_or_else(|| {
        let what = r#"must be an origin such as "https://ide.example.org", without a path"#;
        format!("{what}, not {text:?}").into()
    })
}

/// The address of a page: an http or https URL without a fragment (RFC 3986 4.3).
pub fn page(node: &Node) -> Read<String> {
    let text = text(node)?;
    if parse(&text).is_some() && !text.contains('#') {
        return Ok(text);
    }
    let what = r#"must be a URL such as "https://www.example.org/open", without a `#`"#;
    Err(format!("{what}, not {text:?}").into())
}

/// The address of a key set: whoever could answer in its place could let anybody in, so it is
/// an https URL, or an http one that stays on this machine.
pub fn key_set(node: &Node) -> Read<Uri> {
    let text = text(node)?;
    let uri = parse(&text).filter(|uri| {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let address = host.parse::<IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        uri.scheme_str() == Some("https") || is_here
    });
    uri.filter(|_| !text.contains('#')).ok_or_else(|| {
        let what = "must be an https URL such as \"https://www.example.org/jwks.json\", or an http \
                    one of this machine";
        format!("{what}, not {text:?}").into()
    })
}

/// An absolute http or https URI with a host that a browser would send as it stands: no user,
/// no empty or impossible port, no escapes.
fn parse(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    host(authority)?;
    // A user would stand before the host.
    let port = authority.as_str().strip_prefix(authority.host())?;
    let is_port = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    // What `Uri` lets through and no browser would send unescaped.
    let clean = !text.contains(['"', '\'', '<', '>', '\\', ' ']);
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && is_port && clean).then_some(uri)
}

/// The host as a browser would write it.
fn host(authority: &Authority) -> Option<String> {
    let host = authority.host();
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
        return Some(format!("[{address}]"));
    }
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    let good = !host.is_empty() && host.bytes().all(allowed);
    good.then_some(host.to_ascii_lowercase())
}
