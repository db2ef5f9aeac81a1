//! The `[admin]` table: what a bearer of an admin token may ask for.

use super::{Admin, defaults, section::Section, values};

/// One thing that an operator, or the web application, may ask for; a word of a token's `scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read what workspaces do.
    Status,
    /// Read why a workspace is alive, or was stopped: client addresses and times.
    Explain,
    /// Read what a user's apps print.
    Logs,
    /// Start a workspace or an app in it.
    Start,
    /// Stop a workspace.
    Stop,
    /// Put the stop of a quiet workspace off.
    Keep,
    /// Remove a container.
    Rm,
    /// End sessions.
    Revoke,
    /// Sign tokens that let their bearer in as any user.
    Token,
    /// Look for what is wrong with this installation.
    Doctor,
}

/// Every scope and its word.
const SCOPES: &[(&str, Scope)] = &[
    ("status", Scope::Status),
    ("explain", Scope::Explain),
    ("logs", Scope::Logs),
    ("start", Scope::Start),
    ("stop", Scope::Stop),
    ("keep", Scope::Keep),
    ("rm", Scope::Rm),
    ("revoke", Scope::Revoke),
    ("token", Scope::Token),
    ("doctor", Scope::Doctor),
];

impl Scope {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        SCOPES.iter().map(|(_, scope)| *scope)
    }

    /// The scope of this word.
    pub fn parse(word: &str) -> Option<Self> {
        let found = SCOPES.iter().find(|(known, _)| *known == word);
        found.map(|(_, scope)| *scope)
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        let found = SCOPES.iter().find(|(_, scope)| *scope == self);
        found.map_or("", |(word, _)| word)
    }
}

/// Reads `[admin]`.
pub fn admin(section: Section<'_>) -> Admin {
    let scopes = section.get("scopes", values::list(values::one_of(SCOPES)));
    section.finish();
    Admin {
        scopes: scopes.unwrap_or_else(|| defaults::SCOPES.to_vec()),
    }
}
