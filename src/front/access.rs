//! The access log: one line for each request, in the shape of every other line of the log.
//!
//! Written beside `tracing`, whose every event is a system call: a thread's lines are gathered
//! and written together, a moment later. Other events may so come before it in the file; each
//! line has its own time.

use std::{
    cell::{Cell, RefCell},
    io::{self, Write as _},
    net::IpAddr,
    rc::Rc,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode};

use crate::config::LogFormat;

/// How long a line may wait for others.
const WAIT: Duration = Duration::from_millis(100);
/// So many bytes wait for no others.
const ENOUGH: usize = 32 * 1024;

/// What is said of a request.
pub struct Line<'a> {
    pub status: StatusCode,
    pub request_id: &'a str,
    pub client: IpAddr,
    pub method: &'a Method,
    /// Without the query.
    pub path: &'a str,
    pub elapsed: Duration,
}

/// The access log of one thread.
pub struct AccessLog {
    format: LogFormat,
    waiting: Rc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    lines: RefCell<Vec<u8>>,
    /// Whether a task is about to write them.
    due: Cell<bool>,
}

impl AccessLog {
    /// A log of lines in this format.
    pub fn new(format: LogFormat) -> Self {
        Self {
            format,
            waiting: Rc::default(),
        }
    }

    /// Adds a line, if the log's filter lets it pass.
    pub fn add(&self, line: &Line<'_>) {
        if !tracing::enabled!(target: "access", tracing::Level::INFO) {
            return;
        }
        let mut lines = self.waiting.lines.borrow_mut();
        // A vector takes any text.
        let _ = write(self.format, line, &mut lines);
        let enough = lines.len() >= ENOUGH;
        drop(lines);
        if enough {
            self.waiting.write();
        } else if !self.waiting.due.replace(true) {
            let waiting = Rc::clone(&self.waiting);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(WAIT).await;
                waiting.due.set(false);
                waiting.write();
            });
        }
    }
}

impl Waiting {
    fn write(&self) {
        let mut lines = self.lines.borrow_mut();
        // Whoever reads the log may have gone: that ends no request.
        let _ = io::stderr().lock().write_all(&lines);
        lines.clear();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.write();
    }
}

/// Writes a line as `tracing_subscriber::fmt` would. What a client chose is escaped, so that none
/// passes for a line of its own.
fn write(format: LogFormat, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let now = humantime::format_rfc3339_micros(SystemTime::now());
    let elapsed = line.elapsed.as_millis();
    let Line {
        status,
        request_id,
        client,
        method,
        path,
        ..
    } = line;
    let status = status.as_u16();
    match format {
        LogFormat::Json => {
            write!(
                out,
                r#"{{"timestamp":"{now}","level":"INFO","status":{status},"request.id":"{request_id}","client.addr":"{client}","method":"{method}","path":"#
            )?;
            serde_json::to_writer(&mut *out, path)?;
            writeln!(out, r#","elapsed_ms":{elapsed},"target":"access"}}"#)
        }
        LogFormat::Pretty => writeln!(
            out,
            "{now}  INFO access: status={status} request.id={request_id:?} client.addr={client} \
             method={method} path={path:?} elapsed_ms={elapsed}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_was_asked_for() {
        let line = Line {
            status: StatusCode::OK,
            request_id: "r1",
            client: [203, 0, 113, 7].into(),
            method: &Method::GET,
            path: "/a\"b\n\u{1b}[2J<script>",
            elapsed: Duration::from_millis(3),
        };
        let (mut json, mut pretty) = (Vec::new(), Vec::new());
        write(LogFormat::Json, &line, &mut json).unwrap();
        write(LogFormat::Pretty, &line, &mut pretty).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["path"], line.path);
        assert_eq!(value["target"], "access");
        assert_eq!(value["elapsed_ms"], 3);
        for text in [json, pretty] {
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.find('\n'), Some(text.len() - 1), "{text:?}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
