//! What is taken from a key set, and when it is asked for.

use aws_lc_rs::{
    rsa::{KeyPair, KeySize},
    signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(id: &str) -> Value {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pair.public_key();
    let n = base64(public.modulus().big_endian_without_leading_zero());
    let e = base64(public.exponent().big_endian_without_leading_zero());
    json!({ "kty": "RSA", "kid": id, "n": n, "e": e })
}

fn p256(id: &str) -> Value {
    let pair =
        EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
    json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y })
}

fn ed25519(id: &str) -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = base64(pair.public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x })
}

fn with(mut key: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

fn read(keys: &[Value]) -> Result<KeySet, KeySetError> {
    jwk::read(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn each_key_is_for_one_algorithm_alone() {
    let set = read(&[rsa("r"), p256("e"), ed25519("o")]).unwrap();
    let names: Vec<_> = set
        .keys
        .iter()
        .map(|key| (key.id().unwrap(), key.algorithm_name()))
        .collect();
    assert_eq!(names, [("r", "RS256"), ("e", "ES256"), ("o", "EdDSA")]);
    assert!(set.skipped.is_empty());
}

#[test]
fn a_key_that_is_no_good_does_not_hide_the_others() {
    let (rsa, p256, ed25519) = (rsa("x"), p256("x"), ed25519("x"));
    let weak = {
        let mut n = vec![0xff; 128];
        n[127] = 0xfd;
        base64(&n)
    };
    let large = base64(&[0xff; 1025]);
    for (key, why) in [
        (with(rsa.clone(), &json!({"n": weak})), "is no good RSA"),
        (with(rsa.clone(), &json!({"n": large})), "is no good RSA"),
        (with(rsa.clone(), &json!({"n": ""})), "is no good RSA"),
        (with(rsa.clone(), &json!({"n": "%"})), "is no good RSA"),
        (with(rsa.clone(), &json!({"e": "AA"})), "is no good RSA"),
        (with(rsa.clone(), &json!({"e": "AQ"})), "is no good RSA"),
        (with(rsa.clone(), &json!({"e": null})), "is no good RSA"),
        (
            with(rsa.clone(), &json!({"alg": "PS256"})),
            "is for an `alg`",
        ),
        (
            with(rsa.clone(), &json!({"alg": "HS256"})),
            "is for an `alg`",
        ),
        (
            with(rsa.clone(), &json!({"use": "enc"})),
            "is not for signatures",
        ),
        (
            with(rsa.clone(), &json!({"key_ops": []})),
            "is not for checking",
        ),
        (
            with(rsa.clone(), &json!({"key_ops": ["sign"]})),
            "is not for checking",
        ),
        (with(rsa.clone(), &json!({"d": "AQ"})), "private half"),
        (with(rsa.clone(), &json!({"kid": ""})), "has an id"),
        (with(rsa.clone(), &json!({"kid": "a\nb"})), "has an id"),
        (with(rsa.clone(), &json!({"kid": 7})), "is no JSON Web Key"),
        (with(rsa, &json!({"kty": 7})), "is no JSON Web Key"),
        (
            with(p256.clone(), &json!({"crv": "P-384"})),
            "not supported",
        ),
        (with(p256.clone(), &json!({"crv": null})), "not supported"),
        (
            with(p256.clone(), &json!({"alg": "ES384"})),
            "is for an `alg`",
        ),
        (
            with(p256.clone(), &json!({"x": base64(&[1; 32])})),
            "is no good",
        ),
        (
            with(p256.clone(), &json!({"x": base64(&[0; 31])})),
            "is no good",
        ),
        (with(p256, &json!({"y": null})), "is no good"),
        (
            with(ed25519.clone(), &json!({"crv": "Ed448"})),
            "not supported",
        ),
        (
            with(ed25519.clone(), &json!({"crv": "X25519"})),
            "not supported",
        ),
        (with(ed25519, &json!({"x": base64(&[1; 33])})), "is no good"),
        (
            json!({"kty": "oct", "kid": "x", "k": "AA"}),
            "a shared secret",
        ),
        (
            json!({"kty": "oct", "alg": "HS256", "k": "AA"}),
            "a shared secret",
        ),
        (json!({}), "is no JSON Web Key"),
        (json!("x"), "is no JSON Web Key"),
    ] {
        let set = read(&[key.clone(), super::tests::ed25519("good")]).unwrap();
        assert_eq!(set.keys.len(), 1, "{key}");
        assert!(set.skipped[0].contains(why), "{key}: {:?}", set.skipped);
        let alone = read(&[key]).unwrap_err().to_string();
        assert!(alone.contains(why), "{alone}");
    }
}

#[test]
fn what_a_key_says_of_itself_is_heard() {
    for changes in [
        json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"]}),
        json!({"key_ops": ["verify", "encrypt"], "x5t": "x", "unknown": [1]}),
        json!({"alg": null, "use": null, "kid": null}),
    ] {
        assert_eq!(read(&[with(rsa("x"), &changes)]).unwrap().keys.len(), 1);
    }
}

#[test]
fn an_answer_that_is_no_key_set_is_refused() {
    for text in [
        "",
        "x",
        "null",
        "[]",
        "{}",
        r#"{"keys": 7}"#,
        r#"{"keys": []}"#,
        "<html>",
    ] {
        assert!(jwk::read(text.as_bytes()).is_err(), "{text}");
    }
    let many = vec![ed25519("x"); 1000];
    assert!(read(&many).unwrap().keys.len() <= 64);
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_it_fail(text in "\\PC{0,80}", name in "kty|kid|n|e|x|y|crv|alg|use|key_ops|d") {
        let _ = jwk::read(text.as_bytes());
        for key in [rsa_once(), json!({ "kty": "EC", "crv": "P-256" })] {
            let _ = read(&[with(key, &json!({ &name: text }))]);
        }
    }
}

/// One key for all cases: making one takes long.
fn rsa_once() -> Value {
    static KEY: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    KEY.get_or_init(|| rsa("x")).clone()
}

/// A server that answers each request with what `answers` sends.
async fn server(answers: &'static [&'static str]) -> Uri {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}/keys?secret").parse().unwrap()
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"keys\":[{\"kty\":\"OKP\",\"crv\":\
    \"Ed25519\",\"kid\":\"a\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
const MOVED: &str =
    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn the_last_keys_stay_while_nothing_better_comes() {
    let jwks = Jwks::new(server(&[GOOD, MOVED]).await);
    let taken = Mutex::new(Vec::new());
    let stop = CancellationToken::new();
    let run = jwks.run(stop.clone(), |keys| taken.lock().unwrap().push(keys.len()));
    let story = async {
        assert_eq!(jwks.status().age_seconds, None);
        assert!(
            jwks.refetch().await,
            "who comes before the first answer waits"
        );
        assert!(jwks.refetch().await, "an unknown key has them fetched anew");
        assert!(!jwks.refetch().await, "but not again so soon");
        let status = jwks.status();
        assert_eq!(status.keys, ["a"]);
        assert!(status.age_seconds.is_some_and(|age| age < 30));
        assert!(
            status.error.unwrap().contains("302"),
            "and no redirect is followed"
        );
        assert!(!status.url.contains("secret"), "{}", status.url);
        stop.cancel();
    };
    tokio::join!(run, story);
    assert_eq!(*taken.lock().unwrap(), [1]);
}
