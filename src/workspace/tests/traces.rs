//! What people and idle tabs really sent (tests/traces, recorded by tests/it/traces.rs), played
//! to the judges of the real thing.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Dir;
use crate::{
    config::{self, Config},
    names::AppName,
    workspace::{
        Activity, Kind, Mover, Visit,
        activity::OpenSocket,
        busy::Load,
        clocks::{Clocks, millis},
        pace::Pace,
    },
};

/// What is to be seen in a scene, between its begin and its end.
struct Scene {
    name: &'static str,
    /// Whether a person does something all the while; of one that computes all the while it
    /// doesn't matter.
    input: bool,
    /// Whether something computes all the while.
    busy: bool,
}

const fn scene(name: &'static str, input: bool, busy: bool) -> Scene {
    Scene { name, input, busy }
}

const SCENES: [Scene; 18] = [
    scene("codespace-visible", false, false),
    scene("codespace-hidden", false, false),
    scene("codespace-asleep", false, false),
    scene("codespace-typing", true, false),
    scene("codespace-shell", true, false),
    scene("codespace-running", true, false),
    scene("codespace-reading", true, false),
    scene("codespace-building", false, true),
    scene("codespace-computing", false, true),
    scene("jupyter-visible", false, false),
    scene("jupyter-hidden", false, false),
    scene("jupyter-asleep", false, false),
    scene("jupyter-typing", true, false),
    scene("jupyter-shell", true, false),
    scene("jupyter-running", true, false),
    // Reading a notebook sends nothing that an idle tab doesn't: see docs/idle.md.
    scene("jupyter-reading", false, false),
    scene("jupyter-building", false, true),
    scene("jupyter-computing", false, true),
];

/// Longest that a person may seem to do nothing, and that opening an IDE may echo: JupyterLab
/// saves a notebook two minutes after it was opened.
const PATIENCE: u64 = 150_000;
const ECHO: u64 = 150_000;

/// What was seen: times in milliseconds since the scene began.
#[derive(Debug, Default)]
struct Seen {
    length: u64,
    input: Vec<u64>,
    /// Ends of busy windows, and of all.
    busy: Vec<u64>,
    windows: Vec<u64>,
    most_cpu: f64,
    least_cpu: f64,
}

async fn play(name: &str, config: &Config) -> Seen {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/traces/{name}.txt"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let app = AppName::parse(name.split_once('-').unwrap().0).unwrap();
    let (rules, pace) = (&config.apps[&app].input, Pace::of(config));
    let (began, clocks) = (Instant::now(), Arc::new(Clocks::default()));
    let visit = |kind, input| {
        let by = Mover {
            kind,
            ..Mover::default()
        };
        Visit {
            by,
            input,
            at: Instant::now(),
        }
    };
    let mut sockets = HashMap::<&str, OpenSocket>::new();
    let mut load = Load::default();
    let (mut measured, mut start) = (Instant::now(), None);
    let (mut inputs, mut seen) = (
        Vec::new(),
        Seen {
            least_cpu: f64::MAX,
            ..Seen::default()
        },
    );
    for line in text.lines() {
        let mut words = line.split(' ');
        let at: u64 = words.next().unwrap().parse().unwrap();
        sleep_until(began + Duration::from_millis(at)).await;
        let before = clocks.input.hand().at;
        let words: Vec<&str> = words.collect();
        match words[..] {
            ["open", socket] => {
                let open = OpenSocket::begin(&clocks, visit(Kind::Socket, false), pace.settle);
                sockets.insert(socket, open);
            }
            ["close", socket] => drop(sockets.remove(socket)),
            ["frames", socket, bytes] => {
                if let Some(open) = sockets.get_mut(socket) {
                    open.client_data(bytes.parse().unwrap());
                }
            }
            ["request", method, path, ref navigate @ ..] => {
                let navigation = !navigate.is_empty();
                let input = rules.is_input(&method.parse().unwrap(), path, navigation);
                drop(Activity::begin(&clocks, visit(Kind::Request, input)));
            }
            ["cpu", used] if measured.elapsed() >= pace.window => {
                measured = Instant::now();
                let used = Some(Duration::from_micros(used.parse().unwrap()));
                let busy = load.measured(&"it".into(), used, config.idle.busy_cpu_millis);
                // Whole windows of the scene alone.
                let since = start.map(|start| at.saturating_sub(start));
                if let Some(at) = since.filter(|at| *at > millis(pace.window)) {
                    let cpu = load.cpu.and_then(|cpu| cpu.cpus).unwrap();
                    seen.windows.push(at);
                    seen.busy.extend(busy.then_some(at));
                    seen.most_cpu = seen.most_cpu.max(cpu);
                    seen.least_cpu = seen.least_cpu.min(cpu);
                }
            }
            ["cpu" | "control", _] => {}
            ["begin"] => start = Some(at),
            ["end"] => {
                seen.length = at - start.unwrap();
                break;
            }
            _ => panic!("{name}: {line}"),
        }
        if clocks.input.hand().at > before {
            inputs.push(at);
        }
    }
    let start = start.unwrap();
    let inputs = inputs.into_iter().filter(|at| *at >= start);
    seen.input = inputs.map(|at| at - start).collect();
    seen
}

#[tokio::test(start_paused = true)]
async fn people_and_computations_are_seen_and_idle_tabs_are_not() {
    let config: config::Config = Dir::new().config("");
    println!("scene                 input  longest without  last  busy windows  CPUs");
    let mut wrong = Vec::new();
    for Scene { name, input, busy } in SCENES {
        let seen = play(name, &config).await;
        let ends = seen.input.iter().copied().chain([seen.length]);
        let gaps = ends.scan(0, |last, at| Some(at - std::mem::replace(last, at)));
        let gap = gaps.max().unwrap();
        let last = seen.input.last().copied().unwrap_or_default();
        println!(
            "{name:<20} {:>6} {:>14} s {:>3} s {:>6} of {:<4}  {:.3} to {:.3}",
            seen.input.len(),
            gap / 1000,
            last / 1000,
            seen.busy.len(),
            seen.windows.len(),
            seen.least_cpu,
            seen.most_cpu,
        );
        let right = [
            (
                busy || if input { gap < PATIENCE } else { last < ECHO },
                "input",
            ),
            (
                if busy {
                    seen.busy == seen.windows
                } else {
                    input || seen.busy.is_empty()
                },
                "busy",
            ),
            (seen.length > 290_000 && seen.windows.len() > 2, "length"),
        ];
        for (right, what) in right {
            if !right {
                wrong.push(format!("{name}: {what}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
