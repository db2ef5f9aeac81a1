//! The claims of a token: each of the type it must be, or the token is refused (RFC 7519 4.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{denied::Reason, token::Object};
use crate::{
    names::{AppName, Username},
    secret::hex,
};

/// How far the web application's clock may be from ours, in seconds. It counts for the times
/// from which a token is good and for the end of a hand-off, which is near; a session, which
/// is long, ends on the second that it names.
pub const LEEWAY: u64 = 30;
/// Longest life of a hand-off token, in seconds.
pub(super) const HANDOFF_SECONDS: u64 = 60;
/// Longest life of a token for SSH, in seconds: it is copied by hand, and passwords linger.
pub(super) const SSH_SECONDS: u64 = 60 * 60;
/// Longest session, whatever its token says: a revocation has an end, and no timer has to wait
/// until the year 2^64.
pub(super) const LONGEST_SESSION: Duration = Duration::from_hours(30 * 24);
/// Longest text of an id, in bytes: enough for any UUID or digest, and small in a cookie.
const MAX_ID: usize = 128;
/// Most apps a token may grant, so that our cookie stays below the 4 KiB browsers keep.
const MAX_APPS: usize = 32;

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose workspace may be entered.
    pub user: Username,
    /// Names the session: the token's `sid`, else its `jti`, else the head of its hash.
    pub session: String,
    /// The token's `jti`; of a cookie of ours, the one of the hand-off it began by.
    pub token: Option<String>,
    /// When the token was issued.
    pub issued: Issued,
    /// When the session ends; at most 30 days after the token was issued.
    pub expires: SystemTime,
    /// The user's id in the web application, a number or a text there.
    pub uid: Option<String>,
    /// The apps that may be entered; `None`: all.
    pub apps: Option<Vec<AppName>>,
}

impl Claims {
    /// Whether an app may be entered, or SSH or the terminal by its name among them.
    pub fn grant(&self, name: &str) -> bool {
        let granted = self.apps.as_ref();
        granted.is_none_or(|granted| granted.iter().any(|app| app.as_str() == name))
    }
}

/// What tells a token from before a revocation from one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// By the clock of whoever signed it, in milliseconds since 1970; a time in whole seconds is
    /// their beginning, so that in doubt a token is an old one.
    At(u64),
    /// By us, or on a login that we began, when the last revocation had this number: exact,
    /// whatever the clocks do.
    After(u64),
}

/// What a verified hand-off token says.
pub(super) struct HandoffClaims {
    /// The session it may begin.
    pub claims: Claims,
    /// Its own id, good for one use.
    pub id: String,
    /// When it was issued, in Unix seconds.
    pub issued: u64,
    /// When it ends, leeway included, in Unix seconds.
    pub ends: u64,
    /// The nonce of the browser it was asked for by.
    pub state: Option<String>,
}

/// What tokens must say to be for us.
#[derive(Debug)]
pub(super) struct Rules {
    /// What `aud` must name.
    pub audience: String,
    issuer: Option<String>,
}

impl Rules {
    /// The same for the second door: a token for one is none for the other.
    pub fn for_ssh(&self) -> Self {
        Self {
            audience: ssh_audience(&self.audience),
            issuer: self.issuer.clone(),
        }
    }

    pub fn new(audience: &str, issuer: Option<&str>) -> Self {
        Self {
            audience: audience.to_owned(),
            issuer: issuer.map(str::to_owned),
        }
    }

    /// The claims of a session token with this hash. It must say when it was issued: a
    /// revocation could not tell old from new without.
    pub fn session(
        &self,
        payload: &Object,
        hash: &[u8],
        now: SystemTime,
    ) -> Result<Claims, Reason> {
        self.is_for_us(payload, unix(now))?;
        let issued = millis(payload, "iat")?.ok_or(Reason::Missing("iat"))?;
        let end = number(payload, "exp")?.ok_or(Reason::Missing("exp"))?;
        let latest = (issued / 1000).saturating_add(LONGEST_SESSION.as_secs());
        let token = text(payload, "jti")?;
        let session = text(payload, "sid")?.or_else(|| token.clone());
        let session = session.unwrap_or_else(|| hex(&hash[..16]));
        let expires = ends(end.min(latest), LONGEST_SESSION, now)?;
        claims(payload, session, token, Issued::At(issued), expires)
    }

    /// The claims of our own cookie.
    pub fn cookie(&self, payload: &Object, hash: &[u8], now: SystemTime) -> Result<Claims, Reason> {
        let after = number(payload, "after")?.ok_or(Reason::Missing("after"))?;
        let issued = Issued::After(after);
        self.session(payload, hash, now)
            .map(|claims| Claims { issued, ..claims })
    }

    /// The claims of a hand-off token that may begin a session of at most `lifetime`.
    pub fn handoff(
        &self,
        payload: &Object,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<HandoffClaims, Reason> {
        self.is_for_us(payload, unix(now))?;
        let (issued, ends_at) = lives_shortly(payload, HANDOFF_SECONDS, now)?;
        let id = text(payload, "jti")?.ok_or(Reason::Missing("jti"))?;
        let session = text(payload, "sid")?.unwrap_or_else(|| id.clone());
        let session_end = number(payload, "session_exp")?.unwrap_or(u64::MAX);
        let expires = ends(session_end, lifetime.min(LONGEST_SESSION), now)?;
        let token = Some(id.clone());
        let at = Issued::At(issued.saturating_mul(1000));
        Ok(HandoffClaims {
            claims: claims(payload, session, token, at, expires)?,
            id,
            issued,
            ends: ends_at,
            state: text(payload, "state")?,
        })
    }

    /// The claims of a token for SSH, whose audience is its own. Its `exp` is that of the
    /// password; the session that begins by it lasts until `session_exp`, as with a hand-off.
    pub fn ssh(&self, payload: &Object, hash: &[u8], now: SystemTime) -> Result<Claims, Reason> {
        let issued = number(payload, "iat")?.ok_or(Reason::Missing("iat"))?;
        let end = number(payload, "exp")?.ok_or(Reason::Missing("exp"))?;
        if end.saturating_sub(issued) > SSH_SECONDS {
            return Err(Reason::LivesTooLong);
        }
        let session_end = number(payload, "session_exp")?.unwrap_or(u64::MAX);
        let expires = ends(session_end, LONGEST_SESSION, now)?;
        self.session(payload, hash, now)
            .map(|claims| Claims { expires, ..claims })
    }

    /// Audience, issuer and the times from which a token is good.
    pub fn is_for_us(&self, payload: &Object, now: u64) -> Result<(), Reason> {
        let named = match payload.get("aud").ok_or(Reason::Missing("aud"))? {
            Value::String(one) => *one == self.audience,
            Value::Array(all) if all.iter().all(Value::is_string) => {
                all.iter().any(|one| *one == self.audience)
            }
            _ => return Err(Reason::IllFormed("aud")),
        };
        if !named {
            return Err(Reason::Audience);
        }
        if let Some(issuer) = &self.issuer {
            match payload.get("iss") {
                Some(Value::String(found)) if found == issuer => {}
                Some(Value::String(_)) => return Err(Reason::Issuer),
                Some(_) => return Err(Reason::IllFormed("iss")),
                None => return Err(Reason::Missing("iss")),
            }
        }
        for name in ["nbf", "iat"] {
            if number(payload, name)?.is_some_and(|from| from > now.saturating_add(LEEWAY)) {
                return Err(Reason::NotYetValid);
            }
        }
        Ok(())
    }
}

/// What `aud` of a token for SSH names.
pub(super) fn ssh_audience(audience: &str) -> String {
    format!("{audience}/ssh")
}

/// When a token was issued and when it ends, leeway included, in Unix seconds: it has not ended
/// yet, and was good for no more than `longest` seconds.
pub(super) fn lives_shortly(
    payload: &Object,
    longest: u64,
    now: SystemTime,
) -> Result<(u64, u64), Reason> {
    let issued = number(payload, "iat")?.ok_or(Reason::Missing("iat"))?;
    let end = number(payload, "exp")?.ok_or(Reason::Missing("exp"))?;
    if end.saturating_sub(issued) > longest {
        return Err(Reason::LivesTooLong);
    }
    let ends_at = end.saturating_add(LEEWAY);
    if ends_at <= unix(now) {
        return Err(Reason::Expired);
    }
    Ok((issued, ends_at))
}

/// The claims that all kinds of tokens share.
fn claims(
    payload: &Object,
    session: String,
    token: Option<String>,
    issued: Issued,
    expires: SystemTime,
) -> Result<Claims, Reason> {
    let Value::String(user) = payload.get("sub").ok_or(Reason::Missing("sub"))? else {
        return Err(Reason::IllFormed("sub"));
    };
    let uid = match payload.get("uid") {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => text(payload, "uid")?,
    };
    Ok(Claims {
        user: Username::parse(user).map_err(|_| Reason::IllFormed("sub"))?,
        session,
        token,
        issued,
        expires,
        uid,
        apps: apps(payload)?,
    })
}

fn apps(payload: &Object) -> Result<Option<Vec<AppName>>, Reason> {
    let ill = Reason::IllFormed("apps");
    match payload.get("apps") {
        None => Ok(None),
        Some(Value::Array(names)) if names.len() <= MAX_APPS => {
            let parsed = names.iter().map(|name| AppName::parse(name.as_str()?).ok());
            parsed.collect::<Option<_>>().map(Some).ok_or(ill)
        }
        Some(_) => Err(ill),
    }
}

/// The end of a session: `end` in Unix seconds, but not later than `longest` from now.
fn ends(end: u64, longest: Duration, now: SystemTime) -> Result<SystemTime, Reason> {
    let left = end.saturating_sub(unix(now));
    if left == 0 {
        return Err(Reason::Expired);
    }
    let end = Duration::from_secs(end.min(unix(now + longest)));
    Ok(UNIX_EPOCH + end)
}

/// A `NumericDate` (RFC 7519 2) in seconds: a JSON number, whole or not, from 0 to 2^64 - 1.
pub(super) fn number(payload: &Object, name: &'static str) -> Result<Option<u64>, Reason> {
    date(payload, name).map(|date| date.map(|date| date.as_secs()))
}

/// The same in milliseconds.
pub(super) fn millis(payload: &Object, name: &'static str) -> Result<Option<u64>, Reason> {
    let millis = |date: Duration| u64::try_from(date.as_millis()).unwrap_or(u64::MAX);
    date(payload, name).map(|date| date.map(millis))
}

fn date(payload: &Object, name: &'static str) -> Result<Option<Duration>, Reason> {
    let Some(value) = payload.get(name) else {
        return Ok(None);
    };
    let float = |value: f64| Duration::try_from_secs_f64(value).ok();
    let whole = value.as_u64().map(Duration::from_secs);
    let date = whole.or_else(|| value.as_f64().and_then(float));
    date.map(Some).ok_or(Reason::IllFormed(name))
}

/// A text of 1 to 128 bytes without control characters, fit for a log line or an environment.
pub(super) fn text(payload: &Object, name: &'static str) -> Result<Option<String>, Reason> {
    match payload.get(name) {
        None => Ok(None),
        Some(Value::String(text))
            if (1..=MAX_ID).contains(&text.len()) && !text.chars().any(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(Reason::IllFormed(name)),
    }
}

/// Whole seconds since 1970.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
