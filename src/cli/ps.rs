//! `vestibule ps`: all workspaces, in the order that is asked for.

use std::{cmp::Reverse, collections::BTreeMap, io, io::Write as _};

use clap::ValueEnum;
use http::Method;
use serde_json::Value;

use super::{BoxError, Json, table, verbs::ask};
use crate::config::Config;

/// What to list.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// In which order.
    #[arg(long, value_enum, default_value = "user")]
    sort: Sort,
    /// Only those that run.
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    json: Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// By name.
    User,
    /// Running ones first.
    State,
    /// The quietest first.
    Idle,
    /// The next to be stopped first.
    Stops,
    /// Those with most open first.
    Open,
}

pub fn run(config: &Config, arguments: &Arguments) -> Result<(), BoxError> {
    let mut list = ask(config, Method::GET, "/v1/workspaces", &Value::Null)?;
    if let Some(rows) = list.as_array_mut() {
        if arguments.running {
            rows.retain(|row| row["state"] == "running");
        }
        sort(rows, arguments.sort);
    }
    let text = if arguments.json.json {
        format!("{list:#}\n")
    } else {
        format!("{}{}\n", table::workspaces(&list), summary(&list))
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `ps | head` has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Sorts rows that come sorted by name, which stays the order of equals.
fn sort(rows: &mut [Value], by: Sort) {
    let number = |row: &Value, key: &str| row[key].as_u64();
    match by {
        Sort::User => {}
        Sort::State => rows.sort_by_key(|row| rank(row["state"].as_str().unwrap_or_default())),
        Sort::Idle => rows.sort_by_key(|row| Reverse(number(row, "idle_seconds"))),
        Sort::Stops => {
            rows.sort_by_key(|row| number(row, "stops_in_seconds").unwrap_or(u64::MAX));
        }
        Sort::Open => rows.sort_by_key(|row| Reverse(number(row, "open"))),
    }
}

fn rank(state: &str) -> usize {
    let order = [
        "running", "starting", "stopping", "paused", "failed", "stopped",
    ];
    let place = order.iter().position(|known| *known == state);
    place.unwrap_or(order.len())
}

/// How many there are of each state.
fn summary(list: &Value) -> String {
    let rows = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut states: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for row in rows {
        let state = row["state"].as_str().unwrap_or_default();
        *states.entry((rank(state), state)).or_default() += 1;
    }
    let states = states
        .iter()
        .map(|((_, state), count)| format!("{count} {state}"));
    let states = states.collect::<Vec<_>>().join(", ");
    match rows.len() {
        0 => "no workspaces".to_owned(),
        1 => format!("1 workspace: {states}"),
        many => format!("{many} workspaces: {states}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_in_the_order_that_was_asked_for() {
        let rows = [
            json!({ "user": "a", "state": "stopped", "open": 0, "idle_seconds": null, "stops_in_seconds": null }),
            json!({ "user": "b", "state": "running", "open": 1, "idle_seconds": 5, "stops_in_seconds": 95 }),
            json!({ "user": "c", "state": "running", "open": 7, "idle_seconds": 50, "stops_in_seconds": 50 }),
        ];
        for (by, expected) in [
            (Sort::User, "abc"),
            (Sort::State, "bca"),
            (Sort::Idle, "cba"),
            (Sort::Stops, "cba"),
            (Sort::Open, "cba"),
        ] {
            let mut rows = rows.to_vec();
            sort(&mut rows, by);
            let users = rows.iter().filter_map(|row| row["user"].as_str());
            assert_eq!(users.collect::<String>(), expected, "{by:?}");
        }
        assert_eq!(summary(&json!(rows)), "3 workspaces: 2 running, 1 stopped");
        assert_eq!(summary(&json!([])), "no workspaces");
    }
}
