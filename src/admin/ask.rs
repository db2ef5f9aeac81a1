//! What is asked for: read from the names in the path, the query and the body. Pure.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};

use super::table::Verb;
use crate::{
    names::{AppName, Username},
    problem::Problem,
    session::Revocation,
    workspace::LogsFrom,
};

/// Lines of an app's output, if the asker doesn't say how many.
const LINES: u32 = 100;

/// What is asked for, understood.
pub enum Ask {
    List,
    Status(Username),
    Explain(Username),
    Logs(Username, AppName, LogsFrom),
    Start(Username, Option<AppName>),
    Stop(Username),
    Keep(Username, Duration),
    Remove(Username),
    Revoke(Revocation),
    Token(Token),
    Doctor,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartBody {
    app: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepBody {
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RevokeBody {
    User(String),
    Session(String),
    Token(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    user: String,
    pub kind: Kind,
    pub seconds: u64,
    pub state: Option<String>,
    pub key: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Session,
    Handoff,
}

/// A token to sign.
pub struct Token {
    pub user: Username,
    pub body: TokenBody,
}

/// Understands a call; `names` stood in its path.
pub fn understand(
    verb: Verb,
    names: &[String],
    query: Option<&str>,
    body: &[u8],
) -> Result<Ask, Problem> {
    let mut names = names.iter();
    let mut user = || username(names.next().map_or("", String::as_str));
    Ok(match verb {
        Verb::List => Ask::List,
        Verb::Status => Ask::Status(user()?),
        Verb::Explain => Ask::Explain(user()?),
        Verb::Stop => Ask::Stop(user()?),
        Verb::Remove => Ask::Remove(user()?),
        Verb::Doctor => Ask::Doctor,
        Verb::Logs => {
            let user = user()?;
            let app = app(names.next().map_or("", String::as_str))?;
            Ask::Logs(user, app, from(query.unwrap_or_default())?)
        }
        Verb::Start => {
            let user = user()?;
            let body = if body.is_empty() {
                StartBody::default()
            } else {
                parse::<StartBody>(body)?
            };
            Ask::Start(user, body.app.as_deref().map(app).transpose()?)
        }
        Verb::Keep => {
            let user = user()?;
            let KeepBody { seconds } = parse(body)?;
            Ask::Keep(user, Duration::from_secs(seconds))
        }
        Verb::Revoke => {
            let wanted = "the body is wrong: one of `user`, `session` and `token` is needed";
            let body: RevokeBody = parse(body).map_err(|_| malformed(wanted.to_owned()))?;
            let (kind, id) = match body {
                RevokeBody::User(user) => ("user", user),
                RevokeBody::Session(id) => ("session", id),
                RevokeBody::Token(id) => ("token", id),
            };
            let what = Revocation::parse(kind, &id);
            Ask::Revoke(what.map_err(|error| malformed(error.to_string()))?)
        }
        Verb::Token => {
            let body: TokenBody = parse(body)?;
            let user = username(&body.user)?;
            Ask::Token(Token { user, body })
        }
    })
}

/// From where on to read a log: `lines=50` or `after=12345`.
fn from(query: &str) -> Result<LogsFrom, Problem> {
    let mut from = LogsFrom::Last(LINES);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let wrong = || malformed(format!("the query has `lines` or `after`, not {pair:?}"));
        from = match pair.split_once('=').ok_or_else(wrong)? {
            ("lines", lines) => LogsFrom::Last(lines.parse().map_err(|_| wrong())?),
            ("after", offset) => LogsFrom::Offset(offset.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
    }
    Ok(from)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| malformed(format!("the body is wrong: {error}")))
}

fn username(text: &str) -> Result<Username, Problem> {
    Username::parse(text).map_err(|error| malformed(error.to_string()))
}

fn app(text: &str) -> Result<AppName, Problem> {
    AppName::parse(text).map_err(|error| malformed(error.to_string()))
}

/// A call that says nothing, or what can't be.
pub fn malformed(detail: String) -> Problem {
    Problem {
        status: StatusCode::BAD_REQUEST,
        kind: "malformed",
        title: "The call is malformed",
        detail,
    }
}
