//! What was revoked, for as long as a token that it hits could still be good.
//!
//! Revocations are numbered, and what we sign ourselves holds the number of the last one: so old
//! is told from new exactly, whatever clocks do. For tokens that others sign, their time of issue
//! is all there is.

mod file;
mod list;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

pub use self::{
    file::RevocationsError,
    list::{NoSuchRevocation, Revocation},
};
use self::{
    file::RevokedFile,
    list::{Cut, List, millis},
};
use super::{
    claims::{Claims, Issued},
    cookie::has_cookie_key,
};
use crate::names::Username;

/// What was revoked. Asked once for each new token, not for each request.
#[derive(Debug)]
pub struct Revocations {
    list: Mutex<List>,
    file: Option<RevokedFile>,
}

impl Revocations {
    /// None, and nowhere to keep them: to judge a configuration by.
    pub fn none() -> Self {
        Self {
            list: Mutex::default(),
            file: None,
        }
    }

    /// Those kept in `state_dir`.
    ///
    /// # Errors
    /// [`RevocationsError`] if they can't be read, or not be kept: nobody is let in who may have
    /// been revoked.
    pub fn load(state_dir: &Path) -> Result<Self, RevocationsError> {
        let file = RevokedFile::at(state_dir);
        let list = if let Some(list) = file.read()? {
            list
        } else {
            // Numbers go on above those of a file that was lost. What it held is known no more:
            // where cookies were given out before, everything from before is refused.
            let now = millis(SystemTime::now());
            let floor = if has_cookie_key(state_dir) {
                tracing::warn!("the list of revocations is gone: all sessions from before end");
                Cut {
                    number: now,
                    before: now,
                }
            } else {
                Cut::default()
            };
            let list = List {
                number: now,
                floor,
                ..List::default()
            };
            file.write(|| list.clone())?;
            list
        };
        Ok(Self {
            list: Mutex::new(list),
            file: Some(file),
        })
    }

    /// The number of the last revocation.
    pub(super) fn number(&self) -> u64 {
        self.list().number
    }

    /// Whether a session or token with these claims is revoked.
    pub(super) fn hits(&self, claims: &Claims) -> bool {
        self.list().hits(claims)
    }

    /// Whether a token of this id, issued then, is revoked by it, whoever's it is.
    pub(super) fn hits_token(&self, id: &str, issued: Issued) -> bool {
        self.list().hits_token(Some(id), issued)
    }

    /// Adds one; it counts at once. `latest` is the latest time of issue, in milliseconds, among
    /// the tokens we have seen of what it names: all of those are old, even by a clock that is
    /// ahead of ours. `of`: the user who ended their own session.
    pub(super) fn add(
        &self,
        what: Revocation,
        of: Option<&Username>,
        latest: u64,
        now: SystemTime,
    ) {
        self.list().add(what, of, latest, now);
    }

    /// Writes down those that still matter.
    pub(super) fn save(&self, now: SystemTime) -> Result<(), RevocationsError> {
        self.list().forget_past(now);
        match &self.file {
            Some(file) => file.write(|| self.list().clone()),
            None => Ok(()),
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
