//! The shapes an answer of our own takes: page, problem details, redirect, file.

use crate::{
    forward::Body,
    pages::{self, Html},
    problem::{self, Problem},
    route::Target,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};

/// A page of our own, for this user alone and for now.
pub fn page(status: StatusCode, html: Html) -> Response<Body> {
    page_that_may(pages::CSP, status, html)
}

/// The page of the terminal.
pub fn terminal(html: Html) -> Response<Body> {
    page_that_may(pages::TERMINAL_CSP, StatusCode::OK, html)
}

fn page_that_may(csp: &'static str, status: StatusCode, html: Html) -> Response<Body> {
    let mut response = plain(status, "text/html; charset=utf-8", Body::full(html));
    let csp = HeaderValue::from_static(csp);
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, csp);
    response
}

/// Problem details (RFC 9457).
pub fn problem(problem: &Problem, request_id: &str) -> Response<Body> {
    let text = problem.json(request_id).to_string();
    plain(problem.status, problem::MEDIA_TYPE, Body::full(text))
}

/// JSON for a program.
pub fn json(value: &serde_json::Value) -> Response<Body> {
    plain(
        StatusCode::OK,
        "application/json",
        Body::full(value.to_string()),
    )
}

/// A redirect; `to` is an address we made ourselves.
pub fn redirect(status: StatusCode, to: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    private(response.headers_mut());
    match HeaderValue::try_from(to) {
        Ok(to) => {
            response.headers_mut().insert(header::LOCATION, to);
        }
        // No address of ours is one that no header can hold.
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// A redirect that is followed by GET (RFC 9110 15.4.4).
pub fn see_other(to: &str) -> Response<Body> {
    redirect(StatusCode::SEE_OTHER, to)
}

/// That we are alive, and nothing else.
pub fn health() -> Response<Body> {
    plain(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Body::full("ok\n"),
    )
}

/// A file of our pages.
pub fn asset(name: &str, asked: &HeaderMap) -> Option<Response<Body>> {
    let asset = pages::asset(name)?;
    let known = asked.get(header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|known| known == asset.etag.as_str()) {
        plain(StatusCode::NOT_MODIFIED, asset.content_type, Body::empty())
    } else {
        plain(StatusCode::OK, asset.content_type, Body::full(asset.bytes))
    };
    let headers = response.headers_mut();
    // As long as a start takes; another version of us may have another.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    headers.extend(HeaderValue::try_from(&asset.etag).map(|tag| (header::ETAG, tag)));
    Some(response)
}

/// To the same address on our own origin, whatever host was asked for.
pub fn to_https(origin: &str, uri: &Uri) -> Response<Body> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    redirect(StatusCode::PERMANENT_REDIRECT, &format!("{origin}{path}"))
}

/// To the same address with the slash that an app's relative links need.
pub fn add_slash(target: &Target, uri: &Uri) -> Response<Body> {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    redirect(
        StatusCode::PERMANENT_REDIRECT,
        &format!("{}/{query}", target.prefix()),
    )
}

fn plain(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    private(headers);
    response
}

/// Nothing of ours is kept, guessed at, or told to the next site: an address may hold a token.
/// Of our own address, no more than the origin: with "no-referrer" browsers would call the
/// origin of our forms `null` (Fetch, "append a request Origin header"), and we refuse those.
fn private(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "strict-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
