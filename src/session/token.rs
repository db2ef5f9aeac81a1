//! The compact form of a JWT (RFC 7515 3.1, RFC 7519): taken apart once, its kind, key and
//! signature checked before any claim is looked at (RFC 8725).
//!
//! The library gives the signature algorithms alone: it judges neither `typ` nor `crit`, and
//! two readers of one header would be one too many.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{denied::Reason, keys::VerifyingKey};

/// `typ` of a session token signed by the web application.
pub(super) const SESSION: &str = "vestibule-session+jwt";
/// `typ` of a hand-off token.
pub(super) const HANDOFF: &str = "vestibule-handoff+jwt";
/// `typ` of a token that is a password for SSH.
pub(super) const SSH: &str = "vestibule-ssh+jwt";
/// `typ` of our own session cookie.
pub(super) const COOKIE: &str = "vestibule-cookie+jwt";

/// `typ` of an admin token.
pub(super) const ADMIN: &str = "vestibule-admin+jwt";

/// A JSON object: a header or a payload.
pub(super) type Object = Map<String, Value>;

/// Opens a token of the given `typ` signed by one of `keys` and returns its payload, whose
/// claims are still unchecked, and that key.
///
/// A token with a `kid` is checked with the keys of that id alone, one without with those
/// that have none; either way only with keys of exactly its `alg`.
pub(super) fn open(
    token: &str,
    typ: &str,
    keys: &[Arc<VerifyingKey>],
) -> Result<(Object, Arc<VerifyingKey>), Reason> {
    if token.len() > super::denied::MAX_LENGTH {
        return Err(Reason::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Reason::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Reason::Malformed)?;
    let header = object(header).ok_or(Reason::Malformed)?;
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Reason::Extension);
    }
    if !has_type(&header, typ) {
        return Err(Reason::Kind);
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(Reason::IllFormed("kid")),
    };
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or(Reason::Algorithm)?;
    let mut right_id = keys.iter().filter(|key| key.id() == kid).peekable();
    right_id.peek().ok_or(Reason::UnknownKey)?;
    let mut right = right_id
        .filter(|key| key.algorithm_name() == algorithm)
        .peekable();
    right.peek().ok_or(Reason::Algorithm)?;
    let key = right.find(|key| key.verifies(message.as_bytes(), signature));
    let key = key.ok_or(Reason::Signature)?;
    let payload = object(payload).ok_or(Reason::Malformed)?;
    Ok((payload, Arc::clone(key)))
}

/// Whether a text is a token for us by its `typ`, whatever it is worth.
pub(super) fn is_ours(token: &str) -> bool {
    let header = token.split_once('.').and_then(|(header, _)| object(header));
    header.is_some_and(|header| {
        [SESSION, HANDOFF, COOKIE, ADMIN, SSH]
            .iter()
            .any(|t| has_type(&header, t))
    })
}

/// `application/` may stand before a `typ`, and case doesn't matter (RFC 7515 4.1.9).
fn has_type(header: &Object, typ: &str) -> bool {
    let Some(found) = header.get("typ").and_then(Value::as_str) else {
        return false;
    };
    let short = match found.split_once('/') {
        Some((tree, rest)) if tree.eq_ignore_ascii_case("application") => rest,
        _ => found,
    };
    short.eq_ignore_ascii_case(typ)
}

fn object(part: &str) -> Option<Object> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
