//! Signing: our own cookies, and tokens by hand for `vestibule token`.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Map, Value, json};

use super::{
    admin::{self, ADMIN_SECONDS},
    claims::{Claims, HANDOFF_SECONDS, Issued, Rules, SSH_SECONDS, ssh_audience, unix},
    keys::{self, KeyError},
    token,
};
use crate::{
    config::{self, Algorithm, Scope},
    names::Username,
    secret::{Secret, random_id},
};

/// What a token signed by hand is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A session: a bearer token or the shared cookie.
    Session,
    /// A hand-off to the callback.
    Handoff,
    /// A password for SSH.
    Ssh,
}

/// A token can't be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is no such key.
    #[error("no session key has the id {0:?}")]
    NoSuchKey(String),
    /// There is no key at all.
    #[error("no session key is configured")]
    NoKey,
    /// The key only checks.
    #[error("the key file holds a public key, which can't sign; the private one can")]
    PublicKey,
    /// The key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The token would be refused.
    #[error("a token of this kind may live from 1 second to {longest} seconds")]
    Lifetime {
        /// The longest that is accepted.
        longest: u64,
    },
}

/// Signs a token for `user` with the configured key of this id, or the first one.
///
/// # Errors
/// [`SignError`] if there is no such key, it can't sign, or the token would live too long.
pub fn sign(
    config: &config::Session,
    key_id: Option<&str>,
    kind: TokenKind,
    user: &Username,
    lifetime: Duration,
    state: Option<&str>,
) -> Result<String, SignError> {
    let (typ, longest) = match kind {
        TokenKind::Session => (token::SESSION, 10 * 365 * 24 * 60 * 60),
        TokenKind::Handoff => (token::HANDOFF, HANDOFF_SECONDS),
        TokenKind::Ssh => (token::SSH, SSH_SECONDS),
    };
    let audience = match kind {
        TokenKind::Ssh => ssh_audience(&config.audience),
        TokenKind::Session | TokenKind::Handoff => config.audience.clone(),
    };
    let mut payload = object(json!({ "sub": user.as_str(), "aud": audience }));
    if let Some(state) = state {
        payload.insert("state".to_owned(), json!(state));
    }
    signed(config, key_id, typ, payload, lifetime, longest)
}

/// Signs an admin token that lets its bearer ask for `scopes`; `by` is who, for the audit log.
///
/// # Errors
/// As [`sign`].
pub fn sign_admin(
    config: &config::Session,
    key_id: Option<&str>,
    by: &str,
    scopes: &[Scope],
    lifetime: Duration,
) -> Result<String, SignError> {
    let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let payload = object(json!({
        "sub": by,
        "aud": admin::audience(&config.audience),
        "scope": words.join(" "),
    }));
    signed(
        config,
        key_id,
        token::ADMIN,
        payload,
        lifetime,
        ADMIN_SECONDS,
    )
}

/// Adds what every token has, and signs.
fn signed(
    config: &config::Session,
    key_id: Option<&str>,
    typ: &str,
    mut payload: Map<String, Value>,
    lifetime: Duration,
    longest: u64,
) -> Result<String, SignError> {
    let mut keys = config.keys.iter().enumerate();
    let (index, key) = match key_id {
        Some(id) => keys
            .find(|(_, key)| key.id.as_deref() == Some(id))
            .ok_or_else(|| SignError::NoSuchKey(id.to_owned()))?,
        None => keys.next().ok_or(SignError::NoKey)?,
    };
    let signing = keys::signing_key(key, index)?.ok_or(SignError::PublicKey)?;
    let seconds = lifetime.as_secs();
    if !(1..=longest).contains(&seconds) {
        return Err(SignError::Lifetime { longest });
    }
    let now = unix(SystemTime::now());
    payload.extend(object(json!({
        "iat": now,
        "exp": now + seconds,
        "jti": random_id(),
    })));
    if let Some(issuer) = &config.issuer {
        payload.insert("iss".to_owned(), json!(issuer));
    }
    compact(typ, key.id.as_deref(), payload, &signing, key.algorithm).ok_or(SignError::PublicKey)
}

/// The value of our session cookie.
pub(super) fn cookie_token(
    key: &Secret,
    rules: &Rules,
    claims: &Claims,
    now: SystemTime,
) -> String {
    let mut payload = of_session(rules, claims, now);
    // Of another's token it is not known; then the cookie is as old as can be.
    let after = match claims.issued {
        Issued::After(number) => number,
        Issued::At(_) => 0,
    };
    payload.insert("after".to_owned(), json!(after));
    payload.insert("exp".to_owned(), json!(unix(claims.expires)));
    if let Some(token) = &claims.token {
        payload.insert("jti".to_owned(), json!(token));
    }
    signed_by_us(token::COOKIE, payload, key)
}

/// A password for SSH of our own making.
pub(super) fn ssh_token(
    key: &Secret,
    rules: &Rules,
    claims: &Claims,
    lifetime: Duration,
) -> String {
    let now = SystemTime::now();
    let mut payload = of_session(rules, claims, now);
    payload.extend(object(json!({
        "exp": unix(now + lifetime),
        "session_exp": unix(claims.expires),
        "jti": random_id(),
    })));
    signed_by_us(token::SSH, payload, key)
}

/// What a token of ours says of the session that it is part of.
fn of_session(rules: &Rules, claims: &Claims, now: SystemTime) -> Map<String, Value> {
    let mut payload = object(json!({
        "sub": claims.user.as_str(),
        "aud": rules.audience,
        "iat": unix(now),
        "sid": claims.session,
    }));
    if let Some(uid) = &claims.uid {
        payload.insert("uid".to_owned(), json!(uid));
    }
    if let Some(apps) = &claims.apps {
        let names: Vec<_> = apps.iter().map(crate::names::AppName::as_str).collect();
        payload.insert("apps".to_owned(), json!(names));
    }
    payload
}

fn signed_by_us(typ: &str, payload: Map<String, Value>, key: &Secret) -> String {
    let key = EncodingKey::from_secret(key.expose());
    compact(typ, None, payload, &key, Algorithm::Hs256)
        .expect("an HMAC can be made of any text with any key")
}

/// The compact form (RFC 7515 3.1); `None` if the key can't sign.
pub(super) fn compact(
    typ: &str,
    key_id: Option<&str>,
    payload: Map<String, Value>,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> Option<String> {
    let mut header = object(json!({ "alg": keys::name(algorithm), "typ": typ }));
    if let Some(id) = key_id {
        header.insert("kid".to_owned(), json!(id));
    }
    let part = |object| URL_SAFE_NO_PAD.encode(Value::Object(object).to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let signature = crypto::sign(message.as_bytes(), key, keys::registered(algorithm)).ok()?;
    Some(format!("{message}.{signature}"))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
