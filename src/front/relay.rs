//! A request that was let in, on its way to the app: who comes, the running app, and the answer.

use std::sync::Arc;

use http::{Response, Uri, header};
use tokio::sync::watch;

use super::{
    Asker, Front, Shared,
    answer::Refusal,
    head,
    held::Held,
    progress::{self, Goal},
    reply,
};
use crate::{
    config::Prefix,
    forward::{Body, ClientInfo, Destination, ForRequest, ForResponse, ForwardError},
    incoming::Incoming,
    route::Target,
    session::{Denied, Entry, Reason, Sessions},
    symptoms::Symptom,
    workspace::{Kind, Mover, Phase, Upstream, Visit},
};

impl Front {
    /// Who comes, and whether it is a person who does something.
    pub(super) fn visit(&self, asker: &Asker<'_>, target: &Target) -> Visit {
        let (app, rest, head) = (&target.app, &target.rest, asker.head);
        let is_socket = head::is_websocket(&head.headers, &head.extensions);
        let navigation = asker.is_navigation();
        let rules = &self.shared.config.apps[app].input;
        // What a socket carries is judged as it comes; that it is opened says nothing.
        let input = !is_socket && rules.is_input(&head.method, rest, navigation);
        tracing::trace!(target: "traffic", user = %target.user, %app, id = asker.request_id,
            is_socket, navigation, method = %head.method, path = rest);
        let kind = match (is_socket, navigation) {
            (true, _) => Kind::Socket,
            (_, true) => Kind::Navigation,
            _ => Kind::Request,
        };
        let by = Mover {
            kind,
            app: Some(app.clone()),
            client: Some(asker.client),
        };
        Visit {
            by,
            input,
            at: asker.came.get(),
        }
    }

    /// The running app. Only a navigation starts one; whatever else asks costs nothing.
    pub(super) async fn reach(
        &self,
        asker: &Asker<'_>,
        target: &Target,
        entry: &Entry,
        visit: &Visit,
    ) -> Result<Arc<Upstream>, Refusal> {
        let Shared {
            workspaces, config, ..
        } = &*self.shared;
        let Target { app, user, .. } = target;
        if let Some(upstream) = workspaces.upstream(user, app, visit) {
            return Ok(upstream);
        }
        let title = config.apps[app].title.clone();
        let target = target.clone();
        if !asker.is_navigation() {
            return Err(match workspaces.failure(user, app) {
                Some(failure) => Refusal::Failed {
                    target,
                    title,
                    failure,
                },
                None => Refusal::NotRunning,
            });
        }
        let uid = entry.claims().uid.as_deref();
        let start = workspaces.ensure(user, uid, app, &visit.by);
        settled(start, &self.shared, asker, target, title).await
    }

    /// Hands the request on, and the answer back.
    pub(super) async fn forward(
        &self,
        asker: &Asker<'_>,
        body: Incoming,
        target: &Target,
        entry: &Entry,
        upstream: &Arc<Upstream>,
        visit: Visit,
    ) -> Result<Response<Body>, Refusal> {
        let config = &self.shared.config;
        let strip = config.apps[&target.app].prefix == Prefix::Strip;
        let prefix = upstream.prefix.as_str();
        let head = asker.head;
        // From here on there is one spelling of the path, the one we judged.
        let respelled = respelled(prefix, target, &head.uri);
        let uri = respelled.as_ref().unwrap_or(&head.uri);
        if visit.by.kind != Kind::Socket && head.headers.contains_key(header::SEC_WEBSOCKET_KEY) {
            let by = asker.peer.to_canonical();
            self.shared.symptoms.note(Symptom::LostUpgrade, &by);
        }
        let navigates = visit.by.kind == Kind::Navigation;
        let own_cookies = self.shared.sessions.own_cookie_names();
        let https = config.site.origin.starts_with("https:");
        let to = Destination {
            id: upstream.id,
            addr: upstream.addr,
            closed: &upstream.closed,
            ended: &entry.live.ended,
            request: ForRequest {
                uri,
                client: ClientInfo {
                    addr: asker.client,
                    authority: &config.site.authority,
                    https,
                    request_id: &asker.request_id,
                },
                prefix,
                strip,
                set_headers: &upstream.headers,
                set_cookies: &upstream.cookies,
                own_cookies,
                strip_authorization: Sessions::owns_authorization(&head.headers),
            },
            response: ForResponse {
                prefix,
                strip,
                origin_authority: &config.site.authority,
                upstream_authority: &upstream.authority,
                own_cookies,
                injected_cookies: &upstream.cookies,
                https,
                frame_ancestors: &config.site.frame_ancestors,
            },
        };
        let guard = Held::new(upstream, visit, &entry.live, &asker.request_id);
        let error = match self.pool.send(head, body, &to, guard).await {
            Ok(response) => return Ok(response),
            Err(ForwardError::Ended) => {
                let reason = Reason::Ended;
                return Err(Refusal::NoSession(Denied::Refused { reason }));
            }
            Err(error) => error,
        };
        if error.is_unreachable() {
            self.shared.workspaces.suspect(upstream);
            if navigates {
                // A person sees it start again rather than fail.
                let visit = self.visit(asker, target);
                self.reach(asker, target, entry, &visit).await?;
                let path = uri.path_and_query();
                return Ok(reply::see_other(path.map_or("/", |path| path.as_str())));
            }
        }
        Err(Refusal::Forward(target.clone(), error))
    }
}

/// What a start comes to, if it does so soon; else how far it is, or why it failed.
pub async fn settled<R: Goal>(
    start: watch::Receiver<Phase<R>>,
    shared: &Shared,
    asker: &Asker<'_>,
    target: Target,
    title: String,
) -> Result<R, Refusal> {
    match progress::settle(start, shared.config.workspace.patience).await {
        Phase::Ready(goal) => Ok(goal),
        Phase::Failed(failure) => Err(Refusal::Failed {
            target,
            title,
            failure,
        }),
        phase @ (Phase::Queued { .. } | Phase::Working(_)) => Err(Refusal::Starting {
            target,
            title,
            progress: phase.progress().into(),
            here: asker.path_and_query().into(),
        }),
    }
}

/// The address in the spelling that was judged, if it has another.
fn respelled(prefix: &str, target: &Target, uri: &Uri) -> Option<Uri> {
    if uri.path().strip_prefix(prefix) == Some(&target.rest) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let path = format!("{prefix}{}{}", target.rest, query.unwrap_or_default());
    path.parse().ok()
}
