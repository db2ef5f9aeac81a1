//! Finds which workspace or page a request is for. Pure: no I/O, no clock, no engine.
//!
//! Imports `names` only. Promise: the user in a [`Target`] was percent-decoded exactly once
//! (RFC 3986 2.4) and holds only characters a name may have, and no path of a [`Target`] can
//! climb out of its prefix, whichever way an upstream decodes it.

use percent_encoding::percent_decode_str;

use crate::names::{AppName, Username};

/// What a path is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`: the signed-in user's own page.
    Home,
    /// `/_vestibule/healthz`: that we are alive, and nothing else.
    Health,
    /// `/_vestibule/assets/<name>`: what our own pages are made of.
    Asset(String),
    /// `/_vestibule/api/...`: the operator's door; what follows, beginning with `/`.
    Api(String),
    /// `/_vestibule/callback`: the end of a hand-off.
    Callback,
    /// `/_vestibule/logout`.
    Logout,
    /// `/_vestibule/signed-out`.
    SignedOut,
    /// `/_vestibule/stop`: the home page's stop button.
    Stop,
    /// `/_vestibule/keep`: the home page's button that delays a stop.
    Keep,
    /// `/_vestibule/live`: the home page's changes, as server-sent events.
    Live,
    /// `/_vestibule/ssh-password`: the home page's button that shows a password for SSH.
    SshPassword,
    /// `/_vestibule/ssh/<code>`: a terminal that asks to be let in.
    Ssh(String),
    /// `/_vestibule/ssh/<code>/allow` and `.../deny`: the buttons of that page.
    SshAnswer {
        /// Which terminal.
        code: String,
        /// Whether it may come in.
        allow: bool,
    },
    /// `/_vestibule/progress/<app>/<user>/`: a start, as server-sent events.
    Progress(Target),
    /// `/<app>/<user>/...`: an app in a workspace.
    App(Target),
    /// `/<app>/<user>` without the slash that every app's relative links need.
    AddSlash(Target),
}

/// An app of a user, and the path within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The first segment.
    pub app: AppName,
    /// The second segment, decoded.
    pub user: Username,
    /// What follows, as the client spelled it; begins with `/`.
    pub rest: String,
}

impl Target {
    /// `/<app>/<user>`, in the one spelling that upstreams see.
    pub fn prefix(&self) -> String {
        format!("/{}/{}", self.app, self.user)
    }
}

/// A path that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A path nobody writes by accident: dot segments, NUL, a backslash, a broken escape.
    #[error("the path holds a dot segment, a NUL, a backslash or a broken escape")]
    Malformed,
    /// No app, user or page of that name.
    #[error("there is nothing at this address")]
    NotFound,
}

/// Finds what `path` is for; `known` is the app of a name, if there is one.
///
/// # Errors
/// [`RouteError::Malformed`] before anything is looked up, [`RouteError::NotFound`] after.
pub fn route(path: &str, known: impl Fn(&str) -> Option<AppName>) -> Result<Route, RouteError> {
    let absolute = path.strip_prefix('/').ok_or(RouteError::Malformed)?;
    // Most paths hold nothing that could lead astray.
    let odd = |text: &&str| memchr::memchr3(b'%', b'.', b'\\', text.as_bytes()).is_some();
    if odd(&absolute) {
        let mut segments = absolute.split('/').filter(odd);
        segments.try_for_each(check_segment)?;
    }
    if absolute.is_empty() {
        return Ok(Route::Home);
    }
    if let Some(own) = absolute.strip_prefix("_vestibule/") {
        return own_route(own, known);
    }
    let (target, slash) = target(absolute, known)?;
    Ok(if slash {
        Route::App(target)
    } else {
        Route::AddSlash(target)
    })
}

fn own_route(own: &str, known: impl Fn(&str) -> Option<AppName>) -> Result<Route, RouteError> {
    Ok(match own {
        "healthz" => Route::Health,
        "callback" => Route::Callback,
        "logout" => Route::Logout,
        "signed-out" => Route::SignedOut,
        "stop" => Route::Stop,
        "keep" => Route::Keep,
        "live" => Route::Live,
        "ssh-password" => Route::SshPassword,
        _ => {
            if let Some(call) = own.strip_prefix("api/") {
                Route::Api(format!("/{call}"))
            } else if let Some(name) = own.strip_prefix("assets/") {
                Route::Asset(name.to_owned())
            } else if let Some(code) = own.strip_prefix("ssh/") {
                ssh(code)?
            } else if let Some(of) = own.strip_prefix("progress/") {
                Route::Progress(target(of, known)?.0)
            } else {
                return Err(RouteError::NotFound);
            }
        }
    })
}

fn ssh(rest: &str) -> Result<Route, RouteError> {
    let (code, verb) = match rest.split_once('/') {
        Some((code, verb)) => (code, Some(verb)),
        None => (rest, None),
    };
    if code.is_empty() || !code.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return Err(RouteError::NotFound);
    }
    let code = code.to_ascii_uppercase();
    Ok(match verb {
        None => Route::Ssh(code),
        Some("allow") => Route::SshAnswer { code, allow: true },
        Some("deny") => Route::SshAnswer { code, allow: false },
        Some(_) => return Err(RouteError::NotFound),
    })
}

/// Reads `<app>/<user>[/rest]`, and says whether a slash followed the user.
fn target(
    path: &str,
    known: impl Fn(&str) -> Option<AppName>,
) -> Result<(Target, bool), RouteError> {
    let (app, path) = path.split_once('/').ok_or(RouteError::NotFound)?;
    let end = path.find('/');
    let (user, rest) = path.split_at(end.unwrap_or(path.len()));
    let app = known(app).ok_or(RouteError::NotFound)?;
    let user = percent_decode_str(user)
        .decode_utf8()
        .map_err(|_| RouteError::Malformed)?;
    if user.contains('/') {
        return Err(RouteError::Malformed);
    }
    let user = Username::parse(&user).map_err(|_| RouteError::NotFound)?;
    let rest = if rest.is_empty() { "/" } else { rest }.to_owned();
    Ok((Target { app, user, rest }, end.is_some()))
}

/// Refuses a segment that is, or decodes once or twice to, a step out of its place. Twice,
/// because some upstreams decode what was decoded before.
fn check_segment(segment: &str) -> Result<(), RouteError> {
    let mut text = segment.to_owned();
    for round in 0..2 {
        if round == 0 && !escapes_are_whole(&text) {
            return Err(RouteError::Malformed);
        }
        text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        let climbs = text.split('/').any(|part| part == "." || part == "..");
        if climbs || text.contains(['\0', '\\']) {
            return Err(RouteError::Malformed);
        }
    }
    Ok(())
}

/// Whether every `%` is followed by two hex digits (RFC 3986 2.1).
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(app: &str) -> Option<AppName> {
        let known = matches!(app, "codespace" | "jupyter");
        known.then(|| AppName::parse(app).unwrap())
    }

    fn user_of(path: &str) -> Result<String, RouteError> {
        match route(path, known)? {
            Route::App(target) | Route::AddSlash(target) => Ok(target.user.to_string()),
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn a_path_finds_its_user_or_is_refused() {
        use RouteError::{Malformed, NotFound};
        for (path, user) in [
            ("/codespace/ann/", Ok("ann")),
            ("/codespace/ann", Ok("ann")),
            ("/codespace/%61nn/x", Ok("ann")),
            ("/codespace/a%40b/", Ok("a@b")),
            ("/codespace/Ann/", Ok("Ann")),
            ("/codespace/ann/a%2Fb", Ok("ann")),
            ("/codespace/ann/x/.hidden/..b", Ok("ann")),
            ("/codespace/ann%2e%2e/", Ok("ann..")),
            ("/codespace/ann/..%2fbob", Err(Malformed)),
            ("/codespace/ann/%2e%2e/bob", Err(Malformed)),
            ("/codespace/ann/%252e%252e/bob", Err(Malformed)),
            ("/codespace/ann/../bob/", Err(Malformed)),
            ("/codespace/ann/./", Err(Malformed)),
            ("/codespace/ann%00/", Err(Malformed)),
            ("/codespace/ann/%00", Err(Malformed)),
            ("/codespace/ann/a\\b", Err(Malformed)),
            ("/codespace/ann/a%5cb", Err(Malformed)),
            ("/codespace/ann%2fbob/", Err(Malformed)),
            ("/codespace/ann/%zz", Err(Malformed)),
            ("/codespace/ann/%2", Err(Malformed)),
            ("/codespace/./", Err(Malformed)),
            ("/codespace/%2e%2e/", Err(Malformed)),
            ("/codespace//", Err(NotFound)),
            ("/codespace/", Err(NotFound)),
            ("/codespace", Err(NotFound)),
            ("/rstudio/ann/", Err(NotFound)),
            ("/codespace/a b/", Err(NotFound)),
            ("/_vestibule/else", Err(NotFound)),
            ("*", Err(Malformed)),
        ] {
            assert_eq!(user_of(path), user.map(str::to_owned), "{path}");
        }
        assert_eq!(
            user_of(&format!("/codespace/{}/", "x".repeat(65))),
            Err(NotFound)
        );
    }

    #[test]
    fn a_target_keeps_the_rest_as_it_was_spelled() {
        let Ok(Route::App(target)) = route("/jupyter/%61nn/a%20b/c", known) else {
            panic!("an app's path")
        };
        assert_eq!(target.prefix(), "/jupyter/ann");
        assert_eq!(target.rest, "/a%20b/c");
    }

    #[test]
    fn our_own_paths_are_found() {
        for (path, expected) in [
            ("/", Route::Home),
            ("/_vestibule/healthz", Route::Health),
            ("/_vestibule/callback", Route::Callback),
            ("/_vestibule/ssh/abc2", Route::Ssh("ABC2".into())),
            (
                "/_vestibule/ssh/ABC2/deny",
                Route::SshAnswer {
                    code: "ABC2".into(),
                    allow: false,
                },
            ),
            (
                "/_vestibule/api/v1/workspaces/a%40b",
                Route::Api("/v1/workspaces/a%40b".into()),
            ),
            (
                "/_vestibule/assets/page.css",
                Route::Asset("page.css".into()),
            ),
        ] {
            assert_eq!(route(path, known), Ok(expected), "{path}");
        }
        assert!(matches!(
            route("/_vestibule/progress/jupyter/ann/", known),
            Ok(Route::Progress(_))
        ));
    }

    proptest! {
        #[test]
        fn no_path_climbs_out_of_its_prefix(tail in "(/|\\.|%2[eEfF5]|%5[cC]|[a-c]|\\\\){0,12}") {
            if let Ok(Route::App(target)) = route(&format!("/codespace/ann/{tail}"), known) {
                let mut text = target.rest;
                for _ in 0..3 {
                    prop_assert!(!text.split('/').any(|part| part == ".."));
                    prop_assert!(!text.contains('\\'));
                    text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
                }
            }
        }
    }
}
