//! Which requests of an app are a person's doing, and which are the IDE talking to itself.
//!
//! Imports `values`. Promise: pure, and cheap enough for every request.

use http::Method;

use super::{mistake::Read, node::Node, values};

/// Rules for the requests of one app. A navigation or a request that may change something counts
/// as input unless `ignores` has it; any other only if `counts` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRules {
    /// Always input, whatever else is said.
    pub counts: Vec<Requests>,
    /// Never input by their method or by being a navigation.
    pub ignores: Vec<Requests>,
}

/// Some requests: those of a method whose path looks like a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// `None` stands for every method.
    pub method: Option<Method>,
    /// Path below the app's prefix; `*` stands for any text, slashes included.
    pub path: String,
}

impl InputRules {
    /// Whether a person did this. `path` begins with `/`, below the app's prefix.
    pub fn is_input(&self, method: &Method, path: &str, navigation: bool) -> bool {
        let has = |rules: &[Requests]| rules.iter().any(|rule| rule.has(method, path));
        let acts = navigation || !method.is_safe();
        (acts && !has(&self.ignores)) || has(&self.counts)
    }
}

impl Requests {
    fn has(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|own| own == method) && matches(&self.path, path)
    }
}

/// Whether `text` looks like `pattern`. Each `*` takes as little as it can; that is enough, as
/// what follows one finds its first place.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Reads `"PUT /lab/api/workspaces/*"`; `*` stands for every method too.
pub fn requests(node: &Node) -> Read<Requests> {
    let text = values::text(node)?;
    let parts = text.split_once(' ').and_then(|(method, path)| {
        let all = method == "*";
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&method);
        let fits = path.starts_with('/') && path.bytes().all(|c| c.is_ascii_graphic());
        let method = method.parse().ok().filter(|_| !all);
        (fits && (all || known)).then(|| (method, path.to_owned()))
    });
    let (method, path) = parts.ok_or_else(|| {
        format!(
            r#"must be a method and a path below the app's, such as "PUT /api/*", not {text:?}"#
        )
    })?;
    Ok(Requests { method, path })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_matches_whole_paths() {
        for (pattern, path, fits) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a*", "/a", true),
            ("/a/*.*", "/a/b/c.py", true),
            ("/a/*.*", "/a/b", false),
            ("*", "/anything", true),
            ("/*/x/*/y", "/1/x/2/x/3/y", true),
            ("/*/x/*/y", "/1/x/y", false),
            ("/ab*b", "/ab", false),
        ] {
            assert_eq!(matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    proptest! {
        #[test]
        fn stars_filled_in_with_anything_match(parts in proptest::collection::vec(("[ab/]{0,3}", "[ab/]{0,3}"), 1..5)) {
            let pattern: Vec<&str> = parts.iter().map(|(fixed, _)| fixed.as_str()).collect();
            let all = parts.iter().flat_map(|(fixed, fill)| [fixed.as_str(), fill]);
            let mut text: String = all.collect();
            text.truncate(text.len() - parts.last().map_or(0, |(_, fill)| fill.len()));
            prop_assert!(matches(&pattern.join("*"), &text), "{} {}", pattern.join("*"), text);
        }
    }

    #[test]
    fn a_rule_stands_above_the_method_and_an_exception_above_the_rule() {
        let rule = |method: &str, path: &str| Requests {
            method: Some(method.parse().unwrap()),
            path: path.to_owned(),
        };
        let rules = InputRules {
            counts: vec![rule("GET", "/files/*.*"), rule("PUT", "/layout/mine")],
            ignores: vec![rule("PUT", "/layout/*")],
        };
        for (method, path, navigation, input) in [
            (Method::GET, "/files/a.py", false, true),
            (Method::GET, "/files/a", false, false),
            (Method::GET, "/poll", false, false),
            (Method::GET, "/poll", true, true),
            (Method::POST, "/run", false, true),
            (Method::PUT, "/layout/auto", false, false),
            (Method::PUT, "/layout/mine", false, true),
        ] {
            assert_eq!(
                rules.is_input(&method, path, navigation),
                input,
                "{method} {path}"
            );
        }
    }
}
