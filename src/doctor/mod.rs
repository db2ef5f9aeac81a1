//! Finds what is wrong with an installation, and says what to do about it.
//!
//! Imports `config`, `engine`, `fetch`, `names`, `session`, `symptoms` and `workspace`. Promise: changes
//! nothing that lasts; every look has a deadline; nobody's token, cookie or file is shown.

mod address;
mod certificate;
mod clock;
mod cookies;
mod data;
mod engine;
mod image;
mod keys;
mod ssh;
mod web;

use std::sync::Arc;

use serde::Serialize;

use crate::{config::Config, session::Sessions, symptoms::Symptoms};

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It may be the cause of trouble.
    Warn,
    /// It is the cause of trouble.
    Fail,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: a stable word.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do; nothing if all is well.
    #[serde(rename = "do")]
    pub todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            seen: seen.into(),
            todo: None,
        }
    }

    fn warn(check: &'static str, seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warn,
            seen: seen.into(),
            todo: Some(todo.into()),
        }
    }

    fn fail(check: &'static str, seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            ..Self::warn(check, seen, todo)
        }
    }
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of the findings.
    pub state: State,
    /// One after the other, in the order in which a request meets what they are about.
    pub findings: Vec<Finding>,
}

impl Report {
    /// A report of these findings.
    pub fn of(findings: Vec<Finding>) -> Self {
        let worst = findings.iter().map(|finding| finding.state).max();
        Self {
            state: worst.unwrap_or(State::Ok),
            findings,
        }
    }
}

/// What a running proxy remembers.
#[derive(Clone, Debug)]
struct Running {
    symptoms: Arc<Symptoms>,
    sessions: Arc<Sessions>,
}

/// Looks at an installation; a clone looks at the same.
#[derive(Clone, Debug)]
pub struct Doctor {
    config: Arc<Config>,
    running: Option<Running>,
}

impl Doctor {
    /// A doctor within the running proxy: its rights count, and what it remembers.
    pub fn new(config: Arc<Config>, symptoms: Arc<Symptoms>, sessions: Arc<Sessions>) -> Self {
        Self {
            config,
            running: Some(Running { symptoms, sessions }),
        }
    }

    /// A doctor where no proxy runs; `why` is what came of asking it, `faults` what keeps one from
    /// starting.
    pub async fn alone(config: Arc<Config>, why: &str, faults: &[String]) -> Report {
        let alone = Self {
            config,
            running: None,
        };
        let mut report = alone.examine().await;
        let absent = Finding::fail(
            "proxy",
            why,
            "start `vestibule serve` with this configuration, or ask as its user; what only a \
             running proxy knows is not in this list",
        );
        let todo = "correct that; `vestibule check` tells whether all is well";
        let faults = faults
            .iter()
            .map(|fault| Finding::fail("start", fault, todo));
        report
            .findings
            .splice(0..0, [absent].into_iter().chain(faults));
        Report::of(report.findings)
    }

    /// Looks at everything.
    pub async fn examine(&self) -> Report {
        let config = &*self.config;
        let data = Arc::clone(&self.config);
        // Thousands of directories are no work for a thread that others wait for.
        let data = tokio::task::spawn_blocking(move || data::examine(&data));
        let (address, clock, engine, ssh, data) = tokio::join!(
            async {
                match &self.running {
                    Some(running) => address::examine(config, &running.symptoms).await,
                    None => Vec::new(),
                }
            },
            clock::examine(config, self.running.as_ref()),
            engine::examine(config),
            ssh::examine(&config.ssh),
            data,
        );
        let mut findings = Vec::new();
        if self.running.is_some() {
            findings.push(Finding::ok(
                "proxy",
                format!("version {} runs", env!("CARGO_PKG_VERSION")),
            ));
        }
        findings.extend(address);
        findings.extend(clock);
        findings.extend(keys::examine(self.running.as_ref()));
        findings.extend(cookies::examine(config, self.running.as_ref()));
        findings.extend(engine);
        findings.extend(ssh);
        findings.extend(data.into_iter().flatten());
        Report::of(findings)
    }
}
