//! Keys that tokens are checked and signed with. One key has one algorithm (RFC 8725 3.1), so
//! that no token can choose how it is checked.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa,
    signature::{
        self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    },
};
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};

use crate::{
    config::{self, Algorithm},
    secret::Secret,
};

/// Fewest bytes of a shared secret: as many as its hash has (RFC 7518 3.2).
pub(super) const MIN_SECRET: usize = 32;

/// A key can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An HS256 secret that could be guessed.
    #[error("{key} has {length} bytes; HS256 needs at least {MIN_SECRET} random ones")]
    Short {
        /// Which key.
        key: String,
        /// How many bytes it has.
        length: usize,
    },
    /// An HS256 secret that is really a key file, which others may well know.
    #[error("{key} is a PEM file; HS256 needs a shared secret, or name the key's own algorithm")]
    PemAsSecret {
        /// Which key.
        key: String,
    },
    /// Not a key in PEM for its algorithm.
    #[error("{key} is no {algorithm} key in PEM (RSA of 2048 to 8192 bits, P-256 or Ed25519)")]
    Unusable {
        /// Which key.
        key: String,
        /// The algorithm it should be for.
        algorithm: &'static str,
    },
}

/// A key that checks signatures.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    withdrawn: AtomicBool,
}

impl VerifyingKey {
    /// Reads a configured key, the `index`th (from 0) of its list.
    pub fn new(key: &config::Key, index: usize) -> Result<Self, KeyError> {
        let decoding = match key.algorithm {
            Algorithm::Hs256 => DecodingKey::from_secret(checked_secret(key, index)?),
            _ => public_key(key).ok_or_else(|| unusable(key, index))?,
        };
        Ok(Self {
            id: key.id.clone(),
            algorithm: key.algorithm,
            key: decoding,
            withdrawn: AtomicBool::new(false),
        })
    }

    /// The key of our own cookies.
    pub fn for_our_cookie(secret: &Secret) -> Result<Self, KeyError> {
        let length = secret.expose().len();
        if length < MIN_SECRET {
            let key = "the cookie key".to_owned();
            return Err(KeyError::Short { key, length });
        }
        Ok(Self {
            id: None,
            algorithm: Algorithm::Hs256,
            key: DecodingKey::from_secret(secret.expose()),
            withdrawn: AtomicBool::new(false),
        })
    }

    /// A public key as bytes of the form that this algorithm takes, already judged.
    pub fn public(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        Self {
            id,
            algorithm,
            key,
            withdrawn: AtomicBool::new(false),
        }
    }

    /// Whether it is the same key for the same tokens.
    pub fn is_same(&self, other: &Self) -> bool {
        let bytes = |key: &Self| key.key.try_get_as_bytes().ok().map(<[u8]>::to_vec);
        self.id == other.id && self.algorithm == other.algorithm && bytes(self) == bytes(other)
    }

    /// Its owner no longer uses it: what it once proved is proved no more.
    pub fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::SeqCst);
    }

    /// Whether it was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::SeqCst)
    }

    /// The `kid` of tokens it checks.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The `alg` of tokens it checks.
    pub fn algorithm_name(&self) -> &'static str {
        name(self.algorithm)
    }

    /// Whether `signature` (base64url) is this key's under `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.key, registered(self.algorithm)).unwrap_or(false)
    }
}

/// The signing half of a configured key, the `index`th of its list; `None` if it has none.
pub(super) fn signing_key(
    key: &config::Key,
    index: usize,
) -> Result<Option<EncodingKey>, KeyError> {
    if key.algorithm == Algorithm::Hs256 {
        return Ok(Some(EncodingKey::from_secret(checked_secret(key, index)?)));
    }
    public_key(key).ok_or_else(|| unusable(key, index))?;
    let Some(private) = private_der(key) else {
        return Ok(None);
    };
    let signing = match key.algorithm {
        Algorithm::Rs256 => EncodingKey::from_rsa_pem(key.material.expose()).ok(),
        // The signer reads PKCS #8 alone.
        Algorithm::Es256 => p256_pair(&private)
            .and_then(|pair| pair.to_pkcs8v1().ok())
            .map(|pkcs8| EncodingKey::from_ec_der(pkcs8.as_ref())),
        _ => Some(EncodingKey::from_ed_der(private.secret_der())),
    };
    signing.map(Some).ok_or_else(|| unusable(key, index))
}

/// The registered name of an algorithm.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 => "HS256",
        Algorithm::Rs256 => "RS256",
        Algorithm::Es256 => "ES256",
        Algorithm::EdDsa => "EdDSA",
    }
}

/// The library's name of an algorithm.
pub(super) fn registered(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// How messages name a key: by its id or its place in the list, counted from 1.
fn title(key: &config::Key, index: usize) -> String {
    match &key.id {
        Some(id) => format!("session key {id:?}"),
        None => format!("session key number {}", index + 1),
    }
}

fn unusable(key: &config::Key, index: usize) -> KeyError {
    KeyError::Unusable {
        key: title(key, index),
        algorithm: name(key.algorithm),
    }
}

fn checked_secret(key: &config::Key, index: usize) -> Result<&[u8], KeyError> {
    let secret = key.material.expose();
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        let key = title(key, index);
        return Err(KeyError::PemAsSecret { key });
    }
    if secret.len() < MIN_SECRET {
        let (key, length) = (title(key, index), secret.len());
        return Err(KeyError::Short { key, length });
    }
    Ok(secret)
}

fn private_der(key: &config::Key) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(key.material.expose()).ok()
}

fn p256_pair(private: &PrivateKeyDer<'_>) -> Option<EcdsaKeyPair> {
    let (algorithm, der) = (&ECDSA_P256_SHA256_FIXED_SIGNING, private.secret_der());
    EcdsaKeyPair::from_private_key_der(algorithm, der).ok()
}

/// The public half of a key in PEM, derived if the PEM holds the private one, and proven to be
/// a key of its algorithm: the library would find out only at the first token.
fn public_key(key: &config::Key) -> Option<DecodingKey> {
    let pem = key.material.expose();
    let (public, kind): (_, &'static dyn signature::VerificationAlgorithm) =
        match (key.algorithm, private_der(key)) {
            (Algorithm::Hs256, _) => return None,
            (Algorithm::Rs256, Some(private)) => {
                let der = private.secret_der();
                let pair = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der));
                let public = DecodingKey::from_rsa_der(pair.ok()?.public_key().as_ref());
                (public, &RSA_PKCS1_2048_8192_SHA256)
            }
            (Algorithm::Rs256, None) => (
                DecodingKey::from_rsa_pem(pem).ok()?,
                &RSA_PKCS1_2048_8192_SHA256,
            ),
            (Algorithm::Es256, Some(private)) => {
                let pair = p256_pair(&private)?;
                let public = DecodingKey::from_ec_der(pair.public_key().as_ref());
                (public, &ECDSA_P256_SHA256_FIXED)
            }
            (Algorithm::Es256, None) => (
                DecodingKey::from_ec_pem(pem).ok()?,
                &ECDSA_P256_SHA256_FIXED,
            ),
            (Algorithm::EdDsa, Some(private)) => {
                let pair = Ed25519KeyPair::from_pkcs8(private.secret_der()).ok()?;
                (
                    DecodingKey::from_ed_der(pair.public_key().as_ref()),
                    &ED25519,
                )
            }
            (Algorithm::EdDsa, None) => (DecodingKey::from_ed_pem(pem).ok()?, &ED25519),
        };
    let bytes = public.try_get_as_bytes().ok()?;
    ParsedPublicKey::new(kind, bytes).ok()?;
    if key.algorithm == Algorithm::Rs256 {
        // Only this form of the key says at once whether its length is allowed.
        let spki = rsa::PublicKey::from_der(bytes).ok()?.as_der().ok()?;
        rsa::PublicEncryptingKey::from_der(spki.as_ref()).ok()?;
    }
    Some(public)
}
