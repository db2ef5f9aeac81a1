//! Problem details for programs (RFC 9457).
//!
//! Imports nothing of ours. Promise: one shape for every refusal, at whichever door.

use http::StatusCode;
use serde_json::{Value, json};

/// Its media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What a refusal is to the one who gets it.
#[derive(Debug)]
pub struct Problem {
    /// Its status.
    pub status: StatusCode,
    /// A stable word for programs and the audit log: the last part of the problem's `type`.
    pub kind: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What happened this time, and what to do.
    pub detail: String,
}

impl Problem {
    /// As JSON; `request_id` names this one request in the log.
    pub fn json(&self, request_id: &str) -> Value {
        json!({
            "type": format!("urn:vestibule:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": format!("urn:vestibule:request:{request_id}"),
        })
    }
}
