//! A call from its head to its answer: may they, what exactly, done.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::timeout};

use super::{
    ask::{Ask, Kind, Token, malformed, understand},
    table::{self, Lost, Verb},
};
use crate::{
    config::Config,
    doctor::Doctor,
    names::{AppName, Username},
    problem::Problem,
    session::{self, Admin, Sessions, SignError, TokenKind},
    workspace::{Cause, KeepError, LogsError, StopError, StopReason, Workspaces},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Largest body of a call, in bytes; a real one has a hundred.
const LARGEST: usize = 16 * 1024;
/// Longest it may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The kind of the refusal of a token that isn't good for a call.
const SCOPE: &str = "scope";

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever could open the Unix socket.
    Socket,
    /// The bearer of an admin token.
    Bearer {
        /// Who that is, and what the token is good for.
        admin: Admin,
        /// Where they are.
        client: IpAddr,
    },
}

/// A call that was refused or failed.
#[derive(Debug)]
pub struct Refused {
    /// What to tell.
    pub problem: Problem,
    /// The methods that the path takes, if that was it.
    pub allow: Option<String>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            allow: None,
        }
    }
}

/// What both doors lead to; a clone is another handle of the same.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    sessions: Arc<Sessions>,
    workspaces: Workspaces,
    doctor: Doctor,
    /// What is asked for is done here, not on the threads that serve users.
    runtime: Handle,
}

impl Api {
    /// The API of these parts. What is asked for is done on the runtime this is called on.
    pub fn new(
        config: Arc<Config>,
        sessions: Arc<Sessions>,
        workspaces: Workspaces,
        doctor: Doctor,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            sessions,
            workspaces,
            doctor,
            runtime: Handle::current(),
        }))
    }

    /// Answers a call to `path`, which begins below the door: `/v1/workspaces`.
    ///
    /// # Errors
    /// [`Refused`]: there is no such call, the caller may not, it is malformed, or it failed.
    pub async fn answer(
        &self,
        caller: Caller,
        request_id: &str,
        head: &Parts,
        path: &str,
        body: impl Body<Data = Bytes, Error: Into<BoxError>>,
    ) -> Result<Value, Refused> {
        let (verb, names) = table::find(&head.method, path).map_err(lost)?;
        let mut app = names.get(1).and_then(|name| AppName::parse(name).ok());
        let done = self.done(&caller, verb, &names, head, body, &mut app);
        let done = done.await;
        // Who looks how things are isn't of interest; who changes them or looks closer is, and
        // who would.
        let refused = done.as_ref().is_err_and(|problem| problem.kind == SCOPE);
        if refused || !matches!(verb, Verb::List | Verb::Status) {
            let user = names.first().and_then(|name| Username::parse(name).ok());
            let problem = done.as_ref().err();
            audit(
                &caller,
                verb,
                user.as_ref(),
                app.as_ref(),
                problem,
                request_id,
            );
        }
        Ok(done?)
    }

    async fn done(
        &self,
        caller: &Caller,
        verb: Verb,
        names: &[String],
        head: &Parts,
        body: impl Body<Data = Bytes, Error: Into<BoxError>>,
        app: &mut Option<AppName>,
    ) -> Result<Value, Problem> {
        self.may(caller, verb)?;
        let body = read(body).await?;
        let ask = understand(verb, names, head.uri.query(), &body)?;
        if let Ask::Start(_, named) = &ask {
            app.clone_from(named);
        }
        self.detached(ask).await
    }

    /// Whether the caller may ask for this.
    fn may(&self, caller: &Caller, verb: Verb) -> Result<(), Problem> {
        let Caller::Bearer { admin, .. } = caller else {
            return Ok(());
        };
        let scope = verb.scope();
        let granted = self.0.config.admin.scopes.contains(&scope);
        if granted && admin.scopes.contains(&scope) {
            return Ok(());
        }
        let word = scope.as_str();
        let detail = if granted {
            format!("This takes a token with {word:?} in its `scope`.")
        } else {
            format!("Over HTTPS this is not granted: {word:?} is not in `admin.scopes`.")
        };
        Err(problem(
            StatusCode::FORBIDDEN,
            SCOPE,
            "This token is not good for that",
            detail,
        ))
    }

    /// Does what is asked, and finishes it if the asker leaves.
    async fn detached(&self, ask: Ask) -> Result<Value, Problem> {
        let this = self.clone();
        let task = self.0.runtime.spawn(async move { this.act(ask).await });
        task.await.unwrap_or_else(|_| Err(fault()))
    }

    async fn act(&self, ask: Ask) -> Result<Value, Problem> {
        let Inner {
            workspaces,
            sessions,
            config,
            doctor,
            ..
        } = &*self.0;
        Ok(match ask {
            Ask::List => json!(workspaces.list()),
            Ask::Status(user) => json!(workspaces.status(&user)),
            Ask::Explain(user) => json!(workspaces.explain(&user)),
            Ask::Logs(user, app, from) => {
                let printed = workspaces.logs(&user, &app, from).await;
                json!(printed.map_err(|error| logs(&error))?)
            }
            Ask::Start(user, app) => {
                let started = workspaces.start(&user, app.as_ref()).await;
                started.map_err(|cause| start(&cause))?;
                json!(workspaces.status(&user))
            }
            Ask::Stop(user) => {
                let stopped = workspaces.stop(&user, StopReason::Operator).await;
                stopped.map_err(|error| stop(&error))?;
                json!(workspaces.status(&user))
            }
            Ask::Remove(user) => {
                workspaces
                    .remove(&user)
                    .await
                    .map_err(|error| stop(&error))?;
                json!(workspaces.status(&user))
            }
            Ask::Keep(user, how_long) => {
                let until = workspaces
                    .keep(&user, how_long)
                    .map_err(|error| keep(&error))?;
                let until = humantime::format_rfc3339_seconds(until).to_string();
                json!({ "user": user.as_str(), "until": until })
            }
            Ask::Revoke(what) => {
                // It is written to disk.
                let sessions = Arc::clone(sessions);
                let ended = tokio::task::spawn_blocking(move || sessions.revoke(what)).await;
                let ended = ended.map_err(|_| fault())?.map_err(|error| {
                    let title = "It counts, but a restart would forget it";
                    failed("not-kept", title, &error)
                })?;
                json!({ "ended": ended })
            }
            Ask::Token(Token { user, body }) => {
                let kind = match body.kind {
                    Kind::Session => TokenKind::Session,
                    Kind::Handoff => TokenKind::Handoff,
                };
                let token = session::sign(
                    &config.session,
                    body.key.as_deref(),
                    kind,
                    &user,
                    Duration::from_secs(body.seconds),
                    body.state.as_deref(),
                );
                json!({ "token": token.map_err(|error| sign(&error))? })
            }
            Ask::Doctor => json!(doctor.examine().await),
        })
    }
}

/// Writes the line of the audit trail; what is no name is not told.
fn audit(
    caller: &Caller,
    verb: Verb,
    user: Option<&Username>,
    app: Option<&AppName>,
    problem: Option<&Problem>,
    request_id: &str,
) {
    let (door, by, client) = match caller {
        Caller::Socket => ("socket", None, None),
        Caller::Bearer { admin, client } => ("https", Some(admin.by.as_str()), Some(client)),
    };
    tracing::info!(target: "audit", event = "admin", act = verb.scope().as_str(),
        user = user.map(display), app = app.map(display), door, by,
        outcome = problem.map_or("done", |problem| problem.kind),
        client.addr = client.map(display), request.id = request_id);
}

/// Takes in a body, which is small and comes soon.
async fn read(body: impl Body<Data = Bytes, Error: Into<BoxError>>) -> Result<Bytes, Problem> {
    match timeout(BODY_TIME, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(malformed(format!("a body has at most {LARGEST} bytes"))),
        Err(_) => Err(malformed("the body did not come".to_owned())),
    }
}

fn problem(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Problem {
    Problem {
        status,
        kind,
        title,
        detail,
    }
}

fn fault() -> Problem {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "This failed by a fault of ours",
        "The log says why.".to_owned(),
    )
}

fn failed(kind: &'static str, title: &'static str, error: &dyn std::error::Error) -> Problem {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        kind,
        title,
        error.to_string(),
    )
}

fn lost(lost: Lost) -> Refused {
    match lost {
        Lost::NotFound => Refused::from(problem(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such call",
            "docs/openapi.json describes every call.".to_owned(),
        )),
        Lost::Method(allow) => Refused {
            problem: problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "That can't be done here",
                format!("This path takes {allow}."),
            ),
            allow: Some(allow),
        },
    }
}

fn start(cause: &Cause) -> Problem {
    let title = "The workspace could not be started";
    let status = match cause {
        Cause::NoSuchApp(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, "start-failed", title, cause.to_string())
}

fn stop(error: &StopError) -> Problem {
    let title = "The workspace could not be stopped";
    let status = match error {
        StopError::NoContainer(_) => StatusCode::NOT_FOUND,
        StopError::Foreign(_) => StatusCode::CONFLICT,
        StopError::Engine(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, "stop-failed", title, error.to_string())
}

fn logs(error: &LogsError) -> Problem {
    let title = "There is no output to read";
    let status = match error {
        LogsError::NoSuchApp(_) | LogsError::NeverStarted(_) => StatusCode::NOT_FOUND,
        LogsError::NotRunning(_) => StatusCode::CONFLICT,
        LogsError::Engine(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, "no-output", title, error.to_string())
}

fn keep(error: &KeepError) -> Problem {
    let title = "The workspace can't be kept so";
    problem(StatusCode::CONFLICT, "not-kept", title, error.to_string())
}

fn sign(error: &SignError) -> Problem {
    let title = "No such token can be signed";
    problem(StatusCode::CONFLICT, "not-signed", title, error.to_string())
}
