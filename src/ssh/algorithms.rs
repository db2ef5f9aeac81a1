//! What we speak: modern algorithms only, in the order of OpenSSH's own choice, and no
//! compression. `ssh-audit` has nothing to say against any of them.

use std::{borrow::Cow, sync::Arc, time::Duration};

use russh::{
    MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex,
    keys::{Algorithm, HashAlg, PrivateKey, PublicKey},
    mac,
    server::Config,
};

/// How much a client may send before it hears from us, in bytes; OpenSSH's is the same (64
/// packets of 32 KiB).
const WINDOW: u32 = 2 << 20;

/// Strict key exchange (the answer to CVE-2023-48795, OpenSSH PROTOCOL 1.10) is the last one.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
/// Encrypt-then-MAC alone; GCM has its own.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
/// Kinds of keys: ours is the first; the rest is for RSA keys, users' and ours (RFC 8332).
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// The shortest RSA key of a user, in bits: what NIST SP 800-131A asks for.
const RSA_BITS: u32 = 2048;

/// Whether a user may prove themselves by this key and such a signature. russh leaves that to us:
/// it takes SHA-1 and RSA keys of any size.
pub fn is_strong(key: &PublicKey, signed: &Algorithm) -> bool {
    match signed {
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256 => true,
        Algorithm::Rsa { hash: Some(_) } => {
            let rsa = key.key_data().rsa();
            rsa.is_some_and(|rsa| rsa.key_size() >= RSA_BITS)
        }
        _ => false,
    }
}

/// How long a refusal takes at least, so that none tells by its time what was wrong.
const REFUSAL: Duration = Duration::from_millis(300);
/// How often a silent client is asked whether it is there, and how often in vain.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVES: usize = 3;
/// How many wrong keys, tokens and approvals one connection may try; an agent may hold many
/// keys, and OpenSSH's own bound is 6.
const ATTEMPTS: usize = 8;

/// The server's side of every connection.
pub fn server(host_keys: Vec<PrivateKey>, approval: bool) -> Arc<Config> {
    let mut methods = MethodSet::empty();
    methods.push(MethodKind::PublicKey);
    methods.push(MethodKind::Password);
    if approval {
        methods.push(MethodKind::KeyboardInteractive);
    }
    Arc::new(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Vestibule")),
        methods,
        auth_rejection_time: REFUSAL,
        // The first request is not a try: it asks which ways there are.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: host_keys,
        window_size: WINDOW,
        maximum_packet_size: 32 * 1024,
        event_buffer_size: 32,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Borrowed(KEYS),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        max_auth_attempts: ATTEMPTS,
        // The time to log in and the age of a connection are bounded elsewhere.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_none_with_sha1_and_of_no_kind_that_is_unheard_of() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
        let key = PublicKey::from_openssh(key).unwrap();
        for (signed, strong) in [
            ("ssh-ed25519", true),
            ("ecdsa-sha2-nistp256", true),
            ("sk-ssh-ed25519@openssh.com", true),
            // Whatever the key is.
            ("ssh-rsa", false),
            ("ssh-dss", false),
            ("rsa-sha2-256", false),
            ("new@example.org", false),
        ] {
            let algorithm = Algorithm::new(signed).unwrap();
            assert_eq!(is_strong(&key, &algorithm), strong, "{signed}");
        }
    }
}
