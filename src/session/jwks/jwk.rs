//! Public keys as JSON (RFC 7517, RFC 7518 6, RFC 8037 2), each judged by itself: a key that is
//! of no use here does not hide those beside it (RFC 7517 5).

use std::sync::Arc;

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{PublicEncryptingKey, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use crate::{config::Algorithm, session::keys::VerifyingKey};

/// Most keys taken from a set: signers publish two or three.
const MOST_KEYS: usize = 64;
/// Longest id of a key, in bytes.
const MAX_ID: usize = 128;

/// What there is to use in a set of keys.
#[derive(Debug)]
pub struct KeySet {
    pub keys: Vec<Arc<VerifyingKey>>,
    /// Which others there were, and what is wrong with them.
    pub skipped: Vec<String>,
}

/// An answer that is no set of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or not of that form.
    #[error("the answer is no JSON Web Key Set")]
    Malformed(#[from] serde_json::Error),
    /// Nothing in it can be used.
    #[error("the key set holds no key that can be used here{}{}", if .0.is_empty() { "" } else { ": " }, .0.join("; "))]
    NoKeys(Vec<String>),
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private half, which is nobody's business.
    d: Option<IgnoredAny>,
}

/// Reads a set of keys.
///
/// # Errors
/// [`KeySetError`] if there is no key to use.
pub fn read(text: &[u8]) -> Result<KeySet, KeySetError> {
    let written: Written = serde_json::from_slice(text)?;
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for (index, value) in written.keys.into_iter().take(MOST_KEYS).enumerate() {
        let title = match value.get("kid").and_then(Value::as_str) {
            Some(id) => format!("key {:?}", id.chars().take(MAX_ID).collect::<String>()),
            None => format!("key number {}", index + 1),
        };
        match serde_json::from_value(value) {
            Ok(jwk) => match key(jwk) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(why) => skipped.push(format!("{title} {why}")),
            },
            Err(_) => skipped.push(format!("{title} is no JSON Web Key")),
        }
    }
    if keys.is_empty() {
        return Err(KeySetError::NoKeys(skipped));
    }
    Ok(KeySet { keys, skipped })
}

/// One key, or why it can't be used.
fn key(jwk: Jwk) -> Result<VerifyingKey, &'static str> {
    let fits = |id: &String| (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
    if !jwk.kid.as_ref().is_none_or(fits) {
        return Err("has an id that is too long or holds control characters");
    }
    if jwk.d.is_some() {
        return Err("is published with its private half: make a new one");
    }
    if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
        return Err("is not for signatures");
    }
    let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
    if !jwk.key_ops.as_ref().is_none_or(verifies) {
        return Err("is not for checking signatures");
    }
    let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    let (algorithm, name, public) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::Rs256, "RS256", rsa(part(&jwk.n), part(&jwk.e))),
        ("EC", Some("P-256")) => (Algorithm::Es256, "ES256", p256(part(&jwk.x), part(&jwk.y))),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, "EdDSA", ed25519(part(&jwk.x))),
        ("oct", _) => return Err("is a shared secret, which must not be published"),
        _ => return Err("is of a kind that is not supported"),
    };
    if jwk.alg.is_some_and(|alg| alg != name) {
        return Err("is for an `alg` that is not supported");
    }
    let public = public.ok_or("is no good RSA (2048 to 8192 bits), P-256 or Ed25519 key")?;
    Ok(VerifyingKey::public(jwk.kid, algorithm, public))
}

fn rsa(n: Option<Vec<u8>>, e: Option<Vec<u8>>) -> Option<DecodingKey> {
    // Some signers write the zero that keeps a number positive elsewhere.
    let bare = |number: Vec<u8>| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number[zeros..].to_vec()
    };
    let public = PublicKeyComponents {
        n: bare(n?),
        e: bare(e?),
    };
    let spki = public.as_der().ok()?;
    // Only this form of the key says whether its length is allowed.
    PublicEncryptingKey::from_der(spki.as_ref()).ok()?;
    Some(DecodingKey::from_rsa_der(spki.as_ref()))
}

/// Coordinates are written in full length (RFC 7518 6.2.1.2).
fn p256(x: Option<Vec<u8>>, y: Option<Vec<u8>>) -> Option<DecodingKey> {
    let (x, y) = (x.filter(|x| x.len() == 32)?, y.filter(|y| y.len() == 32)?);
    let point = [&[4], &x[..], &y[..]].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).ok()?;
    Some(DecodingKey::from_ec_der(&point))
}

fn ed25519(x: Option<Vec<u8>>) -> Option<DecodingKey> {
    let x = x.filter(|x| x.len() == 32)?;
    ParsedPublicKey::new(&ED25519, &x).ok()?;
    Some(DecodingKey::from_ed_der(&x))
}
