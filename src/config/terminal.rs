//! The `[terminal]` table.

use super::{Terminal, section::Section, values};

/// Reads `[terminal]`.
pub fn terminal(section: Section<'_>) -> Option<Terminal> {
    let enabled = section.get("enabled", values::yes_or_no);
    let tmux = section.get("tmux", values::yes_or_no);
    section.finish();
    enabled.unwrap_or(true).then(|| Terminal {
        tmux: tmux.unwrap_or(true),
    })
}
