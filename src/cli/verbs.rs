//! The verbs that are one call to the running proxy and a sentence about it.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::{BoxError, Json, chain, explain, show};
use crate::{
    admin::{self, ClientError},
    config::Config,
    doctor::Doctor,
    names::{AppName, Username},
    serve,
};

/// Whose sessions to end.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// All sessions of this user.
    #[arg(value_parser = super::username)]
    user: Option<Username>,
    /// The session of this id: the token's `sid`, or its `jti` if it has none.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// The token of this id (`jti`), and the session it began.
    #[arg(long, value_name = "ID")]
    token: Option<String>,
}

pub fn start(
    config: &Config,
    user: &Username,
    app: Option<&AppName>,
    json: Json,
) -> Result<(), BoxError> {
    let body = app.map_or(Value::Null, |app| json!({ "app": app.as_str() }));
    let path = format!("{}/start", workspace(user));
    let status = ask(config, Method::POST, &path, &body)?;
    done(
        &status,
        json,
        &format!("the workspace of {user} is running"),
    );
    Ok(())
}

pub fn stop(config: &Config, user: &Username, json: Json) -> Result<(), BoxError> {
    let path = format!("{}/stop", workspace(user));
    let status = ask(config, Method::POST, &path, &Value::Null)?;
    done(
        &status,
        json,
        &format!("the workspace of {user} is stopped"),
    );
    Ok(())
}

pub fn remove(config: &Config, user: &Username, json: Json) -> Result<(), BoxError> {
    let status = ask(config, Method::DELETE, &workspace(user), &Value::Null)?;
    done(
        &status,
        json,
        &format!("the workspace of {user} is removed"),
    );
    Ok(())
}

pub fn explain(config: &Config, user: &Username, json: Json) -> Result<(), BoxError> {
    let path = format!("{}/explanation", workspace(user));
    let explanation = ask(config, Method::GET, &path, &Value::Null)?;
    done(&explanation, json, &explain::text(&explanation));
    Ok(())
}

pub fn keep(
    config: &Config,
    user: &Username,
    how_long: Duration,
    json: Json,
) -> Result<(), BoxError> {
    let path = format!("{}/keep", workspace(user));
    let kept = ask(
        config,
        Method::POST,
        &path,
        &json!({ "seconds": how_long.as_secs() }),
    )?;
    let until = kept["until"].as_str().unwrap_or_default();
    let text = format!("the workspace of {user} is kept until {until}");
    done(&kept, json, &text);
    Ok(())
}

pub fn revoke(config: &Config, Revoke { what, json }: &Revoke) -> Result<(), BoxError> {
    let body = match (&what.user, &what.session, &what.token) {
        (Some(user), ..) => json!({ "user": user.as_str() }),
        (_, Some(session), _) => json!({ "session": session }),
        (_, _, token) => json!({ "token": token }),
    };
    let revoked = ask(config, Method::POST, "/v1/revocations", &body)?;
    let text = match revoked["ended"].as_u64() {
        Some(1) => "1 session was live and is ended".to_owned(),
        ended => format!("{} sessions were live and are ended", ended.unwrap_or(0)),
    };
    done(&revoked, *json, &text);
    Ok(())
}

/// Has the running proxy look, since its rights count; looks alone if there is none.
pub fn doctor(config: Config, json: Json) -> Result<ExitCode, BoxError> {
    let report = match ask(&config, Method::GET, "/v1/doctor", &Value::Null) {
        Ok(report) => report,
        Err(error) => {
            let why = chain(&*error);
            // Whoever may not open its socket may not read its keys either: no fault of theirs.
            let refused = error.downcast_ref::<ClientError>().is_some_and(|error| {
                matches!(error, ClientError::Connect { source, .. }
                    if source.kind() == io::ErrorKind::PermissionDenied)
            });
            let check = || {
                serve::check(&config)
                    .into_iter()
                    .chain(serve::lacks(&config))
            };
            let faults = (!refused).then(check).into_iter().flatten();
            let faults: Vec<String> = faults.map(|fault| chain(&fault)).collect();
            let report = runtime()?.block_on(Doctor::alone(Arc::new(config), &why, &faults));
            json!(report)
        }
    };
    done(&report, json, &show::findings(&report));
    Ok(if report["state"] == "fail" {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The path of a user's workspace.
pub fn workspace(user: &Username) -> String {
    let user = utf8_percent_encode(user.as_str(), NON_ALPHANUMERIC);
    format!("/v1/workspaces/{user}")
}

/// Calls the running proxy.
pub fn ask(config: &Config, method: Method, path: &str, body: &Value) -> Result<Value, BoxError> {
    Ok(runtime()?.block_on(ask_on(config, method, path, body))?)
}

/// The same where there is a runtime already.
pub async fn ask_on(
    config: &Config,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Value, ClientError> {
    let socket = admin::socket_path(&config.state_dir);
    admin::call(&socket, method, path, body).await
}

pub fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Prints the answer for programs, or a sentence for people.
fn done(answer: &Value, json: Json, text: &str) {
    if json.json {
        println!("{answer:#}");
    } else {
        println!("{text}");
    }
}
