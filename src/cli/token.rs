//! `vestibule token`: a token signed by hand, with the key files that the configuration names.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use super::{BoxError, Json};
use crate::{
    config::{Config, Scope},
    names::Username,
    session::{self, SignError, TokenKind},
};

/// Who the audit log says asked with an admin token that was signed here.
const BY_HAND: &str = "operator";

/// What to sign.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whose token; an admin token is nobody's.
    #[arg(value_parser = super::username, required_unless_present = "admin")]
    user: Option<Username>,
    /// A session token (a bearer for API clients) or a hand-off token (for the callback).
    #[arg(long, value_enum, default_value = "session")]
    kind: Kind,
    /// A password for SSH, in place of `--kind`; `ssh -o PreferredAuthentications=password` asks for it.
    #[arg(long, conflicts_with_all = ["kind", "state"])]
    ssh: bool,
    /// An admin token instead, for the operators' API over HTTPS.
    #[arg(long, conflicts_with_all = ["user", "kind", "state", "ssh"])]
    admin: bool,
    /// What an admin token is good for, such as `status,stop`; by default all that
    /// `admin.scopes` grants.
    #[arg(long, conflicts_with_all = ["user", "kind", "state", "ssh"], value_delimiter = ',', value_parser = scope)]
    scope: Vec<Scope>,
    /// How long it is good for: a hand-off token at most 60s, one for SSH and an admin token 1h.
    #[arg(long, value_parser = super::time, default_value = "60s")]
    lifetime: Duration,
    /// The `state` that a hand-off token answers.
    #[arg(long)]
    state: Option<String>,
    /// The `id` of the configured key to sign with, if not the first one.
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    json: Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Session,
    Handoff,
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word).ok_or_else(|| {
        let words: Vec<_> = Scope::all().map(Scope::as_str).collect();
        format!("one of {}", words.join(", "))
    })
}

/// Prints the token.
pub fn run(arguments: &Arguments, config: &Config) -> Result<(), BoxError> {
    if arguments.state.is_some() && !matches!(arguments.kind, Kind::Handoff) {
        return Err("only a hand-off token answers a `--state`: add `--kind handoff`".into());
    }
    let token = sign(arguments, config)?;
    if arguments.json.json {
        println!("{:#}", json!({ "token": token }));
    } else {
        println!("{token}");
    }
    Ok(())
}

fn sign(arguments: &Arguments, config: &Config) -> Result<String, SignError> {
    let key = arguments.key.as_deref();
    let Some(user) = &arguments.user else {
        let scopes = if arguments.scope.is_empty() {
            &config.admin.scopes
        } else {
            &arguments.scope
        };
        return session::sign_admin(&config.session, key, BY_HAND, scopes, arguments.lifetime);
    };
    let kind = match arguments.kind {
        _ if arguments.ssh => TokenKind::Ssh,
        Kind::Session => TokenKind::Session,
        Kind::Handoff => TokenKind::Handoff,
    };
    session::sign(
        &config.session,
        key,
        kind,
        user,
        arguments.lifetime,
        arguments.state.as_deref(),
    )
}
