//! The way from `public_url` to us, as a browser takes it: who answers there, what a front proxy
//! does to `Host` and to sockets, and whether the certificate would be believed.

use http::{Method, StatusCode, Uri, header};

use super::{
    Finding,
    web::{self, Met},
};
use crate::{
    config::{Config, same_host},
    symptoms::{Arrival, PROBE_PATH, Seen, Symptom, Symptoms},
};

/// Any 16 bytes in base64 (RFC 6455 4.1).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The first byte of a Close frame (RFC 6455 5.2).
const CLOSE: u8 = 0x88;

pub async fn examine(config: &Config, symptoms: &Symptoms) -> Vec<Finding> {
    let origin = &config.site.origin;
    let (met, arrival) = match probe(config, symptoms, &[]).await {
        Ok(found) => found,
        Err(error) => {
            let there = Finding::fail(
                "address",
                format!("{origin} can't be reached from here: {error}"),
                "is the name in the DNS, the port open, the front proxy up? A router that doesn't \
                 lead its own address back inside needs a line in /etc/hosts",
            );
            return vec![there];
        }
    };
    let mut findings: Vec<Finding> = met
        .certificate
        .as_ref()
        .map(certificate)
        .into_iter()
        .collect();
    let Some(arrival) = arrival else {
        findings.push(stranger(origin, &met));
        return findings;
    };
    findings.push(host(config, symptoms, &arrival));
    findings.push(proxy(config, symptoms, &arrival));
    findings.push(sockets(config, symptoms).await);
    findings.extend(origins(symptoms));
    findings
}

/// Sends a probe to our own address, and tells how it arrived, if it did.
async fn probe(
    config: &Config,
    symptoms: &Symptoms,
    fields: &[(&str, &str)],
) -> Result<(Met, Option<Arrival>), web::WebError> {
    let id = symptoms.expect();
    let url = format!("{}{PROBE_PATH}{id}", config.site.origin);
    let url: Uri = url.parse().map_err(|_| web::WebError::Address)?;
    let met = web::meet(Method::GET, &url, fields).await;
    let arrival = symptoms.taken(&id);
    Ok((met?, arrival))
}

fn certificate(verdict: &Result<(), String>) -> Finding {
    match verdict {
        Ok(()) => Finding::ok("certificate", "this machine trusts it"),
        Err(why) => Finding::warn(
            "certificate",
            format!("this machine does not trust it: {why}"),
            "serve the whole chain of a certificate for the host of `public_url` that hasn't \
             ended; one of your own authority must be known to every browser",
        ),
    }
}

/// Somebody else answered.
fn stranger(origin: &str, met: &Met) -> Finding {
    let server = met.headers.get(header::SERVER);
    let server = server.and_then(|server| server.to_str().ok());
    let server = server.map_or_else(String::new, |server| format!(" (it calls itself {server})"));
    Finding::fail(
        "address",
        format!(
            "what answers at {origin} is not this proxy: status {}{server}",
            met.status
        ),
        "does the name lead to this machine, and does the front proxy hand every path to us?",
    )
}

fn host(config: &Config, symptoms: &Symptoms, arrival: &Arrival) -> Finding {
    let ours = &config.site.authority;
    let same = |found: &str| same_host(found, ours);
    let found = arrival.host.as_deref().unwrap_or_default();
    if !same(found) {
        return Finding::fail(
            "host",
            format!(
                "a front proxy changes `Host`: {ours} arrives as {found:?}, and is refused (421)"
            ),
            "have it pass `Host` on as it came: nginx `proxy_set_header Host $http_host;`, Apache \
             `ProxyPreserveHost On`",
        );
    }
    // The last one is who spoke to us.
    let forwarded = arrival.forwarded_host.as_deref().unwrap_or_default();
    if !forwarded.is_empty() && !forwarded.split(',').all(|part| same(part.trim())) {
        return Finding::warn(
            "host",
            format!(
                "a front proxy says by `X-Forwarded-Host` that browsers asked for {forwarded:?}, not {ours}"
            ),
            "if they do, set `public_url` to what they see; if not, have it pass the host on as it came",
        );
    }
    match symptoms.recent(Symptom::Misdirected).first() {
        Some(seen) => Finding::warn(
            "host",
            format!(
                "`Host` arrives as it was sent, but requests for {} were refused: {}",
                seen.what,
                often(seen)
            ),
            "if users know us by that name, set `public_url` to it, or redirect it; scanners ask \
             for anything",
        ),
        None => Finding::ok("host", format!("{ours} arrives as it was sent")),
    }
}

/// A front proxy that isn't known as one.
fn proxy(config: &Config, symptoms: &Symptoms, arrival: &Arrival) -> Finding {
    let trusted = &config.listen.trusted_proxies;
    let peer = arrival
        .peer
        .map_or_else(String::new, |peer| peer.to_string());
    let known = arrival
        .peer
        .is_some_and(|peer| trusted.iter().any(|network| network.contains(peer)));
    let todo = format!("add {peer} to `listen.trusted_proxies`, if that is your front proxy");
    if !arrival.admitted {
        let seen = format!("requests that come by {peer} are refused: it is no trusted proxy");
        return Finding::fail("proxy address", seen, todo);
    }
    if arrival.forwarded_for.is_some() && !known {
        let seen = format!(
            "{peer} says whom it speaks for (`X-Forwarded-For`), but isn't believed: all users \
             count as one address"
        );
        return Finding::warn("proxy address", seen, todo);
    }
    match symptoms.recent(Symptom::Untrusted).first() {
        Some(seen) => Finding::warn(
            "proxy address",
            format!(
                "{} used `listen.plain` and was refused: {}",
                seen.what,
                often(seen)
            ),
            format!(
                "add {} to `listen.trusted_proxies`, if that is your front proxy",
                seen.what
            ),
        ),
        None if known => Finding::ok("proxy address", format!("{peer} is a trusted proxy")),
        None => Finding::ok(
            "proxy address",
            format!("requests come straight from {peer}"),
        ),
    }
}

async fn sockets(config: &Config, symptoms: &Symptoms) -> Finding {
    const TODO: &str = "have the front proxy pass WebSockets: nginx `proxy_http_version 1.1; \
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; \
        proxy_read_timeout 1h;`";
    let fields = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    let fail = |seen: String| Finding::fail("websockets", seen, TODO);
    let (met, arrival) = match probe(config, symptoms, &fields).await {
        Ok(found) => found,
        Err(error) => return fail(format!("a handshake gets no answer: {error}")),
    };
    let Some(arrival) = arrival else {
        return fail(format!(
            "a handshake does not reach us: somebody answers {} before",
            met.status
        ));
    };
    if !arrival.upgrade {
        return fail(
            "a front proxy drops `Upgrade`: handshakes arrive as plain requests".to_owned(),
        );
    }
    if met.status != StatusCode::SWITCHING_PROTOCOLS {
        return fail(format!("our answer 101 comes out as {}", met.status));
    }
    if met.frame.first() != Some(&CLOSE) {
        return fail("a socket opens, but what we send on it is lost".to_owned());
    }
    match symptoms.recent(Symptom::LostUpgrade).first() {
        Some(seen) => Finding::warn(
            "websockets",
            format!(
                "they pass from here, but handshakes by {} had lost `Upgrade`: {}",
                seen.what,
                often(seen)
            ),
            TODO,
        ),
        None => Finding::ok("websockets", "a handshake and a frame came through"),
    }
}

/// Pages of other origins that were kept out.
fn origins(symptoms: &Symptoms) -> Option<Finding> {
    let seen = symptoms.recent(Symptom::ForeignOrigin);
    let seen = seen.first()?;
    Some(Finding::warn(
        "origins",
        format!(
            "pages of {} were kept from sockets and forms here: {}",
            seen.what,
            often(seen)
        ),
        "if that is how browsers reach us, `public_url` must say so; if it is a site of yours, \
         see `trusted_origins`",
    ))
}

fn often(seen: &Seen) -> String {
    format!(
        "{} times, last {} min ago",
        seen.count,
        seen.ago.as_secs() / 60
    )
}
