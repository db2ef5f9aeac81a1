//! The life of a request, written once, as a straight line.
//!
//! Imports `route`, `session`, `workspace`, `forward`, `pages`. Promise: nothing with an effect
//! stands above the session check, and every failure becomes an answer in `answer`.

mod answer;
mod head;
mod held;
mod home;
mod login;
mod progress;
mod reply;

use std::{net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, request::Parts};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use self::{answer::Refusal, held::Held};
use crate::{
    config::{App, Config, Prefix},
    forward::{Body, ClientInfo, Destination, ForRequest, ForResponse, Pool},
    listener::{Door, Handler, Peer},
    names::AppName,
    route::{Route, RouteError, Target, route},
    secret,
    session::{Credential, Entry, Sessions},
    workspace::{Kind, Mover, Phase, Upstream, Visit, Workspaces},
};

/// What all serving threads read and none of them waits for.
pub struct Shared {
    /// What the operator set.
    pub config: Config,
    /// Who may enter.
    pub sessions: Sessions,
    /// What they enter.
    pub workspaces: Workspaces,
}

/// Answers the requests of one thread.
pub struct Front {
    shared: Arc<Shared>,
    pool: Pool,
}

/// What the steps know of who asks.
struct Asker {
    /// Names this request in the log, to the upstream and on error pages.
    request_id: String,
    /// The client's own address.
    client: IpAddr,
    /// Whether a person is going somewhere, so that pages and redirects are welcome.
    navigation: bool,
    /// Whether a refusal should be a page.
    html: bool,
}

impl Handler for Front {
    type Body = Body;

    async fn handle(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let began = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (head, body) = request.into_parts();
        let trusted = &self.shared.config.listen.trusted_proxies;
        let asker = Asker {
            request_id: secret::random_id(),
            client: head::client(&head.headers, peer.addr, trusted),
            navigation: head::is_navigation(&head),
            html: head::accepts_html(&head.headers),
        };
        let response = match self.answer(peer, &asker, head, body).await {
            Ok(response) => response,
            Err(refusal) => answer::refuse(&refusal, &asker, &self.shared.config.site),
        };
        tracing::info!(
            target: "access",
            status = response.status().as_u16(),
            request.id = asker.request_id,
            client.addr = %asker.client,
            %method,
            // A text is escaped by the log's formatter, so none passes for a line of its own.
            path,
            elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        );
        response
    }
}

impl Front {
    /// A front with an upstream pool of its own.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            pool: Pool::new(),
        }
    }

    /// The straight line. Each step stands where it does because the next one relies on it.
    async fn answer(
        &self,
        peer: Peer,
        asker: &Asker,
        head: Parts,
        body: Incoming,
    ) -> Result<Response<Body>, Refusal> {
        let config = &self.shared.config;
        if !head::may_use(peer.door, peer.addr, &config.listen.trusted_proxies) {
            return Err(Refusal::NotAProxy);
        }
        if peer.door == Door::Redirect {
            return Ok(reply::to_https(&config.site.origin, &head.uri));
        }
        head::check(&head, &config.site.authority)?;
        let known = |app: &AppName| config.apps.contains_key(app);
        let target = match route(head.uri.path(), known)? {
            Route::App(target) => target,
            Route::AddSlash(target) => return Ok(reply::add_slash(&target, &head.uri)),
            own => return self.own(asker, &head, own).await,
        };
        let Some(entry) = self.enter(asker, &head, Some(&target))? else {
            return login::redirect(self, &head, &path_and_query(&head.uri));
        };
        let visit = self.visit(asker, &head, &target);
        let upstream = self
            .reach(asker, || path_and_query(&head.uri), &target, &entry, &visit)
            .await?;
        self.forward(
            asker,
            Request::from_parts(head, body),
            &target,
            &entry,
            &upstream,
            visit,
        )
        .await
    }

    /// Our own pages, most of them for a signed-in user alone.
    async fn own(
        &self,
        asker: &Asker,
        head: &Parts,
        own: Route,
    ) -> Result<Response<Body>, Refusal> {
        let post = matches!(own, Route::Logout | Route::Stop | Route::Keep);
        let fits = if post {
            head.method == Method::POST
        } else {
            is_read(&head.method)
        };
        if !fits {
            return Err(Refusal::Method { post });
        }
        match own {
            Route::Health => return Ok(reply::health()),
            Route::Asset(name) => {
                return reply::asset(&name, &head.headers)
                    .ok_or(Refusal::Route(RouteError::NotFound));
            }
            Route::SignedOut => return Ok(login::signed_out(self)),
            Route::Callback => return login::callback(self, asker, head),
            // Also for those whose session has ended: nobody is left signed in by a mistake.
            Route::Logout => {
                let site = &self.shared.config.site;
                if head::is_cross_site(head, &site.origin, &site.trusted_origins, false) {
                    return Err(Refusal::CrossSite);
                }
                return Ok(login::logout(self, asker, head));
            }
            _ => {}
        }
        let target = match &own {
            Route::Progress(target) => Some(target),
            _ => None,
        };
        let Some(entry) = self.enter(asker, head, target)? else {
            return login::redirect(self, head, "/");
        };
        match own {
            Route::Stop => home::stop(self, &entry.claims.user).await,
            Route::Keep => home::keep(self, &entry.claims.user, &head.uri),
            Route::Progress(target) => Ok(progress::stream(self, &target)),
            _ => Ok(home::page(self, &entry)),
        }
    }

    /// Who asks, and whether they may come in here: `None` is a person who must log in first.
    fn enter(
        &self,
        asker: &Asker,
        head: &Parts,
        target: Option<&Target>,
    ) -> Result<Option<Entry>, Refusal> {
        let site = &self.shared.config.site;
        let entry = match self.shared.sessions.authenticate(&head.headers) {
            Ok(entry) => entry,
            Err(denied) if asker.navigation => {
                tracing::debug!(reason = %denied, "sent to log in");
                return Ok(None);
            }
            Err(denied) => return Err(Refusal::NoSession(denied)),
        };
        let bearer = entry.by == Credential::Bearer;
        if head::is_cross_site(head, &site.origin, &site.trusted_origins, bearer) {
            return Err(Refusal::CrossSite);
        }
        if let Some(Target { app, user, .. }) = target {
            let claims = &entry.claims;
            if claims.user != *user {
                return Err(Refusal::NotOwner(claims.user.clone()));
            }
            if claims.apps.as_ref().is_some_and(|apps| !apps.contains(app)) {
                return Err(Refusal::AppNotGranted(claims.user.clone()));
            }
        }
        Ok(Some(entry))
    }

    /// Who comes, and whether it is a person who does something.
    fn visit(&self, asker: &Asker, head: &Parts, target: &Target) -> Visit {
        let (app, rest) = (&target.app, &target.rest);
        let is_socket = head::is_websocket(head);
        let rules = &self.shared.config.apps[app].input;
        // What a socket carries is judged as it comes; that it is opened says nothing.
        let input = !is_socket && rules.is_input(&head.method, rest, asker.navigation);
        tracing::trace!(target: "traffic", user = %target.user, %app, id = asker.request_id,
            is_socket, navigation = asker.navigation, method = %head.method, path = rest);
        let kind = match (is_socket, asker.navigation) {
            (true, _) => Kind::Socket,
            (_, true) => Kind::Navigation,
            _ => Kind::Request,
        };
        let by = Mover {
            kind,
            app: Some(app.clone()),
            client: Some(asker.client),
        };
        Visit { by, input }
    }

    /// The running app. Only a navigation starts one; whatever else asks costs nothing.
    async fn reach(
        &self,
        asker: &Asker,
        here: impl FnOnce() -> String,
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
        if !asker.navigation {
            return Err(match workspaces.failure(user, app) {
                Some(failure) => Refusal::Failed {
                    target,
                    title,
                    failure,
                },
                None => Refusal::NotRunning,
            });
        }
        let mut phases = workspaces.ensure(user, entry.claims.uid.as_deref(), app, &visit.by);
        // A start goes on without us: dropping the wait loses nothing.
        let settled = timeout(
            config.workspace.patience,
            phases.wait_for(Phase::is_settled),
        )
        .await;
        let settled = settled.ok().and_then(Result::ok).map(|phase| phase.clone());
        let phase = settled.unwrap_or_else(|| phases.borrow().clone());
        match phase {
            Phase::Ready(upstream) => Ok(upstream),
            Phase::Failed(failure) => Err(Refusal::Failed {
                target,
                title,
                failure,
            }),
            phase => Err(Refusal::Starting {
                target,
                title,
                phase,
                here: here().into(),
            }),
        }
    }

    /// Hands the request on, and the answer back.
    async fn forward(
        &self,
        asker: &Asker,
        request: Request<Incoming>,
        target: &Target,
        entry: &Entry,
        upstream: &Arc<Upstream>,
        visit: Visit,
    ) -> Result<Response<Body>, Refusal> {
        let config = &self.shared.config;
        let app = &config.apps[&target.app];
        let prefix = target.prefix();
        let (head, body) = request.into_parts();
        let mut request = Request::from_parts(head, body);
        // From here on there is one spelling of the path, the one we judged.
        let query = request
            .uri()
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let path = format!("{prefix}{}{query}", target.rest);
        set_path(request.uri_mut(), &path);
        let fill = |template: &str| {
            App::fill(
                template,
                target.user.as_str(),
                &format!("{prefix}/"),
                &upstream.secret,
            )
        };
        let set_headers = headers(app, fill);
        let cookies = app
            .cookies
            .iter()
            .map(|(name, value)| (name.clone(), fill(value)));
        let set_cookies: Vec<(String, String)> = cookies.collect();
        let own_cookies = self.shared.sessions.own_cookie_names();
        let to = Destination {
            addr: upstream.addr,
            container: &upstream.container,
            closed: &upstream.closed,
            request: ForRequest {
                client: ClientInfo {
                    addr: asker.client,
                    authority: &config.site.authority,
                    https: config.site.origin.starts_with("https:"),
                    request_id: &asker.request_id,
                },
                prefix: &prefix,
                strip: app.prefix == Prefix::Strip,
                set_headers: &set_headers,
                set_cookies: &set_cookies,
                own_cookies,
                strip_authorization: Sessions::owns_authorization(request.headers()),
            },
            response: ForResponse {
                prefix: &prefix,
                strip: app.prefix == Prefix::Strip,
                origin_authority: &config.site.authority,
                upstream_authority: &upstream.addr.to_string(),
                own_cookies,
                injected_cookies: &set_cookies,
                https: config.site.origin.starts_with("https:"),
                frame_ancestors: &config.site.frame_ancestors,
            },
        };
        let again = visit.clone();
        let guard = Held::new(upstream, visit, &asker.request_id);
        let error = match self.pool.send(request, to, guard).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if error.is_unreachable() {
            self.shared.workspaces.suspect(upstream);
            if asker.navigation {
                // A person sees it start again rather than fail.
                self.reach(asker, || path.clone(), target, entry, &again)
                    .await?;
                return Ok(reply::see_other(&path));
            }
        }
        Err(Refusal::Forward(target.clone(), error))
    }
}

/// The app's own headers, filled in.
fn headers(app: &App, fill: impl Fn(&str) -> String) -> Vec<(HeaderName, HeaderValue)> {
    let filled = app.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        let mut value = HeaderValue::try_from(fill(value)).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    filled.collect()
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Puts `path` in place of the one in `uri`, which was judged and is the same, respelled.
fn set_path(uri: &mut Uri, path: &str) {
    if let Ok(path) = path.parse::<http::uri::PathAndQuery>() {
        *uri = Uri::from(path);
    }
}
