//! Every algorithm, with keys in every form, and no way to mix them up (J2).

use aws_lc_rs::{
    encoding::{AsDer as _, EcPrivateKeyRfc5915Der, PublicKeyX509Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _,
    },
};
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::{
    names::Username,
    session::{Denied, Handoff, KeyError, Reason, SignError, TokenKind, sign},
};

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let text = format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    );
    text.into_bytes()
}

/// A key pair in every form of PEM that may hold it.
struct Pair {
    algorithm: Algorithm,
    private: Vec<Vec<u8>>,
    public: Vec<Vec<u8>>,
}

fn rsa(size: KeySize) -> Pair {
    let pair = RsaKeyPair::generate(size).unwrap();
    let pkcs8 = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair);
    Pair {
        algorithm: Algorithm::Rs256,
        private: vec![pem("PRIVATE KEY", pkcs8.unwrap().as_ref())],
        public: vec![
            pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
            pem("RSA PUBLIC KEY", pair.public_key().as_ref()),
        ],
    }
}

fn p256() -> Pair {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    Pair {
        algorithm: Algorithm::Es256,
        private: vec![
            pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
            pem("EC PRIVATE KEY", sec1.as_ref()),
        ],
        public: vec![pem("PUBLIC KEY", public.as_ref())],
    }
}

fn ed25519() -> Pair {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    Pair {
        algorithm: Algorithm::EdDsa,
        private: vec![
            pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
            pem("PRIVATE KEY", pair.to_pkcs8().unwrap().as_ref()),
        ],
        public: vec![pem("PUBLIC KEY", public.as_ref())],
    }
}

fn alice() -> Username {
    Username::parse("alice").unwrap()
}

fn signed_by(key: Key, kind: TokenKind, state: Option<&str>) -> Result<String, SignError> {
    let lifetime = Duration::from_secs(30);
    sign(&config(vec![key]), None, kind, &alice(), lifetime, state)
}

pub(super) fn refused<T>(outcome: Result<T, Denied>) -> Option<Reason> {
    match outcome.err() {
        Some(Denied::Refused { reason }) => Some(reason),
        _ => None,
    }
}

#[test]
fn every_algorithm_works_with_keys_in_every_form() {
    let secret = Pair {
        algorithm: Algorithm::Hs256,
        private: vec![SECRET.to_vec()],
        public: vec![],
    };
    for pair in [secret, rsa(KeySize::Rsa2048), p256(), ed25519()] {
        let algorithm = pair.algorithm;
        for (signer, private) in pair.private.iter().enumerate() {
            let signing = || key(Some("k"), algorithm, private);
            let session = signed_by(signing(), TokenKind::Session, None).unwrap();
            for checker in pair.private.iter().chain(&pair.public) {
                let sessions = sessions_of(&config(vec![key(Some("k"), algorithm, checker)]));
                let entry = sessions.authenticate(&bearer(&session)).unwrap();
                assert_eq!(entry.claims().user, alice(), "{algorithm:?} {signer}");
                let state = state::seal("n", 0, &Secret::new(COOKIE_SECRET));
                let handoff = signed_by(signing(), TokenKind::Handoff, Some(&state)).unwrap();
                let login = sessions.handoff(&handoff, Some("n"));
                assert!(
                    matches!(login, Ok(Handoff::Login(_))),
                    "{algorithm:?} {signer}"
                );
                let (message, _) = session.rsplit_once('.').unwrap();
                let forged = bearer(&format!("{message}.AAAA"));
                assert_eq!(
                    refused(sessions.authenticate(&forged)),
                    Some(Reason::Signature)
                );
            }
        }
    }
}

#[test]
fn a_token_of_another_key_of_the_same_algorithm_is_refused() {
    for (one, other) in [(p256(), p256()), (ed25519(), ed25519())] {
        let signing = key(None, one.algorithm, &one.private[0]);
        let token = signed_by(signing, TokenKind::Session, None).unwrap();
        let sessions = sessions_of(&config(vec![key(None, other.algorithm, &other.public[0])]));
        assert_eq!(
            refused(sessions.authenticate(&bearer(&token))),
            Some(Reason::Signature)
        );
    }
}

#[test]
fn j2_a_public_key_is_no_shared_secret() {
    for pair in [rsa(KeySize::Rsa2048), p256(), ed25519()] {
        let public = &pair.public[0];
        let sessions = sessions_of(&config(vec![key(None, pair.algorithm, public)]));
        for secret in [public.as_slice(), public.trim_ascii_end()] {
            let forged = signed(&session_header(), &session_payload(), secret);
            assert_eq!(
                refused(sessions.authenticate(&bearer(&forged))),
                Some(Reason::Algorithm)
            );
            let name = super::super::keys::name(pair.algorithm);
            let header = with(session_header(), &json!({ "alg": name }));
            let posing = signed(&header, &session_payload(), secret);
            assert_eq!(
                refused(sessions.authenticate(&bearer(&posing))),
                Some(Reason::Signature)
            );
        }
    }
}

#[test]
fn the_kid_picks_the_key_and_nothing_else_does() {
    let other = b"another secret of 32 bytes or so, yes";
    let sessions = sessions_of(&config(vec![
        key(Some("one"), Algorithm::Hs256, SECRET),
        key(Some("two"), Algorithm::Hs256, other),
        key(
            None,
            Algorithm::Hs256,
            b"the secret for tokens without any kid",
        ),
    ]));
    for (kid, secret, outcome) in [
        (json!("one"), SECRET, None),
        (json!("two"), &other[..], None),
        (json!("two"), SECRET, Some(Reason::Signature)),
        (json!("three"), SECRET, Some(Reason::UnknownKey)),
        (json!("../one"), SECRET, Some(Reason::UnknownKey)),
        (json!(null), SECRET, Some(Reason::IllFormed("kid"))),
        (json!(1), SECRET, Some(Reason::IllFormed("kid"))),
    ] {
        let header = with(session_header(), &json!({ "kid": kid }));
        let token = signed(&header, &session_payload(), secret);
        assert_eq!(
            refused(sessions.authenticate(&bearer(&token))),
            outcome,
            "{kid}"
        );
    }
    for (secret, outcome) in [
        (&b"the secret for tokens without any kid"[..], None),
        (SECRET, Some(Reason::Signature)),
    ] {
        let token = signed(&session_header(), &session_payload(), secret);
        assert_eq!(refused(sessions.authenticate(&bearer(&token))), outcome);
    }
    let all_named = sessions_of(&config(vec![hs256(Some("one"))]));
    let token = token(&session_header(), &session_payload());
    assert_eq!(
        refused(all_named.authenticate(&bearer(&token))),
        Some(Reason::UnknownKey)
    );
}

#[test]
fn several_keys_without_an_id_are_tried_in_turn() {
    let keys = vec![
        key(
            None,
            Algorithm::Hs256,
            b"last year's secret of 32 bytes, or 33",
        ),
        key(None, Algorithm::Es256, &p256().public[0]),
        hs256(None),
    ];
    let token = token(&session_header(), &session_payload());
    assert!(
        sessions_of(&config(keys))
            .authenticate(&bearer(&token))
            .is_ok()
    );
}

#[test]
fn a_key_that_is_not_of_its_algorithm_is_refused_by_name() {
    let (rsa, p256, ed25519) = (rsa(KeySize::Rsa2048), p256(), ed25519());
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p384_public: PublicKeyX509Der<'_> = p384.public_key().as_der().unwrap();
    let p384_public = pem("PUBLIC KEY", p384_public.as_ref());
    let p384_private = pem("PRIVATE KEY", p384.to_pkcs8v1().unwrap().as_ref());
    for (algorithm, material) in [
        (Algorithm::Rs256, &p256.public[0]),
        (Algorithm::Rs256, &p256.private[0]),
        (Algorithm::Rs256, &ed25519.public[0]),
        (Algorithm::Es256, &rsa.public[0]),
        (Algorithm::Es256, &rsa.private[0]),
        (Algorithm::Es256, &ed25519.private[0]),
        (Algorithm::Es256, &p384_public),
        (Algorithm::Es256, &p384_private),
        (Algorithm::EdDsa, &p256.public[0]),
        (Algorithm::EdDsa, &p256.private[0]),
        (Algorithm::EdDsa, &rsa.private[0]),
        (Algorithm::Rs256, &SECRET.to_vec()),
        (Algorithm::Es256, &vec![]),
        (Algorithm::EdDsa, &pem("PUBLIC KEY", b"junk")),
        (Algorithm::Rs256, &pem("CERTIFICATE", b"junk")),
    ] {
        let faulty = key(Some("k7"), algorithm, material);
        let error = Sessions::new(
            &config(vec![faulty]),
            Secret::new(COOKIE_SECRET),
            Revocations::none(),
        )
        .unwrap_err();
        assert!(
            matches!(error, KeyError::Unusable { .. }),
            "{algorithm:?} {error}"
        );
        assert!(error.to_string().contains("\"k7\""), "{error}");
    }
}

#[test]
fn an_rsa_key_that_is_too_short_is_refused() {
    // aws-lc-rs makes none below 2048 bits. A public key is but two numbers, n and e, in DER
    // (RFC 8017 A.1.1), and any odd n has the right form.
    let public = |bytes: usize| {
        let mut n = Secret::random(bytes).expose().to_vec();
        (n[0], n[bytes - 1]) = (n[0] | 0x80, n[bytes - 1] | 1);
        let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
        let n = [&[2, 0x82][..], &length(bytes + 1), &[0], &n].concat();
        let inner = [&n[..], &[2, 3, 1, 0, 1]].concat();
        pem(
            "RSA PUBLIC KEY",
            &[&[0x30, 0x82][..], &length(inner.len()), &inner].concat(),
        )
    };
    let long = config(vec![key(None, Algorithm::Rs256, &public(256))]);
    Sessions::new(&long, Secret::new(COOKIE_SECRET), Revocations::none()).unwrap();
    let short = &public(128);
    let faulty = config(vec![key(None, Algorithm::Rs256, short)]);
    let error =
        Sessions::new(&faulty, Secret::new(COOKIE_SECRET), Revocations::none()).unwrap_err();
    assert!(matches!(error, KeyError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("number 1"), "{error}");
}

#[test]
fn a_secret_that_could_be_guessed_or_is_public_is_refused() {
    for (material, found) in [
        (&b"short"[..], "session key number 1 has 5 bytes"),
        (&[7; 31][..], "session key number 1 has 31 bytes"),
        (&p256().public[0][..], "session key number 1 is a PEM file"),
    ] {
        let faulty = config(vec![key(None, Algorithm::Hs256, material)]);
        let error =
            Sessions::new(&faulty, Secret::new(COOKIE_SECRET), Revocations::none()).unwrap_err();
        assert!(error.to_string().starts_with(found), "{error}");
    }
    let good = config(vec![hs256(None)]);
    let error = Sessions::new(&good, Secret::new([7; 31]), Revocations::none()).unwrap_err();
    assert!(
        error.to_string().starts_with("the cookie key has 31 bytes"),
        "{error}"
    );
}

#[test]
fn signing_by_hand_picks_the_key_and_keeps_the_bounds() {
    let mut both = config(vec![hs256(Some("one")), hs256(Some("two"))]);
    both.issuer = Some("https://www".to_owned());
    let by = |id: Option<&str>, kind, seconds| {
        sign(
            &both,
            id,
            kind,
            &alice(),
            Duration::from_secs(seconds),
            None,
        )
    };
    let sessions = sessions_of(&both);
    for id in [None, Some("two")] {
        let token = by(id, TokenKind::Session, 3600).unwrap();
        assert!(sessions.authenticate(&bearer(&token)).is_ok());
    }
    let stateless = by(None, TokenKind::Handoff, 60).unwrap();
    assert!(matches!(
        sessions.handoff(&stateless, None),
        Ok(Handoff::NeedsState)
    ));
    for (outcome, error) in [
        (
            by(Some("x"), TokenKind::Session, 60),
            SignError::NoSuchKey("x".to_owned()),
        ),
        (
            by(None, TokenKind::Handoff, 61),
            SignError::Lifetime { longest: 60 },
        ),
        (
            by(None, TokenKind::Handoff, 0),
            SignError::Lifetime { longest: 60 },
        ),
    ] {
        assert_eq!(outcome.unwrap_err(), error);
    }
    let none = sign(
        &config(vec![]),
        None,
        TokenKind::Session,
        &alice(),
        Duration::MAX,
        None,
    );
    assert_eq!(none.unwrap_err(), SignError::NoKey);
    for pair in [rsa(KeySize::Rsa2048), p256(), ed25519()] {
        let public = key(None, pair.algorithm, &pair.public[0]);
        let outcome = signed_by(public, TokenKind::Session, None);
        assert_eq!(outcome.unwrap_err(), SignError::PublicKey);
    }
}
