//! Where lines go: the log as the operator wants to read it, and the audit trail, which is one
//! JSON object a line in any case.
//!
//! Imports `config`. Promise: no filter holds an audit line back, and none is lost because its
//! file can't be written: then it goes where the others go.

mod file;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt as _, Targets, filter_fn},
    fmt,
    layer::{Filter, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use self::file::AuditFile;
use crate::config::{self, LogFormat};

/// The target of audit lines.
const AUDIT: &str = "audit";

/// Before the operator's filter, which may say otherwise: what russh logs are faults of clients,
/// in texts that they choose and as often as they like.
const QUIET: &str = "russh=off,";

/// The audit file can't be used.
#[derive(Debug, thiserror::Error)]
#[error("can't write the audit file {path}; set `log.audit` to one we may append to")]
pub struct LogError {
    /// The file.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

/// Begins to log, for the whole process.
///
/// # Errors
/// [`LogError`].
pub fn init(config: &config::Log) -> Result<(), LogError> {
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = filter.and_then(|filter| EnvFilter::try_new(format!("{QUIET}{filter}")).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("{QUIET}{}", config.filter)));
    let filter = without_audit(filter);
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match config.format {
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let audit = match &config.audit {
        None => audit(io::stderr).boxed(),
        Some(path) => audit(AuditFile::open(path.clone()).map_err(|source| LogError {
            path: path.clone(),
            source,
        })?)
        .boxed(),
    };
    tracing_subscriber::registry()
        .with(vec![lines.with_filter(filter).boxed(), audit])
        .init();
    Ok(())
}

/// What `filter` lets through but for audit lines, which have a layer of their own.
fn without_audit<S>(filter: impl Filter<S>) -> impl Filter<S> {
    let others = filter_fn(|line| line.target() != AUDIT);
    // Said, or no level could be left out at once, and every library's own lines, hundreds for a
    // request, were asked about one by one.
    filter.and(others.with_max_level_hint(LevelFilter::TRACE))
}

/// One JSON object for each audit line, whatever the other lines look like.
fn audit<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_level(false)
        .with_writer(writer)
        .with_filter(Targets::new().with_target(AUDIT, Level::INFO))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Registry;

    use super::*;

    #[test]
    fn what_no_line_can_be_of_is_left_out_at_once() {
        for (filter, most) in [
            ("info", LevelFilter::INFO),
            ("warn,vestibule=debug", LevelFilter::DEBUG),
        ] {
            let filter = EnvFilter::new(format!("{QUIET}{filter}"));
            let filter: Box<dyn Filter<Registry> + Send + Sync> = Box::new(without_audit(filter));
            assert_eq!(filter.max_level_hint(), Some(most));
        }
    }
}
