//! The table of calls: which there are, and what each takes the right to. Pure; both doors and
//! `docs/openapi.json` are held to it.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::config::Scope;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Every workspace there is.
    List,
    /// One workspace.
    Status,
    /// Why it is alive, or was stopped.
    Explain,
    /// What an app printed.
    Logs,
    /// Start it, and an app in it.
    Start,
    /// Stop it.
    Stop,
    /// Put its stop off.
    Keep,
    /// Remove its container.
    Remove,
    /// End sessions.
    Revoke,
    /// Sign a token.
    Token,
    /// Look for what is wrong.
    Doctor,
}

impl Verb {
    /// What a token must be good for.
    pub fn scope(self) -> Scope {
        match self {
            Self::List | Self::Status => Scope::Status,
            Self::Explain => Scope::Explain,
            Self::Logs => Scope::Logs,
            Self::Start => Scope::Start,
            Self::Stop => Scope::Stop,
            Self::Keep => Scope::Keep,
            Self::Remove => Scope::Rm,
            Self::Revoke => Scope::Revoke,
            Self::Token => Scope::Token,
            Self::Doctor => Scope::Doctor,
        }
    }
}

/// A method and a path, and what they ask for.
#[derive(Debug)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, below the door: a segment in braces stands for a name.
    pub path: &'static str,
    /// What it asks for.
    pub verb: Verb,
}

const fn operation(method: Method, path: &'static str, verb: Verb) -> Operation {
    Operation { method, path, verb }
}

/// Every call there is.
pub static OPERATIONS: [Operation; 11] = [
    operation(Method::GET, "/v1/workspaces", Verb::List),
    operation(Method::GET, "/v1/workspaces/{user}", Verb::Status),
    operation(Method::DELETE, "/v1/workspaces/{user}", Verb::Remove),
    operation(
        Method::GET,
        "/v1/workspaces/{user}/explanation",
        Verb::Explain,
    ),
    operation(Method::GET, "/v1/workspaces/{user}/logs/{app}", Verb::Logs),
    operation(Method::POST, "/v1/workspaces/{user}/start", Verb::Start),
    operation(Method::POST, "/v1/workspaces/{user}/stop", Verb::Stop),
    operation(Method::POST, "/v1/workspaces/{user}/keep", Verb::Keep),
    operation(Method::POST, "/v1/revocations", Verb::Revoke),
    operation(Method::POST, "/v1/tokens", Verb::Token),
    operation(Method::GET, "/v1/doctor", Verb::Doctor),
];

/// A call that isn't in the table.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing has this path.
    NotFound,
    /// This path takes other methods: which, as `Allow` spells them.
    Method(String),
}

/// Finds a call, and the names in its path, decoded once (RFC 3986 2.4) and not judged yet.
///
/// # Errors
/// [`Lost`].
pub fn find(method: &Method, path: &str) -> Result<(Verb, Vec<String>), Lost> {
    let mut allowed = Vec::new();
    for operation in &OPERATIONS {
        let Some(names) = names(operation.path, path) else {
            continue;
        };
        if operation.method == *method {
            return Ok((operation.verb, names));
        }
        allowed.push(operation.method.as_str());
    }
    Err(if allowed.is_empty() {
        Lost::NotFound
    } else {
        Lost::Method(allowed.join(", "))
    })
}

/// What stands in `path` for the braces of `pattern`, if it is of that form.
fn names(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(found)) if wanted.starts_with('{') => {
                let name = percent_decode_str(found).decode_utf8().ok()?;
                names.push(name.into_owned());
            }
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_call_is_found_by_method_and_path_and_nothing_else_is_one() {
        for (method, path, expected) in [
            (Method::GET, "/v1/workspaces", Ok((Verb::List, vec![]))),
            (
                Method::GET,
                "/v1/workspaces/a%40b/logs/jupyter",
                Ok((Verb::Logs, vec!["a@b".to_owned(), "jupyter".to_owned()])),
            ),
            (
                Method::DELETE,
                "/v1/workspaces/ann",
                Ok((Verb::Remove, vec!["ann".to_owned()])),
            ),
            (
                Method::PUT,
                "/v1/workspaces/ann",
                Err(Lost::Method("GET, DELETE".to_owned())),
            ),
            (Method::GET, "/v1/workspaces/ann/", Err(Lost::NotFound)),
            (Method::GET, "/v1/workspaces/%ff", Err(Lost::NotFound)),
            (Method::GET, "/v2/workspaces", Err(Lost::NotFound)),
            (Method::GET, "", Err(Lost::NotFound)),
        ] {
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn the_description_holds_every_call_with_its_scope_and_no_other() {
        let file: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
        let server = file["servers"][0]["url"].as_str().unwrap();
        assert!(server.ends_with("/_vestibule/api"), "{server}");
        let mut described = BTreeSet::new();
        for (path, item) in file["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method == "parameters" {
                    continue;
                }
                let scope = operation["security"][0]["admin"][0].as_str().unwrap();
                described.insert((method.to_uppercase(), path.clone(), scope.to_owned()));
            }
        }
        let known = OPERATIONS.iter().map(|operation| {
            let scope = operation.verb.scope().as_str().to_owned();
            (
                operation.method.to_string(),
                operation.path.to_owned(),
                scope,
            )
        });
        assert_eq!(described, known.collect());
        let scopes = &file["components"]["securitySchemes"]["admin"]["x-scopes"];
        let scopes: BTreeSet<&str> = scopes
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(scopes, Scope::all().map(Scope::as_str).collect());
    }
}
