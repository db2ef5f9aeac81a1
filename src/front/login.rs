//! Coming and going: the redirect to the web application, the hand-off back, the log-out.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::time::sleep;

use super::{Asker, Front, answer::Refusal, head, reply};
use crate::{
    forward::Body,
    pages,
    session::{self, Claims, Handoff, Live, state},
    symptoms::Symptom,
};

/// How long a browser waits that is sent to log in again and again.
const AGAIN: Duration = Duration::from_millis(500);

/// Sends the browser to the web application's login, which sends it back to `next`.
///
/// # Errors
/// [`Refusal::LoginLoop`] for a browser that was just sent there again and again.
pub async fn redirect(front: &Front, head: &Parts, next: &str) -> Result<Response<Body>, Refusal> {
    let sessions = &front.shared.sessions;
    let begun = sessions.begin_login(&head.headers).map_err(|_| {
        let denied = sessions.authenticate(&head.headers).err();
        let reason = denied.map_or_else(String::new, |denied| denied.to_string());
        front.shared.symptoms.note(Symptom::LoginLoop, &reason);
        Refusal::LoginLoop
    })?;
    if begun.tries > 2 {
        // What is wrong may pass: the second in which a user was revoked, a key just published.
        sleep(AGAIN).await;
    }
    let login_url = &front.shared.config.site.login_url;
    let join = if login_url.contains('?') { '&' } else { '?' };
    // What would not be gone back to need not be told, three bytes for each of it.
    let next = if next.len() > session::LONGEST_NEXT {
        "/"
    } else {
        next
    };
    let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
    let url = format!("{login_url}{join}next={next}&state={}", begun.state);
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
pub async fn callback(front: &Front, asker: &Asker<'_>) -> Result<Response<Body>, Refusal> {
    let head = asker.head;
    let next = head::query_value(&head.uri, "next").and_then(|next| session::safe_next(&next));
    let next = next.unwrap_or_else(|| "/".to_owned());
    let token = head::query_value(&head.uri, "token").unwrap_or_default();
    let nonce = state::nonce_of(&head.headers);
    let sessions = &front.shared.sessions;
    let mut handoff = sessions.handoff(&token, nonce.as_deref());
    if let Err(denied) = &handoff
        && sessions.learn_keys(denied).await
    {
        handoff = sessions.handoff(&token, nonce.as_deref());
    }
    let claims = match handoff {
        Ok(Handoff::Login(claims)) => claims,
        // A link that began elsewhere: only a browser that logs in itself may use one.
        Ok(Handoff::NeedsState) => return redirect(front, head, &next).await,
        Err(denied) => return Err(Refusal::Handoff(denied)),
    };
    front.shared.metrics.rare.login("ok");
    tracing::info!(
        target: "audit",
        event = "login",
        user = %claims.user,
        session = claims.session,
        client.addr = %asker.client,
        request.id = asker.request_id,
    );
    let mut response = reply::see_other(&next);
    let cookie = sessions.cookie_for(&claims);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    if let Ok(before) = sessions.authenticate(&head.headers)
        && before.claims().user != claims.user
    {
        end(front, asker, before.live).await;
        clear_site_data(&mut response);
    }
    Ok(response)
}

/// Ends the session of this browser, if there is one: not the cookie alone, but whatever is
/// open by it, and its use by anybody who has a copy.
pub async fn logout(front: &Front, asker: &Asker<'_>) -> Response<Body> {
    if let Ok(entry) = front.shared.sessions.authenticate(&asker.head.headers) {
        end(front, asker, entry.live).await;
    }
    let mut response = reply::see_other("/_vestibule/signed-out");
    for cookie in front.shared.sessions.clear_cookies() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    clear_site_data(&mut response);
    response
}

async fn end(front: &Front, asker: &Asker<'_>, live: Arc<Live>) {
    let Claims { user, session, .. } = &live.claims;
    tracing::info!(
        target: "audit",
        event = "logout",
        %user,
        session,
        client.addr = %asker.client,
        request.id = asker.request_id,
    );
    let (shared, user) = (Arc::clone(&front.shared), user.clone());
    // It is written to disk, and others are served by this thread.
    let ended = tokio::task::spawn_blocking(move || shared.sessions.log_out(&live));
    if let Ok(Err(error)) = ended.await {
        tracing::error!(%user, error = &error as &dyn std::error::Error, "a logout may be forgotten");
    }
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
