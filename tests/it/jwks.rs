//! The web application's keys by URL: found, rotated, gone for a while, withdrawn.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::world::{
    Docker, World, config,
    keys::{HANDOFF, SESSION, handoff_claims, session_claims},
    lock,
    person::SESSION_COOKIE,
    until,
};

/// How long keys may take to be fetched on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A key of the web application: its public half as JSON, and what signs with it.
struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    jwk: Value,
    key: EncodingKey,
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn ed25519(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self {
            id,
            algorithm: Algorithm::EdDSA,
            jwk: json!({
                "kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig",
                "x": base64(pair.public_key().as_ref()),
            }),
            key: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()),
        }
    }

    fn p256(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        Self {
            id,
            algorithm: Algorithm::ES256,
            jwk: json!({
                "kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256",
                "x": base64(&point[1..33]), "y": base64(&point[33..]),
            }),
            key: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
        }
    }

    fn rsa(id: &'static str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let n = public.modulus().big_endian_without_leading_zero();
        let e = public.exponent().big_endian_without_leading_zero();
        let jwk = json!({ "kty": "RSA", "kid": id, "n": base64(n), "e": base64(e) });
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref())
        );
        Self {
            id,
            algorithm: Algorithm::RS256,
            jwk,
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
        }
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    fn session(&self, user: &str) -> String {
        self.sign(SESSION, &session_claims(user))
    }
}

/// A server of key sets: it answers with the last text put in, once for each connection.
#[derive(Clone, Default)]
struct Endpoint(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answer: String,
    asked: usize,
    heads: VecDeque<String>,
}

impl Endpoint {
    /// Listens on a port of the system's choice, with the certificate of `world` if it is there.
    async fn open(&self, tls: Option<&World>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = tls.map(acceptor);
        let endpoint = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    None => endpoint.answer(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            endpoint.answer(stream).await;
                        }
                    }
                }
            }
        });
        port
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = vec![0; 4096];
        let size = stream.read(&mut head).await.unwrap_or_default();
        let answer = {
            let mut state = lock(&self.0);
            state.asked += 1;
            state
                .heads
                .push_back(String::from_utf8_lossy(&head[..size]).into_owned());
            state.answer.clone()
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn is(&self, status: &str, fields: &str, body: &str) {
        lock(&self.0).answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            body.len()
        );
    }

    fn publishes(&self, signers: &[&Signer]) {
        let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
        let fields = "Cache-Control: max-age=3600\r\n";
        self.is("200 OK", fields, &json!({ "keys": keys }).to_string());
    }

    fn asked(&self) -> usize {
        lock(&self.0).asked
    }
}

fn acceptor(world: &World) -> TlsAcceptor {
    let pem = |name: &str| std::fs::read(world.dir.join(name)).unwrap();
    let chain = rustls_pki_types::CertificateDer::from_pem_slice(&pem("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key);
    Arc::new(config.unwrap()).into()
}

/// A world whose web application publishes its keys and no other.
async fn world(endpoint: &Endpoint, https: bool) -> World {
    let world = World::prepare(config::RECORDER, Docker::of_this_machine());
    let port = endpoint.open(https.then_some(&world)).await;
    let scheme = if https { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{port}/keys.json?secret-of-the-url");
    world.secret("secret-of-the-url");
    world.configure(&format!("[session]\nkeys = []\njwks_url = \"{url}\""));
    world
}

/// The status of alice's own page with this token.
async fn status(world: &World, token: &str) -> u16 {
    world.get("/").bearer(token).send().await.status.as_u16()
}

#[tokio::test]
async fn keys_come_from_the_web_application_and_change_without_a_restart() {
    let endpoint = Endpoint::default();
    let (rsa, p256, ed25519) = (Signer::rsa("r"), Signer::p256("e"), Signer::ed25519("o"));
    endpoint.publishes(&[&rsa, &p256, &ed25519]);
    let world = world(&endpoint, true).await;
    world.launch().await;
    for signer in [&rsa, &p256, &ed25519] {
        let token = signer.session(&world.alice);
        assert_eq!(status(&world, &token).await, 200, "{}", signer.id);
    }
    assert_eq!(endpoint.asked(), 1);
    let forged = Signer::ed25519("o").session(&world.alice);
    assert_eq!(status(&world, &forged).await, 401);

    let old = ed25519.session(&world.alice);
    assert_eq!(status(&world, &old).await, 200);
    let new = Signer::ed25519("new");
    endpoint.publishes(&[&rsa, &new]);
    // The first to come with the new key is a login.
    let visitor = world.visitor("/").await;
    let token = new.sign(HANDOFF, &handoff_claims(&world.alice, &visitor.state));
    let answer = world.callback(&visitor, &token, "/").send().await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(answer.cookie(SESSION_COOKIE).is_some());
    assert_eq!(endpoint.asked(), 2, "it had them fetched");
    assert_eq!(status(&world, &new.session(&world.alice)).await, 200);
    assert_eq!(
        status(&world, &old).await,
        401,
        "what is withdrawn proves nothing"
    );
    assert_eq!(status(&world, &rsa.session(&world.alice)).await, 200);

    let stranger = Signer::ed25519("stranger");
    for _ in 0..20 {
        assert_eq!(status(&world, &stranger.session(&world.alice)).await, 401);
    }
    assert_eq!(
        endpoint.asked(),
        2,
        "a stranger does not have us ask and ask"
    );
    let heads = lock(&endpoint.0).heads.clone();
    assert!(heads.iter().all(|head| head.starts_with("GET /keys.json?")));
}

#[tokio::test]
async fn the_last_keys_are_used_while_the_web_application_is_away_or_talks_nonsense() {
    for (what, status_line, body) in [
        ("away", "503 Service Unavailable", String::new()),
        ("moved", "302 Found", String::new()),
        ("nonsense", "200 OK", "<html>welcome".to_owned()),
        ("nothing", "200 OK", json!({ "keys": [] }).to_string()),
        (
            "a secret",
            "200 OK",
            json!({ "keys": [{ "kty": "oct", "k": "AA" }] }).to_string(),
        ),
        ("too much", "200 OK", " ".repeat(100_000)),
    ] {
        let endpoint = Endpoint::default();
        let signer = Signer::ed25519("o");
        endpoint.publishes(&[&signer]);
        let world = world(&endpoint, false).await;
        world.launch().await;
        assert_eq!(status(&world, &signer.session(&world.alice)).await, 200);
        endpoint.is(status_line, "Location: http://127.0.0.1:1/\r\n", &body);
        let unknown = Signer::ed25519("unknown").session(&world.alice);
        assert_eq!(status(&world, &unknown).await, 401, "{what}");
        assert_eq!(
            status(&world, &signer.session(&world.alice)).await,
            200,
            "{what}"
        );
        assert!(
            world.log().contains("can't fetch the session keys"),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_web_application_that_starts_later_is_found() {
    let endpoint = Endpoint::default();
    endpoint.is("502 Bad Gateway", "", "");
    let world = world(&endpoint, false).await;
    world.launch().await;
    let signer = Signer::p256("e");
    assert_eq!(status(&world, &signer.session(&world.alice)).await, 401);
    endpoint.publishes(&[&signer]);
    until("the keys are there", SOON, async || {
        status(&world, &signer.session(&world.alice)).await == 200
    })
    .await;
}
