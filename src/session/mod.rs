//! Who a request is from: tokens and cookies in, verified [`Claims`] out.
//!
//! Imports `config`, `names` and `secret`. Promise: nobody is let in without a token that was
//! signed by a configured key (or, for our own cookie, by our own key) for this audience and
//! this purpose and that has not ended; a hand-off lets one browser in once. Nothing here waits
//! for anything, and a token seen before costs one hash and one look-up. No token is ever part
//! of an error.

mod claims;
mod cookie;
mod denied;
mod keys;
mod memory;
mod next;
mod sign;
pub mod state;
#[cfg(test)]
mod tests;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue};

pub use self::{
    claims::Claims,
    cookie::{StateError, cookie_key},
    denied::{Denied, Reason},
    keys::KeyError,
    next::safe_next,
    sign::{SignError, TokenKind, sign},
};
use self::{
    claims::Rules,
    cookie::{SESSION_COOKIE, STATE_COOKIE},
    keys::VerifyingKey,
    memory::{Memory, UsedIds},
};
use crate::{config, names::Username, secret::Secret};

/// How many tokens of one kind a request may offer before the rest is ignored: enough for
/// leftovers, too few to have us check signatures all day.
const MAX_OFFERED: usize = 16;

/// What proved who the request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Our own session cookie.
    Cookie,
    /// The cookie that the web application shares with us.
    SharedCookie,
    /// `Authorization: Bearer`, which no browser sends by itself.
    Bearer,
}

/// A request whose sender is known.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who it is. The memory of verified tokens holds the same claims.
    pub claims: Arc<Claims>,
    /// How we know.
    pub by: Credential,
}

/// What became of a hand-off token that is good in itself.
#[derive(Clone, Debug)]
pub enum Handoff {
    /// This browser began the login and may have a session now.
    Login(Arc<Claims>),
    /// It may be somebody else's link, or a token already used before a restart: send the
    /// browser once through the login page. The token is not used up.
    NeedsState,
}

/// Decides who a request is from. Shared by all threads.
#[derive(Debug)]
pub struct Sessions {
    web_keys: Vec<VerifyingKey>,
    cookie_key: Secret,
    cookie_keys: [VerifyingKey; 1],
    rules: Rules,
    cookie_rules: Rules,
    lifetime: Duration,
    shared_cookie: Option<String>,
    cookie_names: Vec<String>,
    remembered: Memory,
    used: UsedIds,
    started: SystemTime,
}

impl Sessions {
    /// Makes ready to judge tokens by the configured keys and cookies by our own key.
    ///
    /// # Errors
    /// [`KeyError`] for a key that is too short, unreadable or not of its algorithm.
    pub fn new(config: &config::Session, cookie_key: Secret) -> Result<Self, KeyError> {
        Self::new_at(config, cookie_key, SystemTime::now())
    }

    fn new_at(
        config: &config::Session,
        cookie_key: Secret,
        started: SystemTime,
    ) -> Result<Self, KeyError> {
        let mut web_keys = Vec::with_capacity(config.keys.len());
        for (index, key) in config.keys.iter().enumerate() {
            web_keys.push(VerifyingKey::new(key, index)?);
        }
        let own = [SESSION_COOKIE, STATE_COOKIE].map(str::to_owned);
        Ok(Self {
            web_keys,
            cookie_keys: [VerifyingKey::for_our_cookie(&cookie_key)?],
            cookie_key,
            rules: Rules::new(&config.audience, config.issuer.as_deref()),
            cookie_rules: Rules::new(&config.audience, None),
            lifetime: config.lifetime,
            cookie_names: own
                .into_iter()
                .chain(config.shared_cookie.clone())
                .collect(),
            shared_cookie: config.shared_cookie.clone(),
            remembered: Memory::new(),
            used: UsedIds::new(),
            started,
        })
    }

    /// Finds out who a request is from: by each cookie of our name in turn (a forged one does
    /// not hide a good one behind it), then the shared cookie, then `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Denied::NoSession`] if nothing was offered, else why the first thing offered was
    /// refused.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Entry, Denied> {
        self.authenticate_at(headers, SystemTime::now())
    }

    fn authenticate_at(&self, headers: &HeaderMap, now: SystemTime) -> Result<Entry, Denied> {
        let own = cookie::values(headers, SESSION_COOKIE)
            .take(MAX_OFFERED)
            .map(|token| (Credential::Cookie, token));
        let shared = self.shared_cookie.iter().flat_map(|name| {
            let values = cookie::values(headers, name).take(MAX_OFFERED);
            values.map(|token| (Credential::SharedCookie, token))
        });
        let bearer = cookie::bearers(headers)
            .take(MAX_OFFERED)
            .map(|token| (Credential::Bearer, token));
        let mut first_reason = None;
        for (by, token) in own.chain(shared).chain(bearer) {
            match self.claims_of(token, by, now) {
                Ok(claims) => return Ok(Entry { claims, by }),
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
        }
        Err(first_reason.map_or(Denied::NoSession, |reason| Denied::Refused { reason }))
    }

    /// The claims of a session token, from memory or checked now.
    fn claims_of(
        &self,
        token: &str,
        by: Credential,
        now: SystemTime,
    ) -> Result<Arc<Claims>, Reason> {
        let (typ, keys, rules) = match by {
            Credential::Cookie => (token::COOKIE, &self.cookie_keys[..], &self.cookie_rules),
            Credential::SharedCookie | Credential::Bearer => {
                (token::SESSION, &self.web_keys[..], &self.rules)
            }
        };
        if token.len() > denied::MAX_LENGTH {
            return Err(Reason::TooLong);
        }
        let hash = memory::hash(typ, token);
        if let Some(claims) = self.remembered.find(&hash, now) {
            return Ok(claims);
        }
        let payload = token::open(token, typ, keys)?;
        let claims = Arc::new(rules.session(&payload, &hash, now)?);
        self.remembered.keep(hash, Arc::clone(&claims), now);
        Ok(claims)
    }

    /// Checks a hand-off token and uses it up: of any number of tries at once, one succeeds.
    ///
    /// `browser_state` is the browser's own nonce ([`state::nonce_of`]). Only a token that
    /// names it can log this browser in, so nobody else's link can (login cross-site request
    /// forgery, RFC 9700 4.7). A token from before this process began counts as one without a
    /// state, since whether it was used is no longer known; its time has a resolution of a second.
    ///
    /// # Errors
    /// [`Denied::Refused`] for a token that is forged, out of date, used or another browser's.
    pub fn handoff(&self, token: &str, browser_state: Option<&str>) -> Result<Handoff, Denied> {
        self.handoff_at(token, browser_state, SystemTime::now())
            .map_err(|reason| Denied::Refused { reason })
    }

    fn handoff_at(
        &self,
        token: &str,
        browser_state: Option<&str>,
        now: SystemTime,
    ) -> Result<Handoff, Reason> {
        let payload = token::open(token, token::HANDOFF, &self.web_keys)?;
        let handoff = self.rules.handoff(&payload, self.lifetime, now)?;
        let Some(state) = handoff.state else {
            return Ok(Handoff::NeedsState);
        };
        if browser_state != Some(state.as_str()) {
            return Err(Reason::OtherBrowser);
        }
        if handoff.issued < claims::unix(self.started) {
            return Ok(Handoff::NeedsState);
        }
        self.used
            .take(handoff.id, handoff.ends, claims::unix(now))?;
        Ok(Handoff::Login(Arc::new(handoff.claims)))
    }

    /// The claims of a password for SSH, signed by the web application or printed by us.
    ///
    /// # Errors
    /// [`Denied::Refused`] for any other text.
    pub fn ssh(&self, token: &str) -> Result<Claims, Denied> {
        let now = SystemTime::now();
        let hash = memory::hash(token::SSH, token);
        let web = token::open(token, token::SSH, &self.web_keys)
            .and_then(|payload| self.rules.for_ssh().ssh(&payload, &hash, now));
        let own = || {
            let payload = token::open(token, token::SSH, &self.cookie_keys)?;
            self.cookie_rules.for_ssh().ssh(&payload, &hash, now)
        };
        web.or_else(|_| own())
            .map_err(|reason| Denied::Refused { reason })
    }

    /// A password for SSH for somebody who is logged in.
    pub fn ssh_token(&self, user: &Username, lifetime: Duration) -> String {
        sign::ssh_token(
            &self.cookie_key,
            &self.cookie_rules.for_ssh(),
            user,
            lifetime,
        )
    }

    /// The `Set-Cookie` value that begins a session of ours with these claims.
    pub fn cookie_for(&self, claims: &Claims) -> HeaderValue {
        let now = SystemTime::now();
        let token = sign::cookie_token(&self.cookie_key, &self.cookie_rules, claims, now);
        let left = claims.expires.duration_since(now).unwrap_or_default();
        cookie::set(SESSION_COOKIE, &token, left)
    }

    /// The `Set-Cookie` values that end a session in the browser. A shared cookie is ended only
    /// if it belongs to this host alone; one of the parent domain is the web application's to end.
    pub fn clear_cookies(&self) -> impl Iterator<Item = HeaderValue> {
        self.cookie_names
            .iter()
            .map(|name| cookie::set(name, "", Duration::ZERO))
    }

    /// The names of the cookies that no upstream may see or set: session, state and, if
    /// configured, shared.
    pub fn own_cookie_names(&self) -> &[String] {
        &self.cookie_names
    }

    /// Whether `Authorization` carries a token of ours, good or not, that no upstream may see.
    pub fn owns_authorization(headers: &HeaderMap) -> bool {
        cookie::bearers(headers).any(token::is_ours)
    }
}
