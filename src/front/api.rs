//! The operator's door over HTTPS: an admin token, or nothing is told, not even which calls
//! there are. Never the cookie: no page in a browser can knock here by itself.

use http::{HeaderValue, Response, header};

use super::{Asker, Front, answer::Refusal, head, reply};
use crate::{admin::Caller, forward::Body, incoming::Incoming};

/// Answers a call to `path`, which begins below the door.
///
/// # Errors
/// [`Refusal`].
pub async fn answer(
    front: &Front,
    asker: &Asker<'_>,
    body: Incoming,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    let (shared, head) = (&front.shared, asker.head);
    let mut admin = shared.sessions.admin(&head.headers);
    if let Err(denied) = &admin
        && shared.sessions.learn_keys(denied).await
    {
        admin = shared.sessions.admin(&head.headers);
    }
    let admin = admin.map_err(Refusal::NoSession)?;
    let site = &shared.config.site;
    if head::is_cross_site(head, &site.origin, &site.trusted_origins, true) {
        return Err(Refusal::CrossSite);
    }
    let client = asker.client;
    let caller = Caller::Bearer { admin, client };
    let answer = shared
        .api
        .answer(caller, &asker.request_id, head, path, body)
        .await;
    Ok(match answer {
        Ok(value) => reply::json(&value),
        Err(refused) => {
            let mut response = reply::problem(&refused.problem, &asker.request_id);
            let allow = refused.allow.map(HeaderValue::try_from);
            if let Some(Ok(allow)) = allow {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            response
        }
    })
}
