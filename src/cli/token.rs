//! `vestibule token`: a token signed by hand, for trying out.

use std::time::Duration;

use clap::ValueEnum;

use crate::{
    config::Config,
    names::Username,
    session::{self, SignError, TokenKind},
};

/// What to sign.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whose token.
    #[arg(value_parser = super::username)]
    user: Username,
    /// A session token (a bearer for API clients) or a hand-off token (for the callback).
    #[arg(long, value_enum, default_value = "session")]
    kind: Kind,
    /// A password for SSH, in place of `--kind`.
    #[arg(long, conflicts_with = "kind")]
    ssh: bool,
    /// How long it is good for; a hand-off token at most 60s, one for SSH at most 1h.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    lifetime: Duration,
    /// The `state` that a hand-off token answers.
    #[arg(long)]
    state: Option<String>,
    /// The `id` of the configured key to sign with, if not the first one.
    #[arg(long)]
    key: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Session,
    Handoff,
}

/// Signs what the arguments say with a configured key.
///
/// # Errors
/// [`SignError`] if there is no such key or it can't sign.
pub fn sign(arguments: &Arguments, config: &Config) -> Result<String, SignError> {
    let kind = match arguments.kind {
        _ if arguments.ssh => TokenKind::Ssh,
        Kind::Session => TokenKind::Session,
        Kind::Handoff => TokenKind::Handoff,
    };
    session::sign(
        &config.session,
        arguments.key.as_deref(),
        kind,
        &arguments.user,
        arguments.lifetime,
        arguments.state.as_deref(),
    )
}
