//! What an app prints, from the file in its container that [`super::app`] has it written to.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{Workspaces, state::Life};
use crate::{
    engine::EngineError,
    names::{AppName, Username},
};

/// Prints where in the log it begins to read, and from there at most 12,000 bytes in base64, of
/// which the engine keeps 16 KiB. Arguments: app, offset or `end`, lines before the end.
const READ: &str = r#"
log=/tmp/.vestibule-$1.log from=$2 most=12000
[ -f "$log" ] || exit 0
size=$(wc -c < "$log")
if [ "$from" = end ]; then
  length=$(tail -n "$3" "$log" | wc -c)
  [ "$length" -le "$most" ] || length=$most
  from=$((size - length))
fi
# A log shorter than it was is another one.
[ "$from" -le "$size" ] && [ "$from" -ge 0 ] || from=0
echo "$from"
tail -c "+$((from + 1))" "$log" | head -c "$most" | base64
"#;

/// From where on to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The last so many lines.
    Last(u32),
    /// Where an earlier reading ended.
    Offset(u64),
}

/// A piece of what an app printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Printed {
    /// The app.
    pub app: String,
    /// What it printed, to the end or as much as fits: at most 12,000 bytes.
    pub text: String,
    /// Where to read on from.
    pub next: u64,
}

/// What an app printed can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogsError {
    /// There is no such app.
    #[error("there is no app {0}; `apps` in proxy.toml lists what there is")]
    NoSuchApp(AppName),
    /// It is in the container, which doesn't run.
    #[error("the workspace of {0} isn't running; start it to read what its apps print")]
    NotRunning(Username),
    /// The app was never started in this container.
    #[error("{0} was not started in this workspace since it was made")]
    NeverStarted(AppName),
    /// The engine failed or refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Workspaces {
    /// Reads what an app of a running workspace printed.
    ///
    /// # Errors
    /// [`LogsError`].
    pub async fn logs(
        &self,
        user: &Username,
        app: &AppName,
        from: From,
    ) -> Result<Printed, LogsError> {
        if !self.0.apps.contains_key(app) {
            return Err(LogsError::NoSuchApp(app.clone()));
        }
        let workspace = self.known(user);
        let live = workspace.and_then(|workspace| match &workspace.read().life {
            Life::Running(live) => Some(live.clone()),
            _ => None,
        });
        let live = live.ok_or_else(|| LogsError::NotRunning(user.clone()))?;
        let (from, lines) = match from {
            From::Last(lines) => ("end".to_owned(), lines),
            From::Offset(offset) => (offset.to_string(), 0),
        };
        let lines = lines.to_string();
        let read = ["sh", "-c", READ, "read", app.as_str(), &from, &lines].map(str::to_owned);
        let output = self.0.engine.output(&live.id, &read).await?;
        let (text, next) = parse(&output).ok_or_else(|| LogsError::NeverStarted(app.clone()))?;
        Ok(Printed {
            app: app.to_string(),
            text,
            next,
        })
    }
}

/// The text that [`READ`] printed, and where it ends.
fn parse(output: &str) -> Option<(String, u64)> {
    let (from, encoded) = output.split_once('\n')?;
    let from: u64 = from.trim().parse().ok()?;
    let encoded: String = encoded.split_ascii_whitespace().collect();
    let mut bytes = STANDARD.decode(encoded).ok()?;
    // A character that isn't whole yet is left for the next time.
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    let next = from.checked_add(bytes.len() as u64)?;
    Some((String::from_utf8_lossy(&bytes).into_owned(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_was_cut_is_read_whole_the_next_time() {
        let piece = |from: u64, bytes: &[u8]| format!("{from}\n{}\n", STANDARD.encode(bytes));
        let whole = "née".as_bytes();
        assert_eq!(parse(&piece(7, &whole[..2])), Some(("n".to_owned(), 8)));
        assert_eq!(parse(&piece(8, &whole[1..])), Some(("ée".to_owned(), 11)));
        assert_eq!(
            parse(&piece(0, b"a\xffb")),
            Some(("a\u{fffd}b".to_owned(), 3))
        );
        assert_eq!(parse(&piece(5, b"")), Some((String::new(), 5)));
        assert_eq!(parse(""), None);
    }
}
