//! What is known of an app: what runs, where it listens, and what is put on the way to it.

use std::collections::BTreeMap;

use super::{InputRules, Policy};

/// Something that can be opened in a workspace. Its command, environment, ready path and
/// injected headers are templates: `{user}`, `{prefix}` (`/jupyter/alice/`) and
/// `{secret}` (64 hex digits only this app of this container knows) are filled in by
/// [`App::fill`].
#[derive(Clone, Debug)]
pub struct App {
    /// What people call it.
    pub title: String,
    /// Program and arguments, run as the image's user in its home.
    pub command: Vec<String>,
    /// The port it listens on inside the container.
    pub port: u16,
    /// Whether the upstream sees `/<app>/<user>` in front of the path.
    pub prefix: Prefix,
    /// Path (as the upstream sees it) that answers below 400 once the app is ready.
    pub ready_path: String,
    /// Environment of its command.
    pub env: BTreeMap<String, String>,
    /// Headers set on every request to it, replacing the client's; lower-case names.
    pub headers: BTreeMap<String, String>,
    /// Cookies added to every request to it, replacing the client's of the same name.
    pub cookies: BTreeMap<String, String>,
    /// Which of its requests are a person's doing.
    pub input: InputRules,
    /// How it says that it is computing, if it can.
    pub busy: Option<BusyQuestion>,
    /// When a workspace is stopped in which it runs.
    pub policy: Policy,
}

/// How an app says that it is computing: by a field somewhere in a JSON answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyQuestion {
    /// Path of the answer, as the app sees it; a template.
    pub path: String,
    /// The field's name.
    pub field: String,
    /// What it says of something that computes.
    pub value: String,
}

/// Whether the upstream sees `/<app>/<user>` in front of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// It sees the path as the browser wrote it.
    Keep,
    /// It sees the rest alone, and its redirects are mapped back.
    Strip,
}

impl App {
    /// Fills `{user}`, `{prefix}` and `{secret}` into one of the app's templates.
    pub fn fill(template: &str, user: &str, prefix: &str, secret: &str) -> String {
        template
            .replace("{user}", user)
            .replace("{prefix}", prefix)
            .replace("{secret}", secret)
    }
}
