//! Clients that are not OpenSSH: paramiko and `AsyncSSH`; and what an auditor says.

use std::process::Stdio;

use tokio::process::Command;

use super::{Doors, text};

/// A program of the clients' environment (tests/setup.sh ssh).
fn program(name: &str) -> Command {
    let bin = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ssh-venv/bin");
    let mut command = Command::new(format!("{bin}/{name}"));
    command.kill_on_drop(true);
    command
}

/// A script that is told where it may log in, as whom and by which key.
pub fn script(doors: &Doors, script: &str) -> Command {
    let mut command = program("python");
    command
        .args(["-c", script, &doors.port.to_string(), &doors.world.alice])
        .arg(doors.path("id"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs such a script, which says at its end that it has seen all.
pub async fn python(doors: &Doors, words: &str) {
    let output = doors.run(script(doors, words)).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "all seen");
}

#[tokio::test]
async fn paramiko_does_what_openssh_does() {
    let doors = Doors::open().await;
    python(&doors, include_str!("paramiko.py")).await;
}

#[tokio::test]
async fn asyncssh_does_what_openssh_does_with_many_channels_at_once() {
    let doors = Doors::with("channels = 64").await;
    python(&doors, include_str!("asyncssh.py")).await;
    let log = doors.world.log();
    assert!(!log.contains("forged"), "{log}");
}

#[tokio::test]
async fn an_auditor_finds_no_weak_algorithm_and_strict_key_exchange() {
    let doors = Doors::with("rsa_host_key = true").await;
    let mut command = program("ssh-audit");
    command.args(["--skip-rate-test", "--level=warn", "--no-colors", "-p"]);
    command.args([&doors.port.to_string(), "127.0.0.1"]);
    let said = text(&doors.run(command).await.stdout);
    // What every server has that OpenSSH before 9.9 can come to: it knows no key exchange of ours
    // against quantum computers, which is the first on our list.
    let known = "[warn] does not provide protection against post-quantum attacks";
    let found = said
        .lines()
        .filter(|line| line.contains("[fail]") || line.contains("[warn]"));
    let found: Vec<_> = found.filter(|line| !line.ends_with(known)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(
        said.contains("properly supports the strict key exchange"),
        "{said}"
    );
}
