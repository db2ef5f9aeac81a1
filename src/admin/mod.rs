//! The operator's side of the running proxy: one table of calls, JSON over HTTP, two doors. On a
//! Unix socket that only its owner can open (the mode of the socket is the access check), and
//! over HTTPS for bearers of an admin token (`front` has checked it).
//!
//! Imports `config`, `names`, `problem`, `session`, `workspace` and `doctor`. Promise: whatever
//! is asked, users' requests go on; a bearer gets no more than the configuration grants; what was
//! begun is finished, also if the asker leaves.

mod act;
mod ask;
mod client;
mod table;

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    act::{Api, Caller, Refused},
    client::{ClientError, call},
};
use crate::{problem, secret::random_id};

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
pub async fn serve(listener: UnixListener, api: Api, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        // Cancel-safe: `accept` loses no connection when dropped.
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = stream else { continue };
        let api = api.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| answer(request, &api));
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
    api: &Api,
) -> Result<Response<Full<Bytes>>, http::Error> {
    let request_id = random_id();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let answer = api
        .answer(Caller::Socket, &request_id, &head, path, body)
        .await;
    let (status, kind, allow, value) = match answer {
        Ok(value) => (StatusCode::OK, "application/json", None, value),
        Err(Refused { problem, allow }) => (
            problem.status,
            problem::MEDIA_TYPE,
            allow,
            problem.json(&request_id),
        ),
    };
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .body(Full::from(value.to_string()))?;
    if let Some(allow) = allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(response)
}
