//! The web application's keys by URL: are they there, and fresh?

use super::{Finding, Running};
use crate::session::JwksStatus;

pub fn examine(running: Option<&Running>) -> Option<Finding> {
    let status = running?.sessions.jwks()?;
    Some(found(&status))
}

fn found(status: &JwksStatus) -> Finding {
    let url = &status.url;
    let count = status.keys.len();
    let age = status.age_seconds.map_or_else(
        || "never fetched".to_owned(),
        |age| format!("fetched {age} s ago"),
    );
    let keys = if count == 1 { "key" } else { "keys" };
    let seen = format!("{count} {keys} of {url}, {age}");
    if let Some(error) = &status.error {
        let seen = format!("{seen}; the last try failed: {error}");
        let todo = "see that `session.jwks_url` can be reached from here and is the web \
            application's key set; it is tried again by itself";
        return if count == 0 {
            Finding::fail("keys", seen, todo)
        } else {
            Finding::warn("keys", seen, todo)
        };
    }
    if !status.skipped.is_empty() {
        let skipped = status.skipped.join(", ");
        return Finding::warn(
            "keys",
            format!("{seen}; not usable: {skipped}"),
            "publish keys of RS256, ES256 or EdDSA, each with its `kid` and `alg`",
        );
    }
    Finding::ok("keys", seen)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn old_keys_are_a_warning_and_none_are_the_cause() {
        for (keys, error, skipped, expected) in [
            (1, None, None, State::Ok),
            (1, Some("refused"), None, State::Warn),
            (0, Some("refused"), None, State::Fail),
            (1, None, Some("rsa: too short"), State::Warn),
        ] {
            let status = JwksStatus {
                url: "https://www.example.org/keys".to_owned(),
                keys: vec!["k".to_owned(); keys],
                skipped: skipped.map(str::to_owned).into_iter().collect(),
                age_seconds: Some(5),
                error: error.map(str::to_owned),
            };
            let finding = found(&status);
            assert_eq!(finding.state, expected, "{finding:?}");
            assert!(error.is_none_or(|error| finding.seen.contains(error)));
        }
    }
}
