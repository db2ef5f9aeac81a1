//! Seam.
use super::Sessions;
use crate::names::Username;
#[allow(missing_docs)]
#[derive(Debug)]
pub enum Revocation {
    User(Username),
    Session(String),
    Token(String),
}
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
#[error("not revoked")]
pub struct RevokeError;
#[allow(missing_docs, clippy::missing_errors_doc)]
impl Sessions {
    pub fn revoke(&self, _what: Revocation) -> Result<usize, RevokeError> {
        Ok(0)
    }
}
