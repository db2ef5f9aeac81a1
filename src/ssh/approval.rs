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

use tokio::{sync::oneshot, time::Instant};

use crate::{
    names::Username,
    secret::Secret,
    session::{APPROVAL_CODE, Claims},
    tcp::Client,
};

/// How many terminals wait at most from one address, or one /64 of IPv6.
const WAITING_EACH: usize = 8;
/// Letters of a code: none is mistaken for another. So many of them are 40 bits, and a guess helps
/// only the user that the code is for.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// All terminals that wait.
#[derive(Debug)]
pub struct Approvals {
    most: usize,
    waiting: Mutex<HashMap<String, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    user: String,
    from: IpAddr,
    since: Instant,
    answer: oneshot::Sender<Option<Claims>>,
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
    answer: oneshot::Receiver<Option<Claims>>,
}

impl Approvals {
    /// Nobody waits yet, and never more than `most` do.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            waiting: Mutex::default(),
        })
    }

    /// Begins to wait, unless too many do.
    pub fn ask(self: &Arc<Self>, user: &str, from: IpAddr) -> Option<Ask> {
        let mut waiting = self.waiting();
        let near = |other: &&Waiting| Client::of(other.from) == Client::of(from);
        let each = waiting.values().filter(near).count();
        if waiting.len() >= self.most || each >= WAITING_EACH {
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

    /// Answers the request of this code, if it is this user's: with the claims of the session
    /// that allows it, as they are now, so that whatever ends it from now on ends the terminal,
    /// too. Says whether anybody waited.
    pub fn answer(&self, code: &str, by: &Claims, allow: bool) -> bool {
        if self.request(code, &by.user).is_none() {
            return false;
        }
        let asked = self.waiting().remove(code);
        asked.is_some_and(|asked| asked.answer.send(allow.then(|| by.clone())).is_ok())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ask {
    /// Waits for the click, and says which session allowed it.
    pub async fn answered(&mut self) -> Option<Claims> {
        (&mut self.answer).await.ok()?
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        self.approvals.waiting().remove(&self.code);
    }
}

fn code() -> String {
    let random = Secret::random(APPROVAL_CODE);
    let letters = random.expose().iter();
    letters
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::session::Issued;

    fn claims(user: &str) -> Claims {
        Claims {
            user: Username::parse(user).unwrap(),
            session: "s".to_owned(),
            token: None,
            issued: Issued::After(7),
            expires: SystemTime::UNIX_EPOCH,
            uid: None,
            apps: None,
        }
    }

    #[tokio::test]
    async fn only_its_own_user_answers_a_request_and_only_once_with_the_session_of_that_moment() {
        let approvals = Approvals::new(9);
        let from = "192.0.2.1".parse().unwrap();
        let [ann, bob] = ["ann", "bob"].map(claims);
        let mut ask = approvals.ask("ann", from).unwrap();
        let code = ask.code.clone();
        assert!(approvals.request(&code, &bob.user).is_none());
        assert!(!approvals.answer(&code, &bob, true));
        assert_eq!(approvals.request(&code, &ann.user).unwrap().from, from);
        assert!(approvals.answer(&code, &ann, true));
        assert_eq!(ask.answered().await, Some(ann.clone()));
        assert!(!approvals.answer(&code, &ann, false), "a code is good once");
    }

    #[tokio::test]
    async fn few_wait_at_once_from_one_network_and_in_all() {
        let approvals = Approvals::new(WAITING_EACH + 1);
        let near = |number: usize| format!("2001:db8::{number:x}").parse().unwrap();
        let asks: Vec<Ask> = (0..WAITING_EACH)
            .map(|number| approvals.ask("ann", near(number)).unwrap())
            .collect();
        assert!(approvals.ask("ann", near(100)).is_none());
        let far: Vec<IpAddr> = [1, 2].map(|last| [192, 0, 2, last].into()).into();
        let other = approvals.ask("ann", far[0]);
        assert!(other.is_some());
        assert!(approvals.ask("ann", far[1]).is_none(), "in all");
        drop(asks);
        assert!(approvals.ask("ann", near(100)).is_some());
    }
}
