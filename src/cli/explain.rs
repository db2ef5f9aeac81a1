//! `vestibule explain`: why a workspace is alive and when it stops, for eyes.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::{show::harmless, table::aligned};

/// An explanation, the answer first and what it was reasoned from below.
pub fn text(told: &Value) -> String {
    let mut out = String::new();
    let apps = words(&told["apps"], ", ");
    let _ = write!(out, "{}: {}", word(&told["user"]), word(&told["state"]));
    if apps != "-" {
        let _ = write!(out, " ({apps})");
    }
    out.push('\n');
    let stop = &told["stop"];
    if stop.is_object() {
        let when = match stop["in_seconds"].as_u64() {
            Some(left) => format!("stops in {} ({})", time(left), word(&stop["at"])),
            None => "is not stopped as things stand".to_owned(),
        };
        let _ = writeln!(out, "{when}: {}", word(&stop["because"]));
    }
    if let Some(until) = told["kept_until"].as_str() {
        let _ = writeln!(out, "is kept until {}", harmless(until));
    }
    let last = &told["last_stop"];
    if last.is_object() {
        let (at, reason) = (word(&last["at"]), word(&last["reason"]));
        let _ = writeln!(
            out,
            "was last stopped {at} ({reason}): {}",
            word(&last["because"])
        );
    }
    section(&mut out, &clocks(&told["clocks"]));
    section(&mut out, &sockets(&told["sockets"]));
    computing(&mut out, told);
    policy(&mut out, &told["policy"]);
    out.trim_end().to_owned()
}

/// A table, if it has rows below its headings.
fn section<const N: usize>(out: &mut String, lines: &[[String; N]]) {
    if lines.len() > 1 {
        let _ = write!(out, "\n{}", aligned(lines));
    }
}

fn clocks(clocks: &Value) -> Vec<[String; 5]> {
    let heading = ["CLOCK", "HOLDS", "MOVED", "BY", "OPEN"].map(str::to_owned);
    let rows = clocks.as_array().into_iter().flatten().map(|clock| {
        [
            word(&clock["clock"]),
            if clock["holds"] == true { "yes" } else { "no" }.to_owned(),
            ago(&clock["seconds_ago"]),
            by(clock),
            word(&clock["open"]),
        ]
    });
    std::iter::once(heading).chain(rows).collect()
}

fn sockets(sockets: &Value) -> Vec<[String; 6]> {
    let heading = [
        "SOCKET",
        "FROM",
        "OPEN FOR",
        "BYTES UP",
        "BYTES DOWN",
        "INPUT",
    ];
    let rows = sockets.as_array().into_iter().flatten().map(|socket| {
        [
            word(&socket["app"]),
            word(&socket["client"]),
            socket["seconds"]
                .as_u64()
                .map_or_else(|| "-".to_owned(), time),
            word(&socket["bytes_up"]),
            word(&socket["bytes_down"]),
            ago(&socket["input_seconds_ago"]),
        ]
    });
    std::iter::once(heading.map(str::to_owned))
        .chain(rows)
        .collect()
}

fn computing(out: &mut String, told: &Value) {
    let cpu = &told["cpu"];
    if cpu.is_object() {
        let used = cpu["cpus"].as_f64();
        let used = used.map_or_else(
            || "unknown, so busy".to_owned(),
            |used| format!("{used:.3}"),
        );
        let window = cpu["window_seconds"].as_u64().map(time).unwrap_or_default();
        let _ = writeln!(
            out,
            "\nCPUs over {window}: {used}, busy from {} on ({})",
            word(&cpu["busy_from"]),
            ago(&cpu["seconds_ago"])
        );
    }
    for app in told["asked"].as_array().into_iter().flatten() {
        let says = if app["busy"] == true {
            "it computes"
        } else {
            "it is idle"
        };
        let _ = writeln!(
            out,
            "{} says {says} ({})",
            word(&app["app"]),
            ago(&app["seconds_ago"])
        );
    }
}

fn policy(out: &mut String, policy: &Value) {
    let limit = |key: &str| policy[key].as_u64().map(time);
    let timeout = limit("timeout_seconds");
    let timeout = timeout.map_or_else(
        || "never stopped".to_owned(),
        |timeout| {
            format!(
                "stopped after {timeout} without {}",
                words(&policy["holds"], " or ")
            )
        },
    );
    let _ = write!(out, "\npolicy: {timeout}");
    for (key, what) in [
        ("max_connected_seconds", "a connection holds for at most"),
        ("max_age_seconds", "runs for at most"),
    ] {
        if let Some(limit) = limit(key) {
            let _ = write!(out, "; {what} {limit}");
        }
    }
    out.push('\n');
}

/// What moved a clock: `socket of codespace from 192.0.2.7`.
fn by(clock: &Value) -> String {
    let mut text = word(&clock["kind"]);
    for (key, joint) in [("app", "of"), ("client", "from")] {
        if let Some(name) = clock[key].as_str() {
            let _ = write!(text, " {joint} {}", harmless(name));
        }
    }
    text
}

fn ago(seconds: &Value) -> String {
    match seconds.as_u64() {
        Some(0) => "just now".to_owned(),
        Some(seconds) => format!("{} ago", time(seconds)),
        None => "never".to_owned(),
    }
}

fn time(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => harmless(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn words(list: &Value, joint: &str) -> String {
    let words = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let words: Vec<String> = words.map(harmless).collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(joint)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_stands_first_and_its_reasons_below() {
        let told = json!({
            "user": "alice", "state": "running", "apps": ["codespace"],
            "clocks": [
                { "clock": "input", "holds": true, "open": 0, "seconds_ago": 90, "at": "x",
                  "kind": "socket", "app": "codespace", "client": "192.0.2.7" },
                { "clock": "busy", "holds": true, "open": 0, "seconds_ago": 0, "at": "x",
                  "kind": "cpu", "app": null, "client": null },
            ],
            "sockets": [{ "app": "codespace", "client": "192.0.2.7", "seconds": 3700,
                          "bytes_up": 2022, "bytes_down": 90210, "input_seconds_ago": null }],
            "cpu": { "cpus": 0.0123, "busy_from": 0.1, "window_seconds": 60, "seconds_ago": 5 },
            "asked": [{ "app": "jupyter", "busy": false, "seconds_ago": 7 }],
            "policy": { "timeout_seconds": 1800, "holds": ["input", "busy"],
                        "max_connected_seconds": null, "max_age_seconds": 86400 },
            "kept_until": null,
            "stop": { "in_seconds": 1710, "at": "2026-01-01T00:00:00Z", "held_by": "input",
                      "because": "a person did something last 1m 30s ago", "notice": false },
            "last_stop": { "at": "2025-12-31T00:00:00Z", "reason": "user", "because": "asked for" },
        });
        assert_eq!(
            text(&told),
            "alice: running (codespace)\n\
             stops in 28m 30s (2026-01-01T00:00:00Z): a person did something last 1m 30s ago\n\
             was last stopped 2025-12-31T00:00:00Z (user): asked for\n\
             \n\
             CLOCK  HOLDS  MOVED       BY                                  OPEN\n\
             input  yes    1m 30s ago  socket of codespace from 192.0.2.7  0\n\
             busy   yes    just now    cpu                                 0\n\
             \n\
             SOCKET     FROM       OPEN FOR   BYTES UP  BYTES DOWN  INPUT\n\
             codespace  192.0.2.7  1h 1m 40s  2022      90210       never\n\
             \n\
             CPUs over 1m: 0.012, busy from 0.1 on (5s ago)\n\
             jupyter says it is idle (7s ago)\n\
             \n\
             policy: stopped after 30m without input or busy; runs for at most 1day"
        );
    }
}
