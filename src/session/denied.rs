//! Why somebody is not let in, for the log and the page; says nothing of the token itself.

/// Longest token looked at, in bytes: a few times what real ones have.
pub(super) const MAX_LENGTH: usize = 8 * 1024;

/// The request proves nobody's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It carries neither a session cookie nor a bearer token.
    #[error("there is no session")]
    NoSession,
    /// It carries something that is refused.
    #[error("{reason}")]
    Refused {
        /// What is wrong with it.
        reason: Reason,
    },
}

impl Denied {
    /// A stable word for metrics and the audit log.
    pub fn as_str(&self) -> &'static str {
        let Self::Refused { reason } = self else {
            return "no_session";
        };
        match reason {
            Reason::Malformed => "malformed",
            Reason::TooLong => "too_long",
            Reason::Extension => "extension",
            Reason::Kind => "kind",
            Reason::UnknownKey => "unknown_key",
            Reason::Algorithm => "algorithm",
            Reason::Signature => "signature",
            Reason::Missing(_) => "claim_missing",
            Reason::IllFormed(_) => "claim_ill_formed",
            Reason::Expired => "expired",
            Reason::NotYetValid => "not_yet_valid",
            Reason::Audience => "audience",
            Reason::Issuer => "issuer",
            Reason::LivesTooLong => "lives_too_long",
            Reason::Used => "used",
            Reason::OtherBrowser => "other_browser",
            Reason::TooMany => "too_many",
            Reason::Revoked => "revoked",
            Reason::Ended => "ended",
            Reason::Apps => "apps",
        }
    }
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not three base64url parts of which the first two hold JSON objects.
    #[error("the token is no JSON Web Token")]
    Malformed,
    /// Longer than any we would sign.
    #[error("the token is longer than {} bytes", MAX_LENGTH)]
    TooLong,
    /// `crit` or `b64`: it says that it means something else than we would read (RFC 7515 4.1.11).
    #[error("the token's header asks for extensions that are not supported")]
    Extension,
    /// Its `typ` is of another kind of token or none.
    #[error("the token's `typ` is not the one of its purpose")]
    Kind,
    /// No key has its `kid`, or it has none and every key has an id.
    #[error("no configured key has the token's `kid`")]
    UnknownKey,
    /// The key is for another `alg`.
    #[error("the token's `alg` is not the one its key is for")]
    Algorithm,
    /// Not signed by the key.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim that must be there isn't.
    #[error("the token has no `{0}`")]
    Missing(&'static str),
    /// A claim is of the wrong type or out of range.
    #[error("the token's `{0}` is not of the form it must have")]
    IllFormed(&'static str),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It, its session or its user was revoked, or logged out.
    #[error("the session was revoked or logged out")]
    Revoked,
    /// Its session ended while the request was under way.
    #[error("the session has ended")]
    Ended,
    /// It is for some apps, and SSH is none of them.
    #[error("the token's `apps` does not name `ssh`")]
    Apps,
    /// Its time has not come.
    #[error("the token is not valid yet; the clocks of the two servers may differ")]
    NotYetValid,
    /// It is for somebody else.
    #[error("the token's `aud` does not name this server")]
    Audience,
    /// It is from somebody else.
    #[error("the token's `iss` is not the configured issuer")]
    Issuer,
    /// A hand-off or admin token that could be used for too long.
    #[error("the token lives too long: a hand-off at most 60 seconds, an admin token an hour")]
    LivesTooLong,
    /// A hand-off that already was used.
    #[error("the hand-off token was already used")]
    Used,
    /// A hand-off that another browser asked for, or this one too long ago.
    #[error("the login was begun by another browser, or more than 10 minutes ago")]
    OtherBrowser,
    /// More hand-offs within a minute than we can remember.
    #[error("too many logins at once")]
    TooMany,
}
