//! The terminal in the browser: its page, and the WebSocket of that page, which ends in
//! `terminal`. Both have the same address, whose last part names the shell.

use std::time::Duration;

use http::{Response, request::Parts};
use tokio::time::{Instant, timeout};

use super::{Asker, Front, Shared, answer::Refusal, is_read, relay, reply};
use crate::{
    forward::{Body, agree, is_handshake},
    incoming::Incoming,
    pages,
    route::{RouteError, Target},
    session::Entry,
    shell::Size,
    terminal::{self, Name, Opening},
    workspace::{Inside, Kind, Mover, Visit},
};

/// What people call it.
pub const TITLE: &str = "Terminal";
/// How long a client may take to use the stream that was agreed upon.
const TAKE_UP: Duration = Duration::from_secs(10);

/// Answers whatever is asked of a user's terminal.
pub async fn answer(
    front: &Front,
    asker: &Asker<'_>,
    body: Incoming,
    target: Target,
    entry: Entry,
) -> Result<Response<Body>, Refusal> {
    let name = Name::in_path(&target.rest).ok_or(Refusal::Route(RouteError::NotFound))?;
    if is_handshake(asker.head) {
        return open(front, asker, body, &target, entry, name);
    }
    if !is_read(&asker.head.method) {
        return Err(Refusal::Method { post: false });
    }
    page(&front.shared, asker, target, &entry).await
}

/// The page. Only a navigation starts the workspace; whatever else asks costs nothing.
async fn page(
    shared: &Shared,
    asker: &Asker<'_>,
    target: Target,
    entry: &Entry,
) -> Result<Response<Body>, Refusal> {
    let navigation = asker.is_navigation();
    let visit = Visit {
        by: mover(
            asker,
            &target,
            if navigation {
                Kind::Navigation
            } else {
                Kind::Request
            },
        ),
        input: navigation,
        at: asker.came.get(),
    };
    if shared.workspaces.inside(&target.user, &visit).is_none() {
        if !navigation {
            return Err(Refusal::NotRunning);
        }
        start(shared, asker, &target, entry, &visit.by).await?;
    }
    Ok(reply::terminal(pages::terminal(&pages::Terminal {
        user: target.user.as_str(),
        kept: shared
            .config
            .terminal
            .as_ref()
            .is_some_and(|terminal| terminal.tmux),
        others: &format!("{}/", target.prefix()),
    })))
}

async fn start(
    shared: &Shared,
    asker: &Asker<'_>,
    target: &Target,
    entry: &Entry,
    by: &Mover,
) -> Result<Inside, Refusal> {
    let uid = entry.claims().uid.as_deref();
    let start = shared.workspaces.enter(&target.user, uid, by);
    relay::settled(start, shared, asker, target.clone(), TITLE.to_owned()).await
}

/// Opens the page's WebSocket, whose query is the size: `?80x24`.
fn open(
    front: &Front,
    asker: &Asker<'_>,
    body: Incoming,
    target: &Target,
    entry: Entry,
    name: Name,
) -> Result<Response<Body>, Refusal> {
    let shared = &front.shared;
    let visit = Visit {
        by: mover(asker, target, Kind::Socket),
        input: false,
        at: asker.came.get(),
    };
    let inside = shared.workspaces.inside(&target.user, &visit);
    let inside = inside.ok_or(Refusal::NotRunning)?;
    let response = agree(asker.head).map_err(|error| Refusal::Forward(target.clone(), error))?;
    let opening = Opening {
        open: inside.socket(visit),
        inside,
        name,
        tmux: shared
            .config
            .terminal
            .as_ref()
            .is_some_and(|terminal| terminal.tmux),
        size: size(asker.head),
        ended: entry.live.ended.clone(),
        stop: shared.stop.clone(),
    };
    let (shared, client, id) = (shared.clone(), asker.client, asker.request_id.clone());
    front.tasks.spawn_local(async move {
        let Ok(Ok(stream)) = timeout(TAKE_UP, body.take_up()).await else {
            return tracing::debug!("a terminal was not taken up");
        };
        let began = Instant::now();
        // Held to the end, so that the session isn't forgotten before it could end this.
        let claims = entry.claims();
        tracing::info!(target: "audit", event = "terminal_open", user = %claims.user,
            session = claims.session, client.addr = %client, request.id = id);
        let end = terminal::run(stream, &shared.workspaces, opening).await;
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(target: "audit", event = "terminal_close", user = %claims.user,
            client.addr = %client, request.id = id, reason = end.as_str(), elapsed_ms);
        if let terminal::End::Failed(error) = end {
            tracing::warn!(request.id = id, user = %claims.user, %error, "no shell for a terminal");
        }
    });
    Ok(response)
}

fn mover(asker: &Asker<'_>, target: &Target, kind: Kind) -> Mover {
    Mover {
        kind,
        app: Some(target.app.clone()),
        client: Some(asker.client),
    }
}

/// The size that a page asks for; the usual one if it says nothing that makes sense.
fn size(head: &Parts) -> Size {
    let asked = head.uri.query().and_then(|query| query.split_once('x'));
    let asked = asked.and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
    let (columns, rows) = asked.unwrap_or((80, 24));
    terminal::size(columns, rows)
}
