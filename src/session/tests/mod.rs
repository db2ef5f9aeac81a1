//! The cases of `security-cases.md` on tokens, cookies and hand-offs (J1 to J7, C1 to C6), and
//! what they stand on. Keys are made anew for each run.

mod algorithms;
mod cookies;
mod handoff;
mod revocations;
mod ssh;
mod tokens;

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};

use super::{Denied, Entry, Last, Revocations, Sessions, claims::unix, state};
use crate::{
    config::{self, Algorithm, Key},
    secret::Secret,
};

const SECRET: &[u8] = b"an example secret of 32 bytes or more";
const COOKIE_SECRET: &[u8] = b"our own cookie key of 32 bytes or more";
const OURS: &str = "__Host-vestibule-session";

fn hs256(id: Option<&str>) -> Key {
    key(id, Algorithm::Hs256, SECRET)
}

fn key(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Key {
    Key {
        id: id.map(str::to_owned),
        algorithm,
        material: Secret::new(material),
    }
}

fn config(keys: Vec<Key>) -> config::Session {
    config::Session {
        keys,
        jwks_url: None,
        audience: "vestibule".to_owned(),
        issuer: None,
        shared_cookie: Some("ide_session".to_owned()),
        lifetime: Duration::from_hours(12),
    }
}

impl Sessions {
    fn authenticate_at(&self, headers: &HeaderMap, now: SystemTime) -> Result<Entry, Denied> {
        self.authenticate_next_at(headers, &Last::default(), now)
    }
}

fn sessions_of(config: &config::Session) -> Sessions {
    Sessions::new(config, Secret::new(COOKIE_SECRET), Revocations::none()).unwrap()
}

fn sessions() -> Sessions {
    sessions_of(&config(vec![hs256(None)]))
}

fn now() -> u64 {
    unix(SystemTime::now())
}

/// A token with any header and payload, signed with a secret.
fn token(header: &Value, payload: &Value) -> String {
    signed(header, payload, SECRET)
}

fn signed(header: &Value, payload: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let key = EncodingKey::from_secret(secret);
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn session_header() -> Value {
    json!({ "alg": "HS256", "typ": "vestibule-session+jwt" })
}

fn session_payload() -> Value {
    json!({
        "sub": "alice", "aud": "vestibule", "iat": now(), "exp": now() + 600, "sid": "s-1",
    })
}

fn handoff_header() -> Value {
    json!({ "alg": "HS256", "typ": "vestibule-handoff+jwt" })
}

fn handoff_payload(jti: &str) -> Value {
    let now = now();
    json!({
        "sub": "alice", "uid": 7, "aud": "vestibule", "iat": now, "exp": now + 30,
        "jti": jti, "state": state::seal("nonce", 0, &Secret::new(COOKIE_SECRET)),
    })
}

/// `base` with some members set.
fn with(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn without(mut base: Value, name: &str) -> Value {
    base.as_object_mut().unwrap().remove(name);
    base
}

fn cookies(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(text).unwrap())])
}

fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}
