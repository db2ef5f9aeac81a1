//! Logins that wait for a click: the terminal shows a link, and the user, who is logged in in a
//! browser, sees where the request comes from and allows it.
//!
//! Promise: a code is good for its own user alone, once, while its terminal waits. A name that
//! nobody has gets a code like any other.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::{names::Username, secret::Secret};

/// How long a terminal waits for its click.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// How much longer its connection is kept, so that it hears the answer.
pub const SLACK: Duration = Duration::from_secs(5);
/// Most terminals that wait, in all and from one address.
const WAITING: usize = 1000;
const WAITING_EACH: usize = 8;
/// Letters of a code: none is mistaken for another.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters in a code: 40 bits, and a guess helps only the user that the code is for.
const LENGTH: usize = 8;

/// All terminals that wait.
#[derive(Debug, Default)]
pub struct Approvals(Mutex<HashMap<String, Waiting>>);

#[derive(Debug)]
struct Waiting {
    user: String,
    from: IpAddr,
    since: Instant,
    answer: oneshot::Sender<Option<String>>,
}

/// A request as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where the terminal is.
    pub from: IpAddr,
    /// For how long it has waited.
    pub age: Duration,
}

/// A terminal that waits; it stops when this is dropped.
#[derive(Debug)]
pub struct Ask {
    approvals: Arc<Approvals>,
    /// What stands in the link.
    pub code: String,
    answer: oneshot::Receiver<Option<String>>,
}

impl Approvals {
    /// Begins to wait, unless too many do.
    pub fn ask(self: &Arc<Self>, user: &str, from: IpAddr) -> Option<Ask> {
        let mut waiting = self.waiting();
        let each = waiting.values().filter(|other| other.from == from).count();
        if waiting.len() >= WAITING || each >= WAITING_EACH {
            return None;
        }
        let code = code();
        let (sender, answer) = oneshot::channel();
        waiting.insert(
            code.clone(),
            Waiting {
                user: user.to_owned(),
                from,
                since: Instant::now(),
                answer: sender,
            },
        );
        Some(Ask {
            approvals: Arc::clone(self),
            code,
            answer,
        })
    }

    /// The request of this code, if it is this user's.
    pub fn request(&self, code: &str, user: &Username) -> Option<Request> {
        let waiting = self.waiting();
        let asked = waiting.get(code)?;
        (asked.user == user.as_str()).then(|| Request {
            from: asked.from,
            age: asked.since.elapsed(),
        })
    }

    /// Answers the request of this code, if it is this user's, with the id of the session that
    /// allows it; says whether anybody waited.
    pub fn answer(&self, code: &str, user: &Username, session: Option<String>) -> bool {
        if self.request(code, user).is_none() {
            return false;
        }
        let asked = self.waiting().remove(code);
        asked.is_some_and(|asked| asked.answer.send(session).is_ok())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ask {
    /// Waits for the click, and says which session allowed it; no answer is a no.
    pub async fn answered(&mut self) -> Option<String> {
        let answer = timeout(PATIENCE, &mut self.answer).await;
        answer.ok()?.ok()?
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        self.approvals.waiting().remove(&self.code);
    }
}

fn code() -> String {
    let random = Secret::random(LENGTH);
    let letters = random.expose().iter();
    letters
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_its_own_user_answers_a_request_and_only_once() {
        let approvals = Arc::<Approvals>::default();
        let from = "192.0.2.1".parse().unwrap();
        let [ann, bob] = ["ann", "bob"].map(|name| Username::parse(name).unwrap());
        let mut ask = approvals.ask("ann", from).unwrap();
        let code = ask.code.clone();
        assert!(approvals.request(&code, &bob).is_none());
        assert!(!approvals.answer(&code, &bob, Some("s".into())));
        assert_eq!(approvals.request(&code, &ann).unwrap().from, from);
        assert!(approvals.answer(&code, &ann, Some("s".into())));
        assert_eq!(ask.answered().await.as_deref(), Some("s"));
        assert!(!approvals.answer(&code, &ann, None), "a code is good once");
    }

    #[tokio::test(start_paused = true)]
    async fn no_click_is_a_no_and_few_wait_at_once() {
        let approvals = Arc::<Approvals>::default();
        let from = "192.0.2.1".parse().unwrap();
        let mut asks: Vec<Ask> = (0..WAITING_EACH)
            .map(|_| approvals.ask("ann", from).unwrap())
            .collect();
        assert!(approvals.ask("ann", from).is_none());
        assert_eq!(asks[0].answered().await, None);
        drop(asks);
        assert!(approvals.ask("ann", from).is_some());
    }
}
