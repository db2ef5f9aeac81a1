//! Coming and going: the redirect to the web application, the hand-off back, the log-out.

use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use super::{Asker, Front, answer::Refusal, head, reply};
use crate::{
    forward::Body,
    pages,
    session::{self, Handoff, state},
    symptoms::Symptom,
};

/// Sends the browser to the web application's login, which sends it back to `next`.
///
/// # Errors
/// [`Refusal::LoginLoop`] for a browser that was just sent there again and again.
pub fn redirect(front: &Front, head: &Parts, next: &str) -> Result<Response<Body>, Refusal> {
    let begun = state::begin(&head.headers).map_err(|_| {
        let denied = front.shared.sessions.authenticate(&head.headers).err();
        let reason = denied.map_or_else(String::new, |denied| denied.to_string());
        front.shared.symptoms.note(Symptom::LoginLoop, &reason);
        Refusal::LoginLoop
    })?;
    let login_url = &front.shared.config.site.login_url;
    let join = if login_url.contains('?') { '&' } else { '?' };
    let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
    let url = format!("{login_url}{join}next={next}&state={}", begun.nonce);
    let mut response = reply::see_other(&url);
    response
        .headers_mut()
        .append(header::SET_COOKIE, begun.cookie);
    Ok(response)
}

/// Ends a hand-off: a good token becomes a session of ours.
///
/// # Errors
/// [`Refusal::Handoff`] for any other token.
pub fn callback(front: &Front, asker: &Asker, head: &Parts) -> Result<Response<Body>, Refusal> {
    let next = head::query_value(&head.uri, "next").and_then(|next| session::safe_next(&next));
    let next = next.unwrap_or_else(|| "/".to_owned());
    let token = head::query_value(&head.uri, "token").unwrap_or_default();
    let nonce = state::nonce_of(&head.headers);
    let sessions = &front.shared.sessions;
    let claims = match sessions.handoff(&token, nonce.as_deref()) {
        Ok(Handoff::Login(claims)) => claims,
        // A link that began elsewhere: only a browser that logs in itself may use one.
        Ok(Handoff::NeedsState) => return redirect(front, head, &next),
        Err(denied) => return Err(Refusal::Handoff(denied)),
    };
    tracing::info!(
        target: "audit",
        event = "login",
        user = %claims.user,
        session = claims.session,
        client.addr = %asker.client,
    );
    let mut response = reply::see_other(&next);
    let cookie = sessions.cookie_for(&claims);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    let before = sessions.authenticate(&head.headers);
    if before.is_ok_and(|entry| entry.claims.user != claims.user) {
        clear_site_data(&mut response);
    }
    Ok(response)
}

/// Ends the session in this browser, if there is one.
pub fn logout(front: &Front, asker: &Asker, head: &Parts) -> Response<Body> {
    if let Ok(entry) = front.shared.sessions.authenticate(&head.headers) {
        let user = &entry.claims.user;
        tracing::info!(target: "audit", event = "logout", %user, client.addr = %asker.client);
    }
    let mut response = reply::see_other("/_vestibule/signed-out");
    for cookie in front.shared.sessions.clear_cookies() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    clear_site_data(&mut response);
    response
}

/// What people see after logging out.
pub fn signed_out(front: &Front) -> Response<Body> {
    let login_url = &front.shared.config.site.login_url;
    reply::page(StatusCode::OK, pages::signed_out(login_url))
}

/// The next user of this browser must find nothing of the last one's IDE in it.
fn clear_site_data(response: &mut Response<Body>) {
    let kinds = HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert("clear-site-data", kinds);
}
