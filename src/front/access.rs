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
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::{config::LogFormat, text};

/// How long a line may wait for others.
const WAIT: Duration = Duration::from_millis(100);
/// Most bytes of a path in a line: whoever sends long ones shall not fill the disk.
const LONGEST_PATH: usize = 1024;
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
    pub ended: Instant,
    pub elapsed: Duration,
}

/// The access log of one thread.
pub struct AccessLog {
    /// Whether the log's filter lets its lines pass; that never changes.
    enabled: bool,
    writer: RefCell<Writer>,
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
            enabled: tracing::enabled!(target: "access", tracing::Level::INFO),
            writer: RefCell::new(Writer::new(format)),
            waiting: Rc::default(),
        }
    }

    /// Adds a line, if the log's filter lets it pass.
    pub fn add(&self, line: &Line<'_>) {
        if !self.enabled {
            return;
        }
        let mut lines = self.waiting.lines.borrow_mut();
        let mut writer = self.writer.borrow_mut();
        if lines.is_empty() {
            writer.began = (line.ended, SystemTime::now());
        }
        // A vector takes any text.
        let _ = writer.write(line, &mut lines);
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

/// Writes lines as `tracing_subscriber::fmt` would.
struct Writer {
    format: LogFormat,
    /// When the first of the lines that wait was added, by both clocks.
    began: (Instant, SystemTime),
    /// The last line's second, since 1970 and as text: a busy thread writes many lines in one.
    second: (u64, String),
}

impl Writer {
    fn new(format: LogFormat) -> Self {
        Self {
            format,
            began: (Instant::now(), SystemTime::now()),
            second: (0, "1970-01-01T00:00:00".to_owned()),
        }
    }

    /// What a client chose is escaped, so that none passes for a line of its own.
    fn write(&mut self, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let Line {
            status,
            request_id,
            client,
            method,
            path,
            ended,
            elapsed,
        } = line;
        let path = &path[..path.floor_char_boundary(LONGEST_PATH)];
        let (began, at) = self.began;
        let time = at + (*ended - began);
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        match self.format {
            LogFormat::Json => {
                out.extend_from_slice(br#"{"timestamp":""#);
                self.push_time(time, out);
                out.extend_from_slice(br#"","level":"INFO","status":"#);
                out.extend_from_slice(status.as_str().as_bytes());
                out.extend_from_slice(br#","request.id":""#);
                out.extend_from_slice(request_id.as_bytes());
                out.extend_from_slice(br#"","client.addr":""#);
                text::push_address(out, *client);
                out.extend_from_slice(br#"","method":""#);
                // A token (RFC 9110 9.1): nothing in it needs an escape.
                out.extend_from_slice(method.as_str().as_bytes());
                out.extend_from_slice(br#"","path":"#);
                serde_json::to_writer(&mut *out, path)?;
                out.extend_from_slice(br#","elapsed_ms":"#);
                text::push_number(out, elapsed);
                out.extend_from_slice(b",\"target\":\"access\"}\n");
                Ok(())
            }
            LogFormat::Pretty => {
                self.push_time(time, out);
                let status = status.as_u16();
                writeln!(
                    out,
                    "  INFO access: status={status} request.id={request_id:?} \
                     client.addr={client} method={method} path={path:?} elapsed_ms={elapsed}"
                )
            }
        }
    }

    /// Appends a time in RFC 3339, in microseconds.
    fn push_time(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (second, text) = &mut self.second;
        if *second != since.as_secs() {
            *second = since.as_secs();
            *text = humantime::format_rfc3339_seconds(time).to_string();
            // The zone, which comes behind the fraction.
            text.pop();
        }
        out.extend_from_slice(text.as_bytes());
        // A digit in front keeps the zeros, and is where the dot belongs.
        let dot = out.len();
        text::push_number(out, u64::from(1_000_000 + since.subsec_micros()));
        out[dot] = b'.';
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_everywhere_else_in_the_log() {
        let mut writer = Writer::new(LogFormat::Json);
        for micros in [
            0,
            7,
            999_999,
            1_000_000,
            1_795_616_626_000_000,
            1_795_616_626_043_210,
        ] {
            let time = UNIX_EPOCH + Duration::from_micros(micros);
            let mut text = Vec::new();
            writer.push_time(time, &mut text);
            let expected = humantime::format_rfc3339_micros(time).to_string();
            assert_eq!(text, expected.as_bytes(), "{micros}");
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_was_asked_for() {
        let line = Line {
            status: StatusCode::OK,
            request_id: "r1",
            client: [203, 0, 113, 7].into(),
            method: &Method::GET,
            path: "/a\"b\n\u{1b}[2J<script>",
            ended: Instant::now(),
            elapsed: Duration::from_millis(3),
        };
        let (mut json, mut pretty) = (Vec::new(), Vec::new());
        let write = |format, out| Writer::new(format).write(&line, out).unwrap();
        write(LogFormat::Json, &mut json);
        write(LogFormat::Pretty, &mut pretty);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["path"], line.path);
        assert_eq!(value["target"], "access");
        let path = "é".repeat(LONGEST_PATH);
        let long = Line {
            path: &path,
            ..line
        };
        let mut json = Vec::new();
        Writer::new(LogFormat::Json)
            .write(&long, &mut json)
            .unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["path"], path[..LONGEST_PATH]);
        assert_eq!(value["elapsed_ms"], 3);
        for text in [json, pretty] {
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.find('\n'), Some(text.len() - 1), "{text:?}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
