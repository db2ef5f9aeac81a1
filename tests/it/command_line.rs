//! The command line: what it says of a bad configuration, and what it can do to a world.

use std::{fs, process::Output};

use serde_json::Value;

use crate::world::{World, docker::container_of, shared};

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
