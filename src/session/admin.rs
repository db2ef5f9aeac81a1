//! Admin tokens: what lets the web application, or an operator from afar, ask for what the
//! command line can.
//!
//! A kind of its own: its `typ` and its audience are no other token's, so neither passes for the
//! other. Only `Authorization: Bearer` is looked at, which no browser sends by itself.

use std::time::SystemTime;

use http::HeaderMap;

use super::{
    MAX_OFFERED, Sessions,
    claims::{Issued, Rules, lives_shortly, text, unix},
    cookie,
    denied::{Denied, Reason},
    token::{self, Object},
};
use crate::config::Scope;

/// Longest life of an admin token, in seconds: one is signed when it is needed.
pub(super) const ADMIN_SECONDS: u64 = 60 * 60;

/// What `aud` of an admin token must name, where `audience` is that of sessions.
pub(super) fn audience(audience: &str) -> String {
    format!("{audience}/admin")
}

/// Who bears a good admin token, and what it says they may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Who asks: the token's `sub`, for the audit log.
    pub by: String,
    /// What the token is good for; the configuration may grant less.
    pub scopes: Vec<Scope>,
}

impl Sessions {
    /// Finds out whether a request bears an admin token.
    ///
    /// # Errors
    /// [`Denied::NoSession`] if it bears no token at all, else why the first one was refused.
    pub fn admin(&self, headers: &HeaderMap) -> Result<Admin, Denied> {
        let now = SystemTime::now();
        let mut first_reason = None;
        for token in cookie::bearers(headers).take(MAX_OFFERED) {
            match self.admin_of(token, now) {
                Ok(admin) => return Ok(admin),
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
        }
        Err(first_reason.map_or(Denied::NoSession, |reason| Denied::Refused { reason }))
    }

    pub(super) fn admin_of(&self, token: &str, now: SystemTime) -> Result<Admin, Reason> {
        let (payload, _) = token::open(token, token::ADMIN, &self.web_keys.load())?;
        self.skew.session(&payload, now);
        let (admin, id, issued) = self.admin_rules.admin(&payload, now)?;
        if self.revocations.hits_token(&id, issued) {
            return Err(Reason::Revoked);
        }
        Ok(admin)
    }
}

impl Rules {
    /// The claims of an admin token; its id, and when it was issued.
    fn admin(&self, payload: &Object, now: SystemTime) -> Result<(Admin, String, Issued), Reason> {
        self.is_for_us(payload, unix(now))?;
        let (issued, _) = lives_shortly(payload, ADMIN_SECONDS, now)?;
        let text = |name| text(payload, name)?.ok_or(Reason::Missing(name));
        // A list in one text, as OAuth's (RFC 8693 4.2); words of another version say nothing.
        let scopes = text("scope")?;
        let admin = Admin {
            by: text("sub")?,
            scopes: scopes.split(' ').filter_map(Scope::parse).collect(),
        };
        // Without an id it could not be revoked.
        Ok((admin, text("jti")?, Issued::At(issued.saturating_mul(1000))))
    }
}
