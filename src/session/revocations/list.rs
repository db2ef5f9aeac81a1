//! What a revocation names, which tokens it hits, and a bounded list of them. Pure.

use std::{cmp::Reverse, collections::HashMap, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    names::Username,
    session::claims::{Claims, Issued, LEEWAY, LONGEST_SESSION, unix},
};

/// Most revocations kept: a file of about 2 MiB, written anew by each.
const MOST: usize = 20_000;
/// Most sessions of one user that are kept revoked one by one, so that who logs in and out all
/// day uses up nobody else's place.
const MOST_OF_ONE: usize = 100;
/// Longest id of a session or token, in bytes; what tokens may hold.
const MAX_ID: usize = 128;

/// What is to end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// Every session of a user that began before.
    User(Username),
    /// One session, by all its tokens from before.
    Session(String),
    /// One token, by its `jti`; of a hand-off, also the cookie it became.
    Token(String),
}

/// Nothing can be revoked by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a revocation names a `user`, or a `session` or `token` by an id of 1 to {MAX_ID} bytes \
     without control characters"
)]
pub struct NoSuchRevocation;

impl Revocation {
    /// Reads what a person or a file calls it: `user`, `session` or `token`, and its id.
    ///
    /// # Errors
    /// [`NoSuchRevocation`] for another kind, and for an id that nothing could have.
    pub fn parse(kind: &str, id: &str) -> Result<Self, NoSuchRevocation> {
        let fits = (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
        match kind {
            "user" => Username::parse(id)
                .map(Self::User)
                .map_err(|_| NoSuchRevocation),
            "session" if fits => Ok(Self::Session(id.to_owned())),
            "token" if fits => Ok(Self::Token(id.to_owned())),
            _ => Err(NoSuchRevocation),
        }
    }

    /// Its kind, as [`Revocation::parse`] takes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Session(_) => "session",
            Self::Token(_) => "token",
        }
    }

    /// Its id, as [`Revocation::parse`] takes it.
    pub fn id(&self) -> &str {
        match self {
            Self::User(user) => user.as_str(),
            Self::Session(id) | Self::Token(id) => id,
        }
    }

    /// Whether it means the session or token with these claims, old or new.
    pub fn names(&self, claims: &Claims) -> bool {
        match self {
            Self::User(user) => claims.user == *user,
            Self::Session(id) => claims.session == *id,
            Self::Token(id) => claims.token.as_ref() == Some(id),
        }
    }
}

/// Parts tokens from before a revocation from those after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The revocation's number.
    pub number: u64,
    /// The last moment before it, in milliseconds since 1970.
    pub before: u64,
}

impl Cut {
    fn hits(self, issued: Issued) -> bool {
        match issued {
            Issued::At(time) => time <= self.before,
            Issued::After(number) => number < self.number,
        }
    }
}

/// One revocation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub cut: Cut,
    /// When everything it hits has ended, in Unix seconds.
    pub until: u64,
    /// Whose session it was, if they ended it themselves.
    pub of: Option<Username>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The number of the last one.
    pub number: u64,
    /// Everything from before is revoked, whoever's it is: stands for those that had no place.
    pub floor: Cut,
    pub records: HashMap<Revocation, Record>,
}

impl List {
    /// Whether a session or token with these claims is revoked.
    pub fn hits(&self, claims: &Claims) -> bool {
        let old = |what: Revocation| {
            let record = self.records.get(&what);
            record.is_some_and(|record| record.cut.hits(claims.issued))
        };
        old(Revocation::User(claims.user.clone()))
            || old(Revocation::Session(claims.session.clone()))
            || self.hits_token(claims.token.as_deref(), claims.issued)
    }

    /// Whether a token of this id, issued then, is revoked by it, whoever's it is.
    pub fn hits_token(&self, id: Option<&str>, issued: Issued) -> bool {
        // Its id is its own, whenever it was issued.
        let known = |id: &str| {
            let token = Revocation::Token(id.to_owned());
            self.records.contains_key(&token)
        };
        self.floor.hits(issued) || id.is_some_and(known)
    }

    /// Adds one; see [`super::Revocations::add`].
    pub fn add(&mut self, what: Revocation, of: Option<&Username>, latest: u64, now: SystemTime) {
        let is_theirs = |record: &Record| of.is_some() && record.of.as_ref() == of;
        let theirs = self.records.values().filter(|record| is_theirs(record));
        let (what, of) = match of {
            Some(user) if theirs.count() >= MOST_OF_ONE => {
                self.records.retain(|_, record| !is_theirs(record));
                (Revocation::User(user.clone()), None)
            }
            of => (what, of.cloned()),
        };
        if self.records.len() >= MOST {
            self.forget_past(now);
        }
        if self.records.len() >= MOST {
            self.raise_floor();
        }
        self.number += 1;
        let cut = Cut {
            number: self.number,
            before: millis(now).max(latest),
        };
        let longest = LONGEST_SESSION.as_secs() + 2 * LEEWAY;
        let until = (cut.before / 1000).saturating_add(longest);
        self.records.insert(what, Record { cut, until, of });
    }

    /// Forgets those whose tokens have all ended.
    pub fn forget_past(&mut self, now: SystemTime) {
        let seconds = unix(now);
        self.records.retain(|_, record| record.until > seconds);
    }

    /// Makes place: the oldest tenth goes, and with it every session that began before the end
    /// of that tenth. Who is hit by this logs in again.
    fn raise_floor(&mut self) {
        let mut cuts: Vec<Cut> = self.records.values().map(|record| record.cut).collect();
        cuts.sort_unstable_by_key(|cut| Reverse(cut.number));
        for cut in cuts.drain(cuts.len() - cuts.len().div_ceil(10)..) {
            self.floor.number = self.floor.number.max(cut.number);
            self.floor.before = self.floor.before.max(cut.before);
        }
        let floor = self.floor.number;
        self.records.retain(|_, record| record.cut.number > floor);
        tracing::warn!(
            "more than {MOST} revocations: the oldest sessions of all users have to log in again"
        );
    }
}

/// Milliseconds since 1970.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
