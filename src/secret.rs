//! Bytes that must never be printed, and the few things done with them.
//!
//! Imports nothing of ours. Promise: `Debug` of a [`Secret`] shows nothing of it.

use std::{fmt, fmt::Write as _, sync::Arc};

/// Secret bytes. `Debug` shows only their number.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Wraps bytes that came from a file or the random source.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// `length` bytes from the operating system's random source.
    ///
    /// # Panics
    /// If the system has no random source: nothing here would be safe without one.
    pub fn random(length: usize) -> Self {
        let mut bytes = vec![0; length];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
        Self(bytes.into())
    }

    /// The bytes themselves, for a signer, a verifier or the one header they are for.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// HMAC-SHA-256 (RFC 2104) of `parts` under this key, in 64 hex digits. Each part is
    /// preceded by its length, so that no two lists of parts run together alike.
    pub fn hmac_hex(&self, parts: &[&[u8]]) -> String {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.0);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        hex(context.sign().as_ref())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// `bytes` in lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a String takes any text");
    }
    out
}

/// A random identifier of 128 bits in base64url: nonces, session ids.
pub fn random_id() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Secret::random(16).expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        assert_eq!(format!("{:?}", Secret::new(*b"hunter2")), "Secret(7 bytes)");
    }

    #[test]
    fn parts_of_an_hmac_do_not_run_together() {
        let key = Secret::new(*b"k");
        assert_ne!(key.hmac_hex(&[b"ab", b"c"]), key.hmac_hex(&[b"a", b"bc"]));
    }
}
