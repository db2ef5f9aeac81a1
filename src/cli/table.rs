//! Tables for eyes, made of the JSON that the proxy answers.

use serde_json::Value;

const COLUMNS: [(&str, &str); 9] = [
    ("USER", "user"),
    ("STATE", "state"),
    ("APPS", "apps"),
    ("OPEN", "open"),
    ("SSH", "ssh"),
    ("IDLE", "idle_seconds"),
    ("STOPS IN", "stops_in_seconds"),
    ("HELD BY", "held_by"),
    ("UPDATE", "update_pending"),
];

/// Rows that a screen shows at once: above a longer list, the headings have scrolled away.
const SCREEN: usize = 40;

/// One line for each workspace, under a line of headings; below a long list they stand again.
pub fn workspaces(list: &Value) -> String {
    let heading = COLUMNS.map(|(title, _)| title.to_owned());
    let rows = list.as_array().into_iter().flatten();
    let rows = rows.map(|row| COLUMNS.map(|(_, key)| cell(key, &row[key])));
    let mut lines: Vec<_> = std::iter::once(heading.clone()).chain(rows).collect();
    if lines.len() > SCREEN {
        lines.push(heading);
    }
    aligned(&lines)
}

/// Lines of cells, each column as wide as its widest cell.
pub fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let mut width = [0; N];
    for line in lines {
        for (width, cell) in width.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(width)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn cell(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            items.collect::<Vec<_>>().join(",")
        }
        Value::Number(seconds) if key.ends_with("_seconds") => {
            let seconds = std::time::Duration::from_secs(seconds.as_u64().unwrap_or_default());
            humantime::format_duration(seconds).to_string()
        }
        Value::Number(number) => number.to_string(),
        Value::Bool(true) => "pending".to_owned(),
        Value::Bool(false) | Value::Null | Value::Object(_) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn five_thousand_rows_line_up_and_end_with_their_headings() {
        let row = |number| json!({ "user": format!("user-{number}"), "state": "stopped" });
        let list: Vec<Value> = (0..5000).map(row).collect();
        let table = workspaces(&json!(list));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!((lines.len(), lines[0]), (5002, lines[5001]));
        let state = lines[0].find("STATE").unwrap();
        assert!(
            lines[1..5001]
                .iter()
                .all(|line| line[state..].starts_with("stopped"))
        );
    }

    #[test]
    fn a_table_lines_up() {
        let list = json!([{
            "user": "alice", "state": "running", "apps": ["codespace", "jupyter"], "open": 2,
            "ssh": 1, "idle_seconds": 90, "stops_in_seconds": null, "held_by": "connected",
            "update_pending": true,
        }]);
        assert_eq!(
            workspaces(&list),
            "USER   STATE    APPS               OPEN  SSH  IDLE    STOPS IN  HELD BY    UPDATE\n\
             alice  running  codespace,jupyter  2     1    1m 30s  -         connected  pending\n"
        );
    }
}
