//! The command line: what it says of a bad configuration, and what it can do to a world.

use std::{fs, process::Output};

use serde_json::Value;

use crate::world::{SLOW, World, docker::container_of, send_signal, shared, until};

/// Runs a subcommand in a world.
fn run(world: &World, words: &[&str]) -> Output {
    world
        .vestibule()
        .args(words)
        .args(["--config", "proxy.toml"])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_broken_configuration_is_a_list_of_mistakes_and_exit_code_2() {
    let world = shared().await;
    let file = world.dir.join("broken.toml");
    let whole = fs::read_to_string(world.dir.join("proxy.toml")).unwrap();
    let short = world.dir.join("short.key");
    fs::write(&short, "too short").unwrap();
    let wrong = [
        ("public_url = ", "public_url = \"not a url\"\nnone = "),
        ("data_root = ", "data_rot = "),
        ("patience = \"1s\"", "patience = \"soon\""),
        ("algorithm = \"RS256\"", "algorithm = \"RS257\""),
    ];
    let mut broken = whole.clone();
    for (from, to) in wrong {
        assert!(broken.contains(from), "{from} in {whole}");
        broken = broken.replacen(from, to, 1);
    }
    broken = broken.replacen("shared.key", "short.key", 1);
    fs::write(&file, &broken).unwrap();
    for subcommand in ["check", "serve"] {
        let mut command = world.vestibule();
        let output = command
            .args([subcommand, "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for mistake in [
            "public_url",
            "data_rot",
            "data_root",
            "patience",
            "RS257",
            "short.key",
            "32",
        ] {
            assert!(
                said.contains(mistake),
                "{subcommand} does not say {mistake}: {said}"
            );
        }
        let line = 1 + broken
            .lines()
            .position(|line| line.contains("data_rot"))
            .unwrap();
        assert!(said.contains(&format!("broken.toml:{line}")), "{said}");
    }
    for broken in ["public_url = [", "", "\u{0}"] {
        fs::write(&file, broken).unwrap();
        let mut command = world.vestibule();
        let output = command
            .args(["check", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{broken:?}");
    }
    let missing = world
        .vestibule()
        .args(["check", "--config", "no.toml"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(run(&world, &["check"]).status.success());
}

#[tokio::test]
async fn workspaces_are_listed_stopped_started_and_removed() {
    let world = shared().await;
    let user = world.user("shell");
    let container = container_of(&user);
    let started = run(&world, &["start", &user, "recorder"]);
    assert!(started.status.success(), "{}", text(&started.stderr));
    assert!(world.docker.runs(&container));
    let listed = run(&world, &["ps", "--json"]);
    let all: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let ours = all
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["user"] == user.as_str());
    assert_eq!(ours.unwrap()["state"], "running", "{all}");
    assert!(text(&run(&world, &["ps"]).stdout).contains(&user));
    let stopped = run(&world, &["stop", &user]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert!(!world.docker.runs(&container));
    let removed = run(&world, &["rm", &user]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!(world.docker.id(&container), None);
    assert!(world.home(&user).is_dir(), "the files stay");
    let unknown = run(&world, &["stop", "not/a/name"]);
    assert!(!unknown.status.success() && !unknown.stderr.is_empty());
}

#[tokio::test]
async fn a_token_made_by_hand_opens_the_door() {
    let world = shared().await;
    let output = run(&world, &["token", &world.alice]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let token = text(&output.stdout).trim().to_owned();
    let path = format!("/recorder/{}/", world.alice);
    let answer = world.get(&path).bearer(&token).send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = shared().await;
    let mut sockets = 0;
    for entry in fs::read_dir(world.dir.join("state")).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        sockets += usize::from(path.extension().is_some_and(|end| end == "sock"));
    }
    assert_eq!(sockets, 1);
}

/// A row of `ps --json`.
fn users(output: &Output) -> Vec<String> {
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = all.as_array().unwrap().iter();
    rows.map(|row| row["user"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_verb_speaks_json_and_words() {
    let world = shared().await;
    let user = world.user("verbs");
    let json = |words: &[&str]| -> Value {
        let output = run(&world, &[words, &["--json"]].concat());
        let complaint = text(&output.stderr);
        assert!(output.status.success(), "{words:?}: {complaint}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let words = |words: &[&str]| {
        let output = run(&world, words);
        assert!(
            output.status.success(),
            "{words:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    assert_eq!(json(&["start", &user, "recorder"])["state"], "running");
    assert!(words(&["start", &user]).contains("is running"));
    assert_eq!(json(&["explain", &user])["user"], user.as_str());
    assert!(words(&["explain", &user]).contains(&user));
    assert!(json(&["keep", &user, "10m"])["until"].is_string());
    assert!(words(&["keep", &user, "10m"]).contains("is kept until"));
    assert!(
        users(&run(
            &world,
            &["ps", "--running", "--sort", "idle", "--json"]
        ))
        .contains(&user)
    );
    assert!(words(&["ps", "--sort", "state"]).contains(" workspaces: "));
    assert_eq!(json(&["revoke", &user])["ended"], 0);
    assert!(words(&["revoke", "--session", "none"]).contains("0 sessions"));
    assert!(json(&["token", &user])["token"].is_string());
    assert_eq!(json(&["stop", &user])["state"], "stopped");
    assert_eq!(json(&["rm", &user])["state"], "absent");
    for wrong in [
        vec!["revoke"],
        vec!["revoke", "a", "--session", "b"],
        vec!["token", "--admin", "--scope", "everything"],
        vec!["token", "--admin", "alice"],
        vec!["token", &user, "--scope", "status"],
        vec!["keep", &user, "soon"],
    ] {
        assert_eq!(run(&world, &wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn what_an_app_prints_is_shown_and_followed_and_obeyed_by_no_terminal() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };
    let world = shared().await;
    let container = container_of(&world.alice);
    let say = |what: &str| {
        let line = format!("printf '{what}\\n' >> /tmp/.vestibule-recorder.log");
        world.docker.shell(&container, &line).unwrap();
    };
    say("first-\\033[31mred\\033[2J");
    let shown = text(&run(&world, &["logs", &world.alice, "recorder", "-n", "1"]).stdout);
    assert_eq!(shown, "first-red\\u{1b}[2J\n");
    let all = run(&world, &["logs", &world.alice, "--json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all[0]["app"], "recorder");
    let mut follower = world
        .vestibule()
        .args(["logs", &world.alice, "recorder", "--follow", "-n", "1"])
        .args(["--config", "proxy.toml"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("first-"));
    say("second");
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    follower.kill().unwrap();
    follower.wait().unwrap();
    let nothing = run(&world, &["logs", &world.user("never"), "recorder"]);
    assert!(text(&nothing.stderr).contains("isn't running"));
}

#[tokio::test]
async fn an_admin_token_made_by_hand_opens_the_api() {
    let world = shared().await;
    let path = format!("/_vestibule/api/v1/workspaces/{}", world.alice);
    for (words, status) in [
        (vec!["token", "--admin"], 200),
        (
            vec![
                "token",
                "--admin",
                "--scope",
                "status,logs",
                "--lifetime",
                "1h",
            ],
            200,
        ),
        (vec!["token", "--admin", "--scope", "stop"], 403),
    ] {
        let output = run(&world, &words);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let token = text(&output.stdout).trim().to_owned();
        let answer = world.get(&path).bearer(&token).send().await;
        assert_eq!(answer.status.as_u16(), status, "{words:?}");
    }
    let long = run(&world, &["token", "--admin", "--lifetime", "2h"]);
    assert_eq!(long.status.code(), Some(1));
}

#[tokio::test]
async fn shells_are_told_how_to_complete_the_words() {
    let world = shared().await;
    for shell in ["bash", "zsh", "fish"] {
        let output = world.vestibule().args(["completion", shell]).output();
        let script = text(&output.unwrap().stdout);
        for word in ["explain", "revoke", "doctor", "completion"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let script = "source <(\"$0\" completion bash); COMP_WORDS=(vestibule exp); COMP_CWORD=1; \
        _vestibule vestibule exp vestibule; echo \"${COMPREPLY[@]}\"";
    let bash = std::process::Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_vestibule")])
        .output()
        .unwrap();
    assert_eq!(
        text(&bash.stdout).trim(),
        "explain",
        "{}",
        text(&bash.stderr)
    );
}

#[tokio::test]
async fn a_hang_up_cuts_nobody_off() {
    let world = World::start("").await;
    send_signal(world.pid(), "HUP");
    until("it says so", SLOW, async || world.log().contains("SIGHUP")).await;
    let health = world.get("/_vestibule/healthz").send().await;
    assert_eq!(health.status, 200);
}
