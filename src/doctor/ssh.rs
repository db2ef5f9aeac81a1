//! SSH, if there is any: does each source of keys answer?

use std::{fs, path::Path};

use super::Finding;
use crate::{config, fetch};

/// Asked for by nobody; a web application answers 404 or nothing of use.
const NOBODY: &str = "user=-&fingerprint=-";

pub async fn examine(config: &config::Ssh) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.listen.is_empty() {
        return findings;
    }
    findings.extend(config.authorized_keys.as_deref().map(directory));
    if let Some(url) = &config.keys_url {
        findings.push(web(url).await);
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "ssh",
            "nobody has a key: by password or click alone",
        ));
    }
    findings
}

fn directory(path: &Path) -> Finding {
    let shown = path.display();
    match fs::read_dir(path) {
        Ok(files) => Finding::ok(
            "ssh",
            format!("keys are in {shown}, of {} users", files.count()),
        ),
        Err(error) => Finding::fail(
            "ssh",
            format!("{shown} can't be read: {error}"),
            "make `ssh.authorized_keys` a directory that the proxy's user can read, with a file \
             for each user, named as the user",
        ),
    }
}

async fn web(url: &http::Uri) -> Finding {
    let join = if url.query().is_some() { '&' } else { '?' };
    let Ok(asked) = format!("{url}{join}{NOBODY}").parse() else {
        return Finding::fail(
            "ssh",
            format!("{url} is no address"),
            "correct `ssh.keys_url`",
        );
    };
    match Box::pin(fetch::fetch(&asked, "text/plain")).await {
        Ok(_) => Finding::ok("ssh", format!("{url} answers")),
        Err(fetch::FetchError::Status(http::StatusCode::NOT_FOUND)) => {
            Finding::ok("ssh", format!("{url} answers"))
        }
        Err(error) => Finding::fail(
            "ssh",
            format!("{url} tells no keys: {error}"),
            "see that `ssh.keys_url` can be reached from here and answers with lines of \
             authorized_keys, or 404",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn keys_that_nobody_can_read_are_the_cause() {
        let dir = std::env::temp_dir();
        assert_eq!(directory(&dir).state, State::Ok);
        let absent = directory(&dir.join(crate::secret::random_id()));
        assert_eq!(absent.state, State::Fail);
    }
}
