//! Every refusal and failure as an answer: the one place that knows status codes, public
//! sentences and log levels. A page for a person, problem details (RFC 9457) for a program.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};

use super::{
    Asker,
    head::{self, HeadError},
    progress::Progress,
    reply,
    words::sentence,
};
use crate::{
    config::Site,
    forward::{Body, ForwardError},
    names::Username,
    pages::{self, Action},
    problem::Problem,
    route::{RouteError, Target},
    session::Denied,
    workspace::{Cause, Failure, StopError},
};

/// Why a request didn't get what it asked for.
#[derive(Debug)]
pub enum Refusal {
    /// A plain listener was used by somebody who is no trusted proxy.
    NotAProxy,
    /// The head is malformed or for another host.
    Head(HeadError),
    /// The path leads nowhere.
    Route(RouteError),
    /// The method isn't one of this page.
    Method {
        /// Whether it takes POST alone; otherwise GET and HEAD.
        post: bool,
    },
    /// No session, and nobody who could log in.
    NoSession(Denied),
    /// Another site may be behind this.
    CrossSite,
    /// Signed in as somebody else.
    NotOwner(Username),
    /// Signed in, but this app isn't among those granted.
    AppNotGranted(Username),
    /// A hand-off token that can't be used.
    Handoff(Denied),
    /// Sent to log in again and again.
    LoginLoop,
    /// Not running, and nobody is navigating.
    NotRunning,
    /// Starting; the page goes on by itself.
    Starting {
        /// What.
        target: Target,
        /// What people call it.
        title: String,
        /// How far.
        progress: Box<Progress>,
        /// The path and query that were asked for.
        here: Box<str>,
    },
    /// The start failed.
    Failed {
        /// What.
        target: Target,
        /// What people call it.
        title: String,
        /// Why.
        failure: Arc<Failure>,
    },
    /// The stop failed.
    Stop(StopError),
    /// The workspace could not be kept running; why, as a sentence.
    Keep(String),
    /// The app could not be reached, or didn't speak HTTP.
    Forward(Target, ForwardError),
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl Refusal {
    /// Why the sender of a request is not let in, in a stable word, if that is what this says.
    pub fn denial(&self) -> Option<&'static str> {
        match self {
            Self::NoSession(denied) | Self::Handoff(denied) => Some(denied.as_str()),
            Self::NotAProxy => Some("not_a_trusted_proxy"),
            Self::CrossSite => Some("cross_site"),
            Self::NotOwner(_) => Some("not_owner"),
            Self::AppNotGranted(_) => Some("app_not_granted"),
            Self::LoginLoop => Some("login_loop"),
            Self::Head(_)
            | Self::Route(_)
            | Self::Method { .. }
            | Self::NotRunning
            | Self::Starting { .. }
            | Self::Failed { .. }
            | Self::Stop(_)
            | Self::Keep(_)
            | Self::Forward(..) => None,
        }
    }
}

/// Writes the answer to a refusal, and what there is to log about it.
pub fn refuse(refusal: &Refusal, asker: &Asker<'_>, site: &Site) -> Response<Body> {
    let told = tell(refusal);
    log(refusal, &told, asker);
    let mut response = if head::accepts_html(&asker.head.headers) {
        reply::page(told.status, person(refusal, &told, asker, site))
    } else {
        reply::problem(&told, &asker.request_id)
    };
    let headers = response.headers_mut();
    match refusal {
        Refusal::NoSession(_) => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refusal::Method { post } => {
            let allowed = if *post { "POST" } else { "GET, HEAD" };
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        // Whoever smuggles may have more in the pipe (RFC 9112 6.1).
        Refusal::Head(_) | Refusal::Route(RouteError::Malformed) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Refusal::Failed { failure, .. } => {
            headers.insert(
                header::RETRY_AFTER,
                failure.retry_after.as_secs().max(1).into(),
            );
        }
        Refusal::Starting { .. } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        _ => {}
    }
    response
}

#[expect(clippy::too_many_lines, reason = "a table, one row for each refusal")]
fn tell(refusal: &Refusal) -> Problem {
    let told = |status, kind, title, detail: String| Problem {
        status,
        kind,
        title,
        detail,
    };
    match refusal {
        Refusal::NotAProxy => told(
            StatusCode::FORBIDDEN,
            "not-a-trusted-proxy",
            "This address is for the site's own proxy",
            "Use the public address of this site. Operators: see `listen.trusted_proxies`.".into(),
        ),
        Refusal::Head(HeadError::Misdirected) => told(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "This server does not answer for that host",
            "The Host of the request is not the one this site is configured with.".into(),
        ),
        Refusal::Head(error @ HeadError::Long) => told(
            StatusCode::URI_TOO_LONG,
            "address-too-long",
            "The address is too long",
            error.to_string(),
        ),
        Refusal::Head(error @ HeadError::TooLarge) => told(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
            "The request's head is too large",
            error.to_string(),
        ),
        Refusal::Head(error) => told(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The request is malformed",
            error.to_string(),
        ),
        Refusal::Route(RouteError::Malformed) => told(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The address is malformed",
            RouteError::Malformed.to_string(),
        ),
        Refusal::Route(RouteError::NotFound) => told(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            "No app, user or page has this address.".into(),
        ),
        Refusal::Method { .. } => told(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "That can't be done here",
            "This page doesn't take requests of that method.".into(),
        ),
        Refusal::NoSession(denied) => told(
            StatusCode::UNAUTHORIZED,
            "no-session",
            "Please log in",
            format!("This needs a valid session or token: {denied}."),
        ),
        Refusal::CrossSite => told(
            StatusCode::FORBIDDEN,
            "cross-site",
            "Another site asked for this",
            "Requests that other sites make are refused; open the address yourself.".into(),
        ),
        Refusal::NotOwner(_) => told(
            StatusCode::FORBIDDEN,
            "not-owner",
            "This workspace isn't yours",
            "Each workspace can be entered by its owner alone.".into(),
        ),
        Refusal::AppNotGranted(_) => told(
            StatusCode::FORBIDDEN,
            "app-not-granted",
            "This app isn't open to you",
            "Your session doesn't include this app.".into(),
        ),
        Refusal::Handoff(denied) => told(
            StatusCode::BAD_REQUEST,
            "hand-off-refused",
            "This login link can't be used",
            format!("Go back and log in again: {denied}."),
        ),
        Refusal::LoginLoop => told(
            StatusCode::BAD_REQUEST,
            "login-loop",
            "Logging in goes round in circles",
            "You were sent to log in several times within a minute. Does this browser refuse \
             cookies, or is a clock wrong?"
                .into(),
        ),
        Refusal::NotRunning => told(
            StatusCode::FAILED_DEPENDENCY,
            "not-running",
            "The workspace isn't running",
            "Open its page to start it; a request in the background doesn't.".into(),
        ),
        Refusal::Starting { .. } => told(
            StatusCode::ACCEPTED,
            "starting",
            "The workspace is starting",
            "Ask again in a moment.".into(),
        ),
        Refusal::Failed { failure, .. } => told(
            failure_status(&failure.cause),
            "start-failed",
            "The workspace could not be started",
            sentence(&failure.cause.to_string()),
        ),
        Refusal::Stop(error) => told(
            StatusCode::CONFLICT,
            "stop-failed",
            "The workspace could not be stopped",
            error.to_string(),
        ),
        Refusal::Keep(why) => told(
            StatusCode::BAD_REQUEST,
            "keep-failed",
            "The workspace can't be kept running for that long",
            why.clone(),
        ),
        Refusal::Forward(_, error) => told(
            error.status(),
            "upstream",
            "The app did not answer",
            error.to_string(),
        ),
    }
}

/// Refusals are audited, our own failures warned of; what is part of everyday use is neither.
fn log(refusal: &Refusal, told: &Problem, asker: &Asker<'_>) {
    let (id, client) = (&asker.request_id, asker.client);
    match refusal {
        Refusal::Starting { .. }
        | Refusal::NotRunning
        | Refusal::Failed { .. }
        | Refusal::Route(RouteError::NotFound) => {}

        Refusal::Forward(target, error) => {
            tracing::warn!(request.id = id, user = %target.user, app = %target.app, %error, "forwarding failed");
        }
        Refusal::Stop(error) => tracing::warn!(request.id = id, %error, "stop failed"),
        Refusal::Keep(why) => tracing::debug!(request.id = id, why, "not kept"),
        Refusal::NotOwner(user) | Refusal::AppNotGranted(user) => {
            tracing::info!(target: "audit", event = "denied", reason = told.kind, %user, client.addr = %client, request.id = id);
        }
        Refusal::NoSession(denied) | Refusal::Handoff(denied) => {
            tracing::info!(target: "audit", event = "denied", reason = told.kind, detail = denied.as_str(), client.addr = %client, request.id = id);
        }
        Refusal::NotAProxy
        | Refusal::Head(_)
        | Refusal::Route(RouteError::Malformed)
        | Refusal::Method { .. }
        | Refusal::CrossSite
        | Refusal::LoginLoop => {
            tracing::info!(target: "audit", event = "denied", reason = told.kind, client.addr = %client, request.id = id);
        }
    }
}

/// Whose fault a failed start is, as a status.
fn failure_status(cause: &Cause) -> StatusCode {
    use crate::engine::EngineError;
    match cause {
        Cause::Engine(EngineError::Timeout(_))
        | Cause::NeverReady { .. }
        | Cause::NeverWell { .. } => StatusCode::GATEWAY_TIMEOUT,
        Cause::AppExited { .. } | Cause::OutOfMemory | Cause::ContainerEnded => {
            StatusCode::BAD_GATEWAY
        }
        Cause::Engine(_)
        | Cause::ForeignContainer(_)
        | Cause::MountMissing(_)
        | Cause::DataDirectory { .. }
        | Cause::NetworkNotIsolated(_)
        | Cause::Stopped
        | Cause::NoSuchApp(_)
        | Cause::GivenUp => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A refusal as a page.
fn person(refusal: &Refusal, told: &Problem, asker: &Asker<'_>, site: &Site) -> pages::Html {
    match refusal {
        Refusal::Starting {
            target,
            title,
            progress,
            here,
        } => pages::starting(&pages::Starting {
            app_title: title,
            user: target.user.as_str(),
            step: &progress.step,
            number: progress.number,
            of: progress.of,
            queue: progress.queue,
            estimate_seconds: progress.estimate_seconds,
            events: &format!("/_vestibule/progress{}/", target.prefix()),
            here,
        }),
        Refusal::Failed {
            target,
            title,
            failure,
        } => pages::failed(&pages::Failed {
            app_title: title,
            title: told.title,
            why: &told.detail,
            id: &failure.id,
            log_tail: &failure.log_tail,
            retry_seconds: failure.retry_after.as_secs(),
            here: &format!("{}/", target.prefix()),
        }),
        _ => pages::refused(&pages::Refused {
            status: told.status.as_u16(),
            title: told.title,
            detail: &told.detail,
            request_id: &asker.request_id,
            actions: way_on(refusal, site).as_slice(),
        }),
    }
}

fn way_on<'a>(refusal: &Refusal, site: &'a Site) -> Option<Action<'a>> {
    let link = |label, href| {
        Some(Action {
            label,
            href,
            post: false,
        })
    };
    match refusal {
        Refusal::NoSession(_) | Refusal::Handoff(_) | Refusal::LoginLoop => {
            link("Log in", &site.login_url)
        }
        Refusal::NotAProxy | Refusal::Head(_) => None,
        _ => link("Your workspace", "/"),
    }
}
