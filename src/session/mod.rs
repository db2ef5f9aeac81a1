//! Who a request is from: tokens and cookies in, verified [`Claims`] out.
//!
//! Imports `config`, `names`, `secret` and `text`. Promise: nobody is let in without a token that was
//! signed by a configured key (or, for our own cookie, by our own key) for this audience and
//! this purpose and that has neither ended nor been revoked; a hand-off lets one browser in
//! once. Whoever holds a [`Live`] is told of its end within a second. A token seen before costs
//! one hash and one look-up, or one comparison if it is that of the connection's last request. No
//! token is ever part of an error.

mod admin;
mod claims;
mod cookie;
mod denied;
mod ends;
mod jwks;
mod keys;
mod last;
mod memory;
mod next;
mod revocations;
mod sign;
mod skew;
mod ssh;
pub mod state;
#[cfg(test)]
mod tests;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use tokio::sync::watch;

pub use self::{
    admin::Admin,
    claims::{Claims, Issued, LEEWAY},
    cookie::{StateError, cookie_key},
    denied::{Denied, Reason},
    jwks::JwksStatus,
    keys::KeyError,
    last::Last,
    memory::Live,
    next::{APPROVAL_CODE, LONGEST_NEXT, safe_next},
    revocations::{NoSuchRevocation, Revocation, Revocations, RevocationsError},
    sign::{SignError, TokenKind, sign, sign_admin},
    skew::Skew,
    ssh::SSH,
};
use self::{
    claims::Rules,
    cookie::{SESSION_COOKIE, STATE_COOKIE},
    ends::{end, tell_ends},
    jwks::Jwks,
    keys::VerifyingKey,
    memory::{Memory, UsedIds},
};
use crate::{config, secret::Secret};

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
    /// The session it is part of. The memory of verified tokens holds the same.
    pub live: Arc<Live>,
    /// How we know.
    pub by: Credential,
}

impl Entry {
    /// Who it is.
    pub fn claims(&self) -> &Claims {
        &self.live.claims
    }
}

/// What became of a hand-off token that is good in itself.
#[derive(Clone, Debug)]
pub enum Handoff {
    /// This browser began the login and may have a session now.
    Login(Arc<Claims>),
    /// It may be somebody else's link, a token already used before a restart, or one from
    /// before a revocation: send the browser once through the login page. The token is not
    /// used up.
    NeedsState,
}

/// Decides who a request is from. Shared by all threads.
#[derive(Debug)]
pub struct Sessions {
    /// The configured keys, and after them those of the key set.
    web_keys: ArcSwap<Vec<Arc<VerifyingKey>>>,
    configured: usize,
    jwks: Option<Jwks>,
    cookie_key: Secret,
    cookie_keys: [Arc<VerifyingKey>; 1],
    rules: Rules,
    cookie_rules: Rules,
    admin_rules: Rules,
    skew: skew::Recent,
    lifetime: Duration,
    shared_cookie: Option<String>,
    cookie_names: Vec<String>,
    remembered: Memory,
    revocations: Revocations,
    /// Tells whoever holds no [`Live`] that there was another one.
    revoked: watch::Sender<()>,
    used: UsedIds,
    started: SystemTime,
}

impl Sessions {
    /// Makes ready to judge tokens by the configured keys and cookies by our own key.
    ///
    /// # Errors
    /// [`KeyError`] for a key that is too short, unreadable or not of its algorithm.
    pub fn new(
        config: &config::Session,
        cookie_key: Secret,
        revocations: Revocations,
    ) -> Result<Self, KeyError> {
        Self::new_at(config, cookie_key, revocations, SystemTime::now())
    }

    fn new_at(
        config: &config::Session,
        cookie_key: Secret,
        revocations: Revocations,
        started: SystemTime,
    ) -> Result<Self, KeyError> {
        let mut web_keys = Vec::with_capacity(config.keys.len());
        for (index, key) in config.keys.iter().enumerate() {
            web_keys.push(Arc::new(VerifyingKey::new(key, index)?));
        }
        let own = [SESSION_COOKIE, STATE_COOKIE].map(str::to_owned);
        Ok(Self {
            configured: web_keys.len(),
            web_keys: ArcSwap::from_pointee(web_keys),
            jwks: config.jwks_url.clone().map(Jwks::new),
            cookie_keys: [Arc::new(VerifyingKey::for_our_cookie(&cookie_key)?)],
            cookie_key,
            rules: Rules::new(&config.audience, config.issuer.as_deref()),
            cookie_rules: Rules::new(&config.audience, None),
            admin_rules: Rules::new(&admin::audience(&config.audience), config.issuer.as_deref()),
            skew: skew::Recent::default(),
            lifetime: config.lifetime,
            cookie_names: own
                .into_iter()
                .chain(config.shared_cookie.clone())
                .collect(),
            shared_cookie: config.shared_cookie.clone(),
            remembered: Memory::new(),
            revocations,
            revoked: watch::Sender::new(()),
            used: UsedIds::new(),
            started,
        })
    }

    /// Finds out who a request is from: by each cookie of our name in turn (a forged one does
    /// not hide a good one behind it), then the shared cookie, then `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Denied::NoSession`] if nothing was offered, else why the first thing offered was
    /// refused, or [`Reason::UnknownKey`] if that is so of any: see [`Sessions::learn_keys`].
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Entry, Denied> {
        self.authenticate_next(headers, &Last::default())
    }

    /// The same for one of many requests of a connection; `last` is what let the one before in.
    ///
    /// # Errors
    /// As [`Sessions::authenticate`].
    pub fn authenticate_next(&self, headers: &HeaderMap, last: &Last) -> Result<Entry, Denied> {
        self.authenticate_next_at(headers, last, SystemTime::now())
    }

    fn authenticate_next_at(
        &self,
        headers: &HeaderMap,
        last: &Last,
        now: SystemTime,
    ) -> Result<Entry, Denied> {
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
            if let Some(live) = last.find(by, token, now) {
                return Ok(Entry { live, by });
            }
            match self.session_of(token, by, now) {
                Ok(live) => {
                    last.keep(by, token, &live);
                    return Ok(Entry { live, by });
                }
                Err(Reason::UnknownKey) => first_reason = Some(Reason::UnknownKey),
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
        }
        Err(first_reason.map_or(Denied::NoSession, |reason| Denied::Refused { reason }))
    }

    /// The session of a token, from memory or checked now.
    fn session_of(
        &self,
        token: &str,
        by: Credential,
        now: SystemTime,
    ) -> Result<Arc<Live>, Reason> {
        let typ = match by {
            Credential::Cookie => token::COOKIE,
            Credential::SharedCookie | Credential::Bearer => token::SESSION,
        };
        if token.len() > denied::MAX_LENGTH {
            return Err(Reason::TooLong);
        }
        let hash = memory::hash(typ, token);
        if let Some(live) = self.remembered.find(&hash, now) {
            return Ok(live);
        }
        let (claims, key) = if by == Credential::Cookie {
            let (payload, key) = token::open(token, typ, &self.cookie_keys)?;
            (self.cookie_rules.cookie(&payload, &hash, now)?, key)
        } else {
            let (payload, key) = token::open(token, typ, &self.web_keys.load())?;
            self.skew.session(&payload, now);
            (self.rules.session(&payload, &hash, now)?, key)
        };
        if self.revocations.hits(&claims) {
            return Err(Reason::Revoked);
        }
        let live = self.remembered.keep(hash, claims, key);
        // A revocation between these lines did not find it in the memory yet.
        if self.is_over(&live) {
            end(&self
                .remembered
                .take_if(|other| std::ptr::eq(other, &raw const *live)));
            return Err(Reason::Revoked);
        }
        Ok(live)
    }

    /// Whether what let a session begin is no longer so.
    fn is_over(&self, live: &Live) -> bool {
        live.key.is_withdrawn() || self.revocations.hits(&live.claims)
    }

    /// Checks a hand-off token and uses it up: of any number of tries at once, one succeeds.
    ///
    /// `nonce` is the browser's own ([`state::nonce_of`]). Only a token that names it can log
    /// this browser in, so nobody else's link can (login cross-site request forgery, RFC 9700
    /// 4.7). A token from before this process began counts as one without a state, since whether
    /// it was used is no longer known; its time has a resolution of a second. So does one whose
    /// login began before a revocation that hits it.
    ///
    /// # Errors
    /// [`Denied::Refused`] for a token that is forged, out of date, used or another browser's.
    pub fn handoff(&self, token: &str, nonce: Option<&str>) -> Result<Handoff, Denied> {
        self.handoff_at(token, nonce, SystemTime::now())
            .map_err(|reason| Denied::Refused { reason })
    }

    fn handoff_at(
        &self,
        token: &str,
        nonce: Option<&str>,
        now: SystemTime,
    ) -> Result<Handoff, Reason> {
        let (payload, _) = token::open(token, token::HANDOFF, &self.web_keys.load())?;
        self.skew.handoff(&payload, now);
        let handoff = self.rules.handoff(&payload, self.lifetime, now)?;
        let Some(state) = handoff.state else {
            return Ok(Handoff::NeedsState);
        };
        let state = state::open(&state, &self.cookie_key);
        let (asked_by, number) = state.ok_or(Reason::OtherBrowser)?;
        if nonce != Some(asked_by) {
            return Err(Reason::OtherBrowser);
        }
        let claims = Claims {
            issued: Issued::After(number),
            ..handoff.claims
        };
        if handoff.issued < claims::unix(self.started) || self.revocations.hits(&claims) {
            return Ok(Handoff::NeedsState);
        }
        self.used
            .take(handoff.id, handoff.ends, claims::unix(now))?;
        Ok(Handoff::Login(Arc::new(claims)))
    }

    /// Whether to ask once more: the refused token names a key that was not known, and the web
    /// application's key set was fetched anew. Waits for that a few seconds, and does so at most
    /// once in half a minute, since any stranger can name a key.
    pub async fn learn_keys(&self, denied: &Denied) -> bool {
        let reason = Reason::UnknownKey;
        match &self.jwks {
            Some(jwks) if *denied == Denied::Refused { reason } => jwks.refetch().await,
            _ => false,
        }
    }

    /// How it stands with the web application's key set, if there is one.
    pub fn jwks(&self) -> Option<JwksStatus> {
        self.jwks.as_ref().map(Jwks::status)
    }

    /// Takes the keys of the key set in place of those it held before. What was signed with one
    /// that is gone is proved no more; a cookie is signed with our own.
    fn take_keys(&self, fetched: Vec<Arc<VerifyingKey>>) {
        let before = self.web_keys.load();
        let (configured, old) = before.split_at(self.configured);
        // A key that stays is the same one for those who came by it.
        let fetched = fetched.into_iter().map(|key| {
            let known = old.iter().find(|old| old.is_same(&key));
            known.map_or(key, Arc::clone)
        });
        let keys: Vec<_> = configured.iter().cloned().chain(fetched).collect();
        let is_gone = |old: &&Arc<VerifyingKey>| !keys.iter().any(|key| Arc::ptr_eq(key, old));
        let gone: Vec<_> = old.iter().filter(is_gone).cloned().collect();
        self.web_keys.store(Arc::new(keys));
        if !gone.is_empty() {
            for key in &gone {
                key.withdraw();
            }
            let over = self.remembered.take_if(|live| live.key.is_withdrawn());
            tell_ends(&over, "key_withdrawn");
            end(&over);
        }
    }

    /// Begins a login, or goes on with the one this browser began.
    ///
    /// # Errors
    /// [`state::Loop`] if it was sent to log in too often.
    pub fn begin_login(&self, headers: &HeaderMap) -> Result<state::Begun, state::Loop> {
        state::begin(headers, &self.cookie_key, self.revocations.number())
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

    /// How far the web application's clock seems to be from ours, by its last signed tokens.
    pub fn skew(&self) -> Option<Skew> {
        self.skew.now(SystemTime::now())
    }

    /// Whether `Authorization` carries a token of ours, good or not, that no upstream may see.
    pub fn owns_authorization(headers: &HeaderMap) -> bool {
        cookie::bearers(headers).any(token::is_ours)
    }
}
