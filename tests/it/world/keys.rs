//! The keys of the web application, and tokens good and bad.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::tls::openssl;

/// What a hand-off token says it is.
pub const HANDOFF: &str = "vestibule-handoff+jwt";
/// What a session token says it is.
pub const SESSION: &str = "vestibule-session+jwt";

/// The keys of a world's web application.
pub struct Keys {
    dir: PathBuf,
    /// The HS256 secret.
    pub shared: String,
}

impl Keys {
    /// Makes all of them in `dir`: `shared.key`, and `<algorithm>.key` and `.pub`.
    pub fn make(dir: &Path) -> Self {
        let script = "
            openssl rand -hex 32 > shared.key
            openssl genpkey -quiet -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out rs256.key
            openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:prime256v1 -out es256.key
            openssl genpkey -algorithm ed25519 -out eddsa.key
            for key in rs256 es256 eddsa; do openssl pkey -in $key.key -pubout -out $key.pub; done";
        openssl(dir, script);
        let shared = fs::read_to_string(dir.join("shared.key")).unwrap();
        Self {
            dir: dir.to_owned(),
            shared: shared.trim().to_owned(),
        }
    }

    /// The content of one of the files.
    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).unwrap()
    }

    /// Signs `claims` as a token of this kind with the HS256 secret.
    pub fn sign(&self, kind: &str, claims: &Value) -> String {
        self.sign_with(&json!({"alg": "HS256", "typ": kind}), claims)
    }

    /// Signs with the key that `header` names by its algorithm.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let (algorithm, key) = match header["alg"].as_str().unwrap() {
            "HS256" => return hs256(header, claims, self.shared.as_bytes()),
            "RS256" => (
                Algorithm::RS256,
                EncodingKey::from_rsa_pem(&self.file("rs256.key")),
            ),
            "ES256" => (
                Algorithm::ES256,
                EncodingKey::from_ec_pem(&self.file("es256.key")),
            ),
            _ => (
                Algorithm::EdDSA,
                EncodingKey::from_ed_pem(&self.file("eddsa.key")),
            ),
        };
        let mut head = Header::new(algorithm);
        head.typ = header["typ"].as_str().map(str::to_owned);
        head.kid = header["kid"].as_str().map(str::to_owned);
        jsonwebtoken::encode(&head, claims, &key.unwrap()).unwrap()
    }

    /// A session token of `user` that is good for an hour.
    pub fn session(&self, user: &str) -> String {
        self.sign(SESSION, &session_claims(user))
    }
}

/// What a good session token of `user` says.
pub fn session_claims(user: &str) -> Value {
    json!({
        "sub": user, "uid": 7, "aud": "vestibule", "sid": vestibule::secret::random_id(),
        "iat": now(), "exp": now() + 3600,
    })
}

/// What a good hand-off token of `user` says.
pub fn handoff_claims(user: &str, state: &str) -> Value {
    json!({
        "sub": user, "uid": 7, "aud": "vestibule", "jti": vestibule::secret::random_id(),
        "iat": now(), "exp": now() + 30, "session_exp": now() + 3600, "state": state,
    })
}

/// `claims` with some of them changed; null removes one.
pub fn with(mut claims: Value, changes: &Value) -> Value {
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// A token signed by HMAC-SHA-256 whatever its header says.
pub fn hs256(header: &Value, claims: &Value, key: &[u8]) -> String {
    let message = unsigned(header, claims);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    let signature = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The first two parts of a token.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}
