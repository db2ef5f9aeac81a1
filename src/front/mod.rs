//! The life of a request, written once, as a straight line.
//!
//! Imports `admin`, `listener`, `pages`, `forward`, `session`, `workspace`, `route` and what lies
//! under all of them. Promise: nothing with an effect stands above the session check, and every
//! failure becomes an answer in `answer`.

mod access;
mod answer;
mod api;
mod approval;
mod head;
mod held;
mod home;
mod login;
mod probe;
mod progress;
mod relay;
mod reply;
mod terminal;
mod words;

use std::{cell::Cell, net::IpAddr, pin::pin, sync::Arc};

use http::{Method, Request, Response, header, request::Parts};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    access::{AccessLog, Line},
    answer::Refusal,
    head::HeadError,
};
use crate::{
    admin::Api,
    config::Config,
    forward::{Body, Pool},
    incoming::Incoming,
    listener::{Door, Handler, Peer},
    metrics::{self, Entered, Meter, Metrics},
    names::AppName,
    route::{Route, RouteError, Target, route},
    secret,
    session::{Credential, Entry, Last, SSH, Sessions},
    ssh::Approvals,
    symptoms::{Arrival, Symptom, Symptoms},
    workspace::Workspaces,
};

/// What all serving threads read and none of them waits for.
pub struct Shared {
    /// What the operator set.
    pub config: Arc<Config>,
    /// Who may enter.
    pub sessions: Arc<Sessions>,
    /// What they enter.
    pub workspaces: Workspaces,
    /// Terminals that wait to be let in.
    pub approvals: Arc<Approvals>,
    /// What an operator may ask for.
    pub api: Api,
    /// What went wrong lately.
    pub symptoms: Arc<Symptoms>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Cancelled when we should stop.
    pub stop: CancellationToken,
}

/// Answers the requests of one thread.
pub struct Front {
    shared: Arc<Shared>,
    pool: Pool,
    access: AccessLog,
    /// What the ids of this thread's requests begin with, and how many there were.
    ids: (String, Cell<u64>),
    meter: Arc<Meter>,
    /// What a stop of this thread waits for.
    tasks: TaskTracker,
}

/// What the steps know of who asks.
struct Asker<'a> {
    /// What was asked.
    head: &'a Parts,
    /// Names this request in the log, to the upstream and on error pages.
    request_id: String,
    /// The client's own address.
    client: IpAddr,
    /// The address the connection came from.
    peer: IpAddr,
    /// What the connection's last request was let in by.
    last: &'a Last,
    /// When they came: as the request's head was there, or after a wait before they were let in.
    came: Cell<Instant>,
}

impl Asker<'_> {
    /// Whether a person is going somewhere, so that pages and redirects are welcome.
    fn is_navigation(&self) -> bool {
        head::is_navigation(self.head)
    }

    fn path_and_query(&self) -> String {
        let path = self.head.uri.path_and_query();
        path.map(ToString::to_string).unwrap_or_default()
    }
}

impl Handler for Front {
    type Body = Body;
    type Connection = Last;

    fn handle(
        &self,
        peer: Peer,
        last: &Last,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> {
        let began = Instant::now();
        // Here, so that the future holds the request once, taken apart.
        let (head, body) = request.into_parts();
        async move {
            let trusted = &self.shared.config.listen.trusted_proxies;
            let asker = Asker {
                request_id: self.request_id(),
                client: head::client(&head.headers, peer.addr, trusted),
                peer: peer.addr.ip(),
                last,
                came: Cell::new(began),
                head: &head,
            };
            let app = self.meter.app(head.uri.path());
            let answer = pin!(self.answer(peer, &asker, body));
            let (answered, spent, ended) = metrics::spent(began, answer).await;
            let response = answered.unwrap_or_else(|refusal| self.refuse(&refusal, &asker));
            self.meter.answered(app, response.status(), spent);
            self.access.add(&Line {
                status: response.status(),
                request_id: &asker.request_id,
                client: asker.client,
                method: &head.method,
                path: head.uri.path(),
                ended,
                elapsed: ended - began,
            });
            response
        }
    }
}

impl Front {
    /// A front with an upstream pool of its own, for the thread that `meter` counts and whose
    /// end waits for `tasks`.
    pub fn new(shared: Arc<Shared>, meter: Arc<Meter>, tasks: TaskTracker) -> Self {
        Self {
            tasks,
            access: AccessLog::new(shared.config.log.format),
            shared,
            meter,
            pool: Pool::new(),
            ids: (secret::random_id(), Cell::new(0)),
        }
    }

    /// A name that no other request has. It is no secret: nothing is proved by knowing one.
    fn request_id(&self) -> String {
        let (thread, count) = &self.ids;
        count.set(count.get() + 1);
        let mut number = itoa::Buffer::new();
        [thread, number.format(count.get())].concat()
    }

    /// The straight line. Each step stands where it does because the next one relies on it.
    async fn answer(
        &self,
        peer: Peer,
        asker: &Asker<'_>,
        body: Incoming,
    ) -> Result<Response<Body>, Refusal> {
        let (config, head) = (&self.shared.config, asker.head);
        let symptoms = &self.shared.symptoms;
        let admitted = head::may_use(peer.door, peer.addr, &config.listen.trusted_proxies);
        // Before anything is judged, since it asks how a request arrives here. It has no effect.
        let arrival = || Arrival::of(head, peer.addr.ip(), admitted);
        if symptoms.arrived(head.uri.path(), arrival) {
            return Ok(probe::answer(head, body));
        }
        if !admitted {
            symptoms.note(Symptom::Untrusted, &peer.addr.ip().to_canonical());
            return Err(Refusal::NotAProxy);
        }
        if peer.door == Door::Redirect {
            return Ok(reply::to_https(&config.site.origin, &head.uri));
        }
        head::check(head, &config.site.authority).inspect_err(|error| {
            if *error == HeadError::Misdirected {
                symptoms.note(Symptom::Misdirected, &head::host(head));
            }
        })?;
        let known = |app: &str| match config.apps.get_key_value(app) {
            Some((app, _)) => Some(app.clone()),
            None => AppName::parse(app)
                .ok()
                .filter(|app| config.is_terminal(app)),
        };
        let target = match route(head.uri.path(), known)? {
            Route::App(target) => target,
            Route::AddSlash(target) => return Ok(reply::add_slash(&target, &head.uri)),
            Route::Api(path) => return api::answer(self, asker, body, &path).await,
            own => return self.own(asker, own).await,
        };
        let Some(entry) = self.enter(asker, Some(&target)).await? else {
            return login::redirect(self, head, &asker.path_and_query()).await;
        };
        if config.is_terminal(&target.app) {
            return terminal::answer(self, asker, body, target, entry).await;
        }
        let visit = self.visit(asker, &target);
        let upstream = self.reach(asker, &target, &entry, &visit).await?;
        self.forward(asker, body, &target, &entry, &upstream, visit)
            .await
    }

    /// The answer to a refusal.
    fn refuse(&self, refusal: &Refusal, asker: &Asker<'_>) -> Response<Body> {
        if let Some(reason) = refusal.denial() {
            self.shared.metrics.rare.denied(reason);
        }
        answer::refuse(refusal, asker, &self.shared.config.site)
    }

    /// Our own pages, most of them for a signed-in user alone.
    async fn own(&self, asker: &Asker<'_>, own: Route) -> Result<Response<Body>, Refusal> {
        let head = asker.head;
        let post = matches!(
            own,
            Route::Logout
                | Route::Stop
                | Route::Keep
                | Route::SshPassword
                | Route::SshAnswer { .. }
        );
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
            Route::Callback => return login::callback(self, asker).await,
            // Also for those whose session has ended: nobody is left signed in by a mistake.
            Route::Logout => {
                let site = &self.shared.config.site;
                if head::is_cross_site(head, &site.origin, &site.trusted_origins, false) {
                    return Err(self.cross_site(head));
                }
                return Ok(login::logout(self, asker).await);
            }
            _ => {}
        }
        let target = match &own {
            Route::Progress(target) => Some(target),
            _ => None,
        };
        let Some(entry) = self.enter(asker, target).await? else {
            let back = match &own {
                Route::Ssh(_) => head.uri.path(),
                _ => "/",
            };
            return login::redirect(self, head, back).await;
        };
        let ssh = matches!(
            own,
            Route::Ssh(_) | Route::SshAnswer { .. } | Route::SshPassword
        );
        if ssh && !entry.claims().grant(SSH) {
            return Err(Refusal::AppNotGranted(entry.claims().user.clone()));
        }
        match own {
            Route::Ssh(code) => Ok(approval::page(&self.shared, &entry, &code, asker.client)),
            Route::SshAnswer { code, allow } => {
                Ok(approval::answer(&self.shared, &entry, &code, allow))
            }
            Route::SshPassword => Ok(home::password(&self.shared, &entry)),
            Route::Stop => home::stop(&self.shared, &entry.claims().user).await,
            Route::Keep => home::keep(&self.shared, &entry.claims().user, &head.uri),
            Route::Live => Ok(home::stream(&self.shared, entry)),
            Route::Progress(target) => Ok(progress::stream(self, &target, &entry)),
            _ => Ok(home::page(&self.shared, &entry)),
        }
    }

    /// Who asks, and whether they may come in here: `None` is a person who must log in first.
    async fn enter(
        &self,
        asker: &Asker<'_>,
        target: Option<&Target>,
    ) -> Result<Option<Entry>, Refusal> {
        let head = asker.head;
        let site = &self.shared.config.site;
        let sessions = &self.shared.sessions;
        let mut found = sessions.authenticate_next(&head.headers, asker.last);
        if let Err(denied) = &found
            && sessions.learn_keys(denied).await
        {
            asker.came.set(Instant::now());
            found = sessions.authenticate_next(&head.headers, asker.last);
        }
        let entry = match found {
            Ok(entry) => entry,
            Err(denied) if asker.is_navigation() => {
                self.shared.metrics.rare.login("begun");
                tracing::debug!(reason = %denied, "sent to log in");
                return Ok(None);
            }
            Err(denied) => return Err(Refusal::NoSession(denied)),
        };
        self.meter.entered(match entry.by {
            Credential::Cookie => Entered::Cookie,
            Credential::SharedCookie => Entered::SharedCookie,
            Credential::Bearer => Entered::Bearer,
        });
        let bearer = entry.by == Credential::Bearer;
        if head::is_cross_site(head, &site.origin, &site.trusted_origins, bearer) {
            return Err(self.cross_site(head));
        }
        if let Some(Target { app, user, .. }) = target {
            let claims = entry.claims();
            if claims.user != *user {
                return Err(Refusal::NotOwner(claims.user.clone()));
            }
            if !claims.grant(app.as_str()) {
                return Err(Refusal::AppNotGranted(claims.user.clone()));
            }
        }
        Ok(Some(entry))
    }

    fn cross_site(&self, head: &Parts) -> Refusal {
        let ours = &self.shared.config.site.origin;
        let mut origins = head.headers.get_all(header::ORIGIN).iter();
        if let Some(origin) = origins.find(|origin| **origin != ours.as_str()) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            self.shared.symptoms.note(Symptom::ForeignOrigin, &origin);
        }
        Refusal::CrossSite
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
