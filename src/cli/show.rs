//! Text for eyes, made of the JSON that the proxy answers.

use std::fmt::Write as _;

use serde_json::Value;

/// A doctor's report: what is wrong stands below the others, where it is seen.
pub fn findings(report: &Value) -> String {
    let mut findings: Vec<&Value> = report["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let text = |value: &Value| harmless(value.as_str().unwrap_or_default());
    let rank = |finding: &&Value| match finding["state"].as_str() {
        Some("ok") => 0,
        Some("warn") => 1,
        _ => 2,
    };
    findings.sort_by_key(rank);
    let width = findings
        .iter()
        .map(|finding| text(&finding["check"]).len())
        .max();
    let width = width.unwrap_or_default();
    let mut out = String::new();
    for finding in findings {
        let (state, check) = (text(&finding["state"]), text(&finding["check"]));
        let _ = writeln!(out, "{state:4}  {check:width$}  {}", text(&finding["seen"]));
        if let Some(todo) = finding["do"].as_str() {
            let _ = writeln!(out, "{:4}  {:width$}  -> {}", "", "", harmless(todo));
        }
    }
    out.trim_end().to_owned()
}

/// A text of somebody else without what a terminal would obey: colours go, and every other
/// control character but line ends and tabs is spelled out.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = without_colour(rest) {
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if rest.starts_with('\n') => {}
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// What follows a sequence that sets colours (ECMA-48 8.3.117), if `text` begins with one.
fn without_colour(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    rest[end..].strip_prefix('m')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_app_can_not_make_an_operators_terminal_obey() {
        for (text, shown) in [
            ("plain\n\tline\r\n", "plain\n\tline\n"),
            ("\u{1b}[32mI\u{1b}[0m née", "I née"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[2J\u{1b}", "\\u{1b}[2J\\u{1b}"),
            ("a\rb\u{9b}31m", "a\\rb\\u{9b}31m"),
        ] {
            assert_eq!(harmless(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_stands_last_with_what_to_do() {
        let report = json!({ "state": "fail", "findings": [
            { "check": "image", "state": "fail", "seen": "there is none", "do": "build it" },
            { "check": "clock", "state": "ok", "seen": "just now", "do": null },
        ]});
        assert_eq!(
            findings(&report),
            "ok    clock  just now\nfail  image  there is none\n             -> build it"
        );
    }
}
