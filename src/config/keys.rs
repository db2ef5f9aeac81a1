//! The `[session]` table and the key files it names.
//!
//! Imports `secret`. Promise: a key can be what it is said to be: a shared secret is long
//! enough and no public file, all else is a key in PEM. Whether that PEM holds a key of just
//! this algorithm, `session` says when it takes it.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};

use super::{
    Algorithm, Key, Session, addresses, defaults,
    mistake::Read,
    node::{Node, Value},
    section::{Reading, Section},
    values,
};
use crate::secret::Secret;

/// Cookies that are ours under every configuration.
pub const OWN_COOKIES: [&str; 2] = ["__Host-vestibule-session", "__Host-vestibule-state"];
/// Fewest bytes of a shared secret: the length of the hash (RFC 7518 3.2).
const SHORTEST_SECRET: usize = 32;
/// Most bytes of a key file: ten times an RSA key of 8192 bits, and no endless device.
const LONGEST_FILE: u64 = 64 << 10;
/// Longest that a session may last without another login, in days.
const LONGEST_SESSION: u64 = 30;

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::Hs256),
    ("RS256", Algorithm::Rs256),
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
];

/// Reads `[session]`; `None` only after a mistake was remembered.
pub fn session(section: Section<'_>, base: &Path) -> Option<Session> {
    let by_url = section.is_there("jwks_url");
    let jwks_url = section.get("jwks_url", addresses::key_set);
    let example = r#"[{ algorithm = "HS256", file = "handoff.key" }]"#;
    let list = |node: &Node| match &node.value {
        Value::Array(items) if items.is_empty() && !by_url => Err("needs at least one key".into()),
        Value::Array(items) => Ok(items.clone()),
        Value::Table(_) => Ok(vec![node.clone()]),
        other => Err(format!("must be a list of keys, not {other}").into()),
    };
    let items = if by_url && !section.is_there("keys") {
        Some(Vec::new())
    } else {
        section.need("keys", example, list)
    };
    let keys = items.map(|items| keys(section.reading, items, base));
    let audience = section.get("audience", values::text);
    let issuer = section.get("issuer", values::text);
    let shared_cookie = section.get("shared_cookie", shared_cookie);
    let longest = Duration::from_hours(24 * LONGEST_SESSION);
    let lifetime = section.get(
        "lifetime",
        values::duration(Duration::from_mins(1), longest),
    );
    section.finish();
    Some(Session {
        keys: keys?,
        jwks_url,
        audience: audience.unwrap_or_else(|| defaults::AUDIENCE.to_owned()),
        issuer,
        shared_cookie,
        lifetime: lifetime.unwrap_or(defaults::LIFETIME),
    })
}

fn shared_cookie(node: &Node) -> Read<String> {
    let name = values::text(node)?;
    if !values::is_token(&name) {
        let what = "must be the name of a cookie, of letters, digits, `-` and `_`";
        Err(format!("{what}, not {name:?}").into())
    } else if is_own(&name, &OWN_COOKIES) {
        Err(format!("can't be {name:?}: that is vestibule's own cookie").into())
    } else {
        Ok(name)
    }
}

/// Whether `name` is in `own`; some browsers and servers don't tell the cases apart.
pub fn is_own(name: &str, own: &[&str]) -> bool {
    own.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn keys(reading: &Reading, items: Vec<Node>, base: &Path) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut names = BTreeSet::new();
    for item in items {
        let place = item.place.clone();
        let expected = "`algorithm` and `file`";
        let Some(section) = Section::of_item(reading, "session.keys", item, expected) else {
            continue;
        };
        let id = section.get("id", values::text);
        let example = r#""HS256""#;
        let algorithm = section.need("algorithm", example, values::one_of(ALGORITHMS));
        let material = section.need("file", r#""handoff.key""#, |node| {
            let path = values::path(base)(node)?;
            material(&path, algorithm).map_err(|what| format!("{}: {what}", path.display()).into())
        });
        section.finish();
        // A token without `kid` is told apart by its algorithm alone.
        let unnamed = algorithm.filter(|_| id.is_none());
        let is_new = names.insert((id.clone(), unnamed.map(|algorithm| algorithm as u8)));
        if !is_new {
            let what = "two of `session.keys` can't be told apart: give each an `id` of its own";
            reading.mistake(&place, what);
        }
        if let (Some(algorithm), Some(material)) = (algorithm, material) {
            keys.push(Key {
                id,
                algorithm,
                material,
            });
        }
    }
    keys
}

/// Reads a key file and judges whether it can be what it is said to be (RFC 8725 3.2, 3.5).
fn material(path: &Path, algorithm: Option<Algorithm>) -> Result<Secret, String> {
    let mut bytes = read(path).map_err(|error| format!("can't be read: {error}"))?;
    let is_pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
    match algorithm {
        Some(Algorithm::Hs256) if is_pem => {
            return Err(
                "is a PEM file; HS256 takes a shared secret that nobody else knows, \
                 and a key in PEM is for RS256, ES256 or EdDSA"
                    .to_owned(),
            );
        }
        Some(Algorithm::Hs256) => {
            // What an editor or `echo` put at the end.
            if bytes.ends_with(b"\n") {
                bytes.pop();
                bytes.pop_if(|last| *last == b'\r');
            }
            if bytes.len() < SHORTEST_SECRET {
                return Err(format!(
                    "has {} bytes; a shared secret has at least {SHORTEST_SECRET} random ones \
                     (`openssl rand -hex 32` makes them)",
                    bytes.len()
                ));
            }
        }
        Some(_) if !is_key(&bytes) => {
            return Err("holds no key in PEM; this algorithm takes a public key \
                 (`openssl pkey -in private.pem -pubout` prints it)"
                .to_owned());
        }
        _ => {}
    }
    Ok(Secret::new(bytes))
}

/// A public key (RFC 7468 13, or PKCS #1 for RSA) or a private one.
fn is_key(bytes: &[u8]) -> bool {
    SubjectPublicKeyInfoDer::from_pem_slice(bytes).is_ok()
        || PrivateKeyDer::from_pem_slice(bytes).is_ok()
        || bytes
            .trim_ascii_start()
            .starts_with(b"-----BEGIN RSA PUBLIC KEY-----")
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(io::Error::other("it is too large to be a key"));
    }
    Ok(bytes)
}
