//! The operator's side of the running proxy: JSON over HTTP on a Unix socket that only its
//! owner can open (the mode of the socket is the access check).
//!
//! Imports `names` and `workspace`. Promise: whatever is asked, users' requests go on.

mod client;

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use client::{ClientError, call};

use crate::{
    names::{AppName, Username},
    workspace::{StopReason, Workspaces},
};

/// Where the socket is in a state directory.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("admin.sock")
}

/// Binds the socket, mode 0600, in place of a stale one.
///
/// # Errors
/// What the system says; `AddrInUse` if another proxy answers on it.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::from(io::ErrorKind::AddrInUse));
    }
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers on `listener` until told to stop.
pub async fn serve(listener: UnixListener, workspaces: Workspaces, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        // Cancel-safe: `accept` loses no connection when dropped.
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = stream else { continue };
        let workspaces = workspaces.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| answer(request, &workspaces));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "admin connection ended");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    workspaces: &Workspaces,
) -> Result<Response<Full<Bytes>>, http::Error> {
    let (status, body) = act(request.method(), request.uri().path(), workspaces).await;
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
}

/// `GET /workspaces`, `GET /workspaces/<user>/explain`, `POST /workspaces/<user>/keep/<time>`, `POST /workspaces/<user>/start`, `.../start/<app>`, `.../stop`,
/// `DELETE /workspaces/<user>`.
async fn act(method: &Method, path: &str, workspaces: &Workspaces) -> (StatusCode, Value) {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (user, verb, app) = match segments[..] {
        ["workspaces"] if method == Method::GET => {
            return (StatusCode::OK, json!(workspaces.list()));
        }
        ["workspaces", user] if method == Method::DELETE => (user, "rm", None),
        ["workspaces", user, verb] if method == Method::POST => (user, verb, None),
        ["workspaces", user, "explain"] if method == Method::GET => (user, "explain", None),
        ["workspaces", user, "keep", time] if method == Method::POST => {
            return keep(user, time, workspaces);
        }
        ["workspaces", user, "start", app] if method == Method::POST => (user, "start", Some(app)),
        _ => return (StatusCode::NOT_FOUND, json!({ "error": "no such call" })),
    };
    let names =
        Username::parse(user).and_then(|user| Ok((user, app.map(AppName::parse).transpose()?)));
    let (user, app) = match names {
        Ok(names) => names,
        Err(error) => {
            return (
                StatusCode::BAD_REQUEST,
                json!({ "error": error.to_string() }),
            );
        }
    };
    if verb == "explain" {
        return (StatusCode::OK, json!(workspaces.explain(&user)));
    }
    let done = match verb {
        "start" => workspaces
            .start(&user, app.as_ref())
            .await
            .map_err(|error| error.to_string()),
        "stop" => workspaces
            .stop(&user, StopReason::Operator)
            .await
            .map_err(|error| error.to_string()),
        "rm" => workspaces
            .remove(&user)
            .await
            .map_err(|error| error.to_string()),
        _ => return (StatusCode::NOT_FOUND, json!({ "error": "no such call" })),
    };
    match done {
        Ok(()) => (StatusCode::OK, json!(workspaces.status(&user))),
        Err(error) => (StatusCode::CONFLICT, json!({ "error": error })),
    }
}

/// Keeps a workspace for a time such as `8h`.
fn keep(user: &str, time: &str, workspaces: &Workspaces) -> (StatusCode, Value) {
    let wrong = |error: String| (StatusCode::BAD_REQUEST, json!({ "error": error }));
    let user = match Username::parse(user) {
        Ok(user) => user,
        Err(error) => return wrong(error.to_string()),
    };
    let Ok(time) = humantime::parse_duration(time) else {
        return wrong(format!("{time:?} is no time such as 90m or 8h"));
    };
    match workspaces.keep(&user, time) {
        Ok(_) => (StatusCode::OK, json!(workspaces.explain(&user))),
        Err(error) => (StatusCode::CONFLICT, json!({ "error": error.to_string() })),
    }
}
