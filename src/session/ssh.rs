//! Sessions of the second door: passwords for it, and what ends who came in.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{
    Claims, Denied, Issued, Reason, Sessions, claims::LONGEST_SESSION, memory, sign, token,
};
use crate::{names::Username, secret::random_id};

/// What SSH is called in a token's `apps`.
pub const SSH: &str = "ssh";

impl Sessions {
    /// The claims of a password for SSH, signed by the web application or printed by us. They
    /// are those of the session that begins by it, which outlives the password.
    ///
    /// # Errors
    /// [`Denied::Refused`] for any other text.
    pub fn ssh(&self, password: &str) -> Result<Claims, Denied> {
        let now = SystemTime::now();
        let hash = memory::hash(token::SSH, password);
        let own = token::open(password, token::SSH, &self.cookie_keys)
            .and_then(|(payload, _)| self.cookie_rules.for_ssh().ssh(&payload, &hash, now));
        let claims = own.or_else(|_| {
            let (payload, _) = token::open(password, token::SSH, &self.web_keys.load())?;
            self.rules.for_ssh().ssh(&payload, &hash, now)
        });
        let claims = claims.and_then(|claims| {
            if self.is_revoked(&claims) {
                return Err(Reason::Revoked);
            }
            claims.grant(SSH).then_some(claims).ok_or(Reason::Apps)
        });
        claims.map_err(|reason| Denied::Refused { reason })
    }

    /// A password for SSH for somebody who is logged in with these claims: it belongs to their
    /// session, and what begins by it ends with that.
    pub fn ssh_password(&self, claims: &Claims, lifetime: Duration) -> String {
        sign::ssh_token(
            &self.cookie_key,
            &self.cookie_rules.for_ssh(),
            claims,
            lifetime,
        )
    }

    /// The claims of a session that begins now by a key.
    pub fn ssh_session(&self, user: &Username) -> Claims {
        Claims {
            user: user.clone(),
            session: random_id(),
            token: None,
            issued: Issued::After(self.revocations.number()),
            expires: SystemTime::now() + LONGEST_SESSION,
            uid: None,
            apps: None,
        }
    }

    /// Whether a session with these claims was revoked.
    pub fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.hits(claims)
    }

    /// Changes with each revocation.
    pub fn revocations(&self) -> watch::Receiver<()> {
        self.revoked.subscribe()
    }
}
