//! Records tests/traces anew: what people and idle tabs send, which src/workspace/activity is
//! tested against. Not run with the others: it takes a quarter of an hour.
//!
//! A trace is a text file, one event a line: milliseconds since the page was opened, then
//! `open N` or `close N` of a WebSocket, `frames N BYTES` (data frames of the client in a tenth
//! of a second), `control N`, `request METHOD PATH` (`navigate` behind it if a person went
//! there), `cpu MICROSECONDS` (used by the container so far), or `begin` and `end` of the scene.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{
    browser::{browser, logged_in},
    world::{World, docker::container_of},
};

/// How long a scene lasts.
const SECONDS: &str = "300";
const APPS: [&str; 2] = ["codespace", "jupyter"];
const PEOPLE: [&str; 7] = [
    "visible", "hidden", "asleep", "typing", "shell", "running", "reading",
];
const COMPUTERS: [&str; 2] = ["building", "computing"];

#[tokio::test]
#[ignore = "takes a quarter of an hour; records tests/traces anew"]
async fn record() {
    let settings = |cpus| {
        format!(
            "[log]\nfilter = \"info,traffic=trace\"\n[idle]\ntimeout = \"never\"\n\
             [workspace]\ncpus = {cpus}\nmax_starting = 2\n"
        )
    };
    let people = World::start(&settings("2")).await;
    let computers = World::start(&settings("0.3")).await;
    // One scene alone, or one app's: TRACES=jupyter-typing.
    let wanted = std::env::var("TRACES").unwrap_or_default();
    for (world, scenes) in [(&people, &PEOPLE[..]), (&computers, &COMPUTERS)] {
        for app in APPS {
            let scenes = scenes.iter().copied();
            let scenes = scenes.filter(|scene| format!("{app}-{scene}").contains(&wanted));
            play_all(world, app, scenes.collect()).await;
        }
    }
}

/// Plays scenes side by side, each with a workspace of its own.
async fn play_all(world: &World, app: &'static str, scenes: Vec<&'static str>) {
    let mut sessions = Vec::new();
    for scene in scenes {
        let user = world.user(&format!("{app}-{scene}"));
        let file = logged_in(world, &user).await;
        sessions.push((scene, user, file));
    }
    thread::scope(|scope| {
        for (scene, user, session) in sessions {
            scope.spawn(move || play(world, app, scene, &user, &session));
            // Not all in the same second: they share two cores.
            thread::sleep(Duration::from_secs(15));
        }
    });
}

fn play(world: &World, app: &str, scene: &str, user: &str, session: &Path) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let done = AtomicBool::new(false);
    let (output, cpu) = thread::scope(|scope| {
        let cpu = scope.spawn(|| watch_cpu(world, user, &done));
        let output = browser(world, user, "record.mjs")
            .env("SESSION", session)
            .envs([("APP", app), ("SCENE", scene), ("SECONDS", SECONDS)])
            .output()
            .unwrap();
        done.store(true, Ordering::Relaxed);
        (output, cpu.join().unwrap())
    });
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{app} {scene}: {}\n{said}", output.status);
    let mut events = events(world, user);
    events.extend(cpu);
    for mark in ["begin", "end"] {
        let at = said.lines().find_map(|line| line.strip_prefix(mark));
        let at = at.and_then(|at| at.trim().parse().ok());
        events.extend(at.map(|at| (at, mark.to_owned())));
    }
    events.sort_by_key(|(at, _)| *at);
    let first = events.first().map_or(0, |(at, _)| *at);
    let mut text = String::new();
    for (at, what) in events {
        writeln!(text, "{} {what}", at - first).unwrap();
    }
    let folder = root.join("tests/traces");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{app}-{scene}.txt")), text).unwrap();
}

/// The CPU a user's container has used, each second.
fn watch_cpu(world: &World, user: &str, done: &AtomicBool) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    let mut id = None;
    while !done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        id = id.or_else(|| world.docker.id(&container_of(user)));
        let cpu = id.as_ref().and_then(|id| cpu_of(id));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let at = u64::try_from(now.as_millis()).unwrap();
        seen.extend(cpu.map(|used| (at, format!("cpu {used}"))));
    }
    seen
}

/// Microseconds, by cgroup v1 or v2 under Docker's own driver.
fn cpu_of(id: &str) -> Option<u64> {
    let v1 = fs::read_to_string(format!("/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage"));
    if let Ok(text) = v1 {
        return text.trim().parse::<u64>().ok().map(|nanos| nanos / 1000);
    }
    let v2 = fs::read_to_string(format!("/sys/fs/cgroup/docker/{id}/cpu.stat")).ok()?;
    let line = v2.lines().find_map(|line| line.strip_prefix("usage_usec "));
    line?.trim().parse().ok()
}

/// What Vestibule saw of a user, as lines of a trace.
fn events(world: &World, user: &str) -> Vec<(u64, String)> {
    let mut sockets = HashMap::<String, usize>::new();
    let mut frames = HashMap::<(u64, usize), u64>::new();
    let mut events = Vec::new();
    for line in world.log().lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if line["target"] != "traffic" {
            continue;
        }
        let at = line["timestamp"].as_str().unwrap();
        let at = humantime::parse_rfc3339(at).unwrap();
        let at = u64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let id = line["id"].as_str().unwrap_or_default().to_owned();
        if let Some(path) = line["path"].as_str() {
            if line["user"] != user {
                continue;
            }
            let is_socket = line["is_socket"] == true;
            let method = line["method"].as_str().unwrap();
            let navigate = if line["navigation"] == true {
                " navigate"
            } else {
                ""
            };
            if is_socket {
                let number = sockets.len();
                sockets.insert(id, number);
                events.push((at, format!("open {number}")));
            } else {
                events.push((at, format!("request {method} {path}{navigate}")));
            }
            continue;
        }
        let Some(&number) = sockets.get(&id) else {
            continue;
        };
        match (line["opcode"].as_u64(), line["length"].as_u64()) {
            (Some(8..), _) => events.push((at, format!("control {number}"))),
            (Some(_), Some(length)) => {
                *frames.entry((at / 100 * 100, number)).or_default() += length;
            }
            _ => events.push((at, format!("close {number}"))),
        }
    }
    events.extend(
        frames
            .into_iter()
            .map(|((at, n), bytes)| (at, format!("frames {n} {bytes}"))),
    );
    events
}
