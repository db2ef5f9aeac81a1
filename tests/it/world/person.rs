//! Somebody with a browser: the cookies of one session, and what they do with it.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Answer, SLOW, World,
    client::Call,
    keys::{HANDOFF, handoff_claims},
    until,
};

/// Our session cookie.
pub const SESSION_COOKIE: &str = "__Host-vestibule-session";
/// The cookie that ties a hand-off to the browser that asked for it.
pub const STATE_COOKIE: &str = "__Host-vestibule-state";

/// What a query value is spelled with.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Somebody who is logged in.
pub struct Person<'w> {
    world: &'w World,
    /// Their name.
    pub name: String,
    /// What their browser sends as `Cookie`.
    pub cookie: String,
}

/// A browser that was sent to the login and is expected back.
pub struct Visitor {
    /// The nonce that Vestibule gave the login.
    pub state: String,
    /// The cookie it gave the browser.
    pub cookie: String,
}

impl World {
    /// A browser without a session opens `path` and is sent to the login.
    pub async fn visitor(&self, path: &str) -> Visitor {
        let answer = self.get(path).navigate().send().await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let state = answer.location_query()["state"].clone();
        let value = answer.cookie(STATE_COOKIE).unwrap();
        self.secret(&value);
        self.secret(&state);
        Visitor {
            state,
            cookie: format!("{STATE_COOKIE}={value}"),
        }
    }

    /// The visitor comes back from the login with a token.
    pub fn callback(&self, visitor: &Visitor, token: &str, next: &str) -> Call<'_> {
        self.secret(token);
        self.get(&callback_path(token, next))
            .navigate()
            .header("cookie", &visitor.cookie)
    }

    /// Logs somebody in, all the way.
    pub async fn log_in(&self, user: &str) -> Person<'_> {
        let visitor = self.visitor("/").await;
        let token = self
            .keys
            .sign(HANDOFF, &handoff_claims(user, &visitor.state));
        let answer = self.callback(&visitor, &token, "/").send().await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let session = answer.cookie(SESSION_COOKIE).unwrap();
        self.secret(&session);
        Person {
            world: self,
            name: user.to_owned(),
            cookie: format!("{SESSION_COOKIE}={session}"),
        }
    }
}

/// The path of a callback.
pub fn callback_path(token: &str, next: &str) -> String {
    let next = utf8_percent_encode(next, QUERY);
    format!("/_vestibule/callback?token={token}&next={next}")
}

impl Person<'_> {
    /// The path of one of their apps.
    pub fn path(&self, app: &str, rest: &str) -> String {
        format!("/{app}/{}/{rest}", self.name)
    }

    /// Where they are.
    pub fn world(&self) -> &World {
        self.world
    }

    /// Any request with their session.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        self.world.call(method, path).header("cookie", &self.cookie)
    }

    /// Opens a page.
    pub fn visit(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path).navigate()
    }

    /// What a script on one of our pages asks for.
    pub fn fetch(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path).fetch()
    }

    /// Opens an app and reloads until it is there, whatever the pages on the way say.
    pub async fn open_patiently(&self, app: &str) {
        let path = self.path(app, "");
        until("the app opens in the end", SLOW, async || {
            let answer = self.visit(&path).send().await;
            answer.status != 202 && answer.status.as_u16() < 400
        })
        .await;
    }

    /// Opens an app and reloads until it is there; anything but patience is a failure.
    pub async fn open(&self, app: &str) -> Answer {
        let path = self.path(app, "");
        let mut last = None;
        until("the app opens", SLOW, async || {
            let answer = self.visit(&path).send().await;
            let status = answer.status.as_u16();
            assert!(status < 400, "{status} {}", answer.text());
            last = Some(answer);
            status != 202
        })
        .await;
        last.unwrap()
    }
}
