//! Shells and commands.

use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Doors, text};
use crate::world::{SLOW, docker::container_of, until};

#[tokio::test]
async fn a_command_has_its_input_both_outputs_and_its_exit_code() {
    let doors = Doors::open().await;
    let line = "id -un; pwd; cat; echo wrong >&2; exit 7";
    let output = doors.ssh_with(&[], line, b"words\0\xff").await;
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"user\n/home/user\nwords\0\xff");
    assert_eq!(output.stderr, b"wrong\n");

    let output = doors.ssh("kill -TERM $$").await;
    assert_eq!(output.status.code(), Some(255), "exit-signal");
    assert_eq!(doors.ssh("no-such-program").await.status.code(), Some(127));
    let audited = doors.world.audit("ssh_open");
    assert_eq!(audited.len(), 3, "{audited:?}");
    assert_eq!(audited[0]["user"], doors.world.alice.as_str());
    until("each end is audited", SLOW, async || {
        doors.world.audit("ssh_close").len() == 3
    })
    .await;
}

#[tokio::test]
async fn a_shell_has_a_terminal_of_the_clients_size_and_kind() {
    let doors = Doors::open().await;
    let line =
        "test -t 0 && test -t 1 && stty size && echo $TERM-$LC_WORDS-$LD_PRELOAD && exit 5\n";
    let mut command = doors.command("ssh");
    command
        .args(["-tt", "-o", "SendEnv=LC_* LD_PRELOAD", "workspace"])
        .env("TERM", "screen")
        .env("LC_WORDS", "here")
        .env("LD_PRELOAD", "")
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(line.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("screen-here-"), "{output:?}");

    let output = doors.ssh_with(&["-T"], "", b"echo $0; exit 4\n").await;
    assert_eq!(text(&output.stdout), "-bash");
    assert_eq!(output.status.code(), Some(4));
}

#[tokio::test]
async fn a_full_screen_program_is_drawn_and_follows_the_size() {
    let doors = Doors::open().await;
    let (config, key) = (doors.path("ssh_config"), doors.path("id"));
    let socket = doors.path("tmux.sock");
    let tmux = async |args: &[&str]| {
        let mut command = tokio::process::Command::new("tmux");
        command.arg("-S").arg(&socket).args(args);
        text(&doors.run(command).await.stdout)
    };
    let start = format!(
        "ssh -tt -F {} -i {} workspace",
        config.display(),
        key.display()
    );
    tmux(&[
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        "90",
        "-y",
        "33",
        &start,
    ])
    .await;
    let screen = async || tmux(&["capture-pane", "-p"]).await;
    until("a prompt", SLOW, async || screen().await.contains('$')).await;
    tmux(&["send-keys", "printf 'size %s %s\\n' $(stty size)", "Enter"]).await;
    until("its size", SLOW, async || {
        screen().await.contains("size 33 90")
    })
    .await;
    tmux(&["resize-window", "-x", "70", "-y", "20"]).await;
    tmux(&[
        "send-keys",
        "clear; printf 'size %s %s\\n' $(stty size)",
        "Enter",
    ])
    .await;
    until("its new size", SLOW, async || {
        screen().await.contains("size 20 70")
    })
    .await;
    tmux(&["send-keys", "vi -u NONE /etc/passwd", "Enter"]).await;
    until("vi's last line", SLOW, async || {
        let screen = screen().await;
        screen.starts_with("root:") && screen.lines().count() == 20
    })
    .await;
    tmux(&["send-keys", ":q!", "Enter"]).await;
    until("vi has gone", SLOW, async || {
        let screen = screen().await;
        screen.trim_end().ends_with('$') && screen.contains("vi -u NONE")
    })
    .await;
    tmux(&["send-keys", "sleep 1000", "Enter"]).await;
    let container = container_of(&doors.world.alice);
    let sleeps = || doors.world.docker.processes(&container, "sleep 1000").len();
    until("it sleeps", SLOW, async || sleeps() == 1).await;
    tmux(&["send-keys", "C-c"]).await;
    until("Ctrl-C ends it", SLOW, async || sleeps() == 0).await;
    tmux(&["send-keys", "C-d"]).await;
    until("Ctrl-D ends the shell", SLOW, async || {
        tmux(&["list-sessions"]).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_lost_client_ends_its_programs_and_what_detached_lives_on() {
    let doors = Doors::open().await;
    let container = container_of(&doors.world.alice);
    let running = |what: &str| doors.world.docker.processes(&container, what).len();
    doors.say("tmux new-session -d 'sleep 7001'").await;
    let line = "nohup sleep 7002 > /dev/null 2>&1 < /dev/null & sleep 7003 & sleep 7004";
    let mut child = doors
        .command("ssh")
        .args(["workspace", line])
        .spawn()
        .unwrap();
    let mut terminal = doors.command("ssh");
    terminal.args(["-tt", "workspace", "trap '' TERM; sleep 7005"]);
    let mut terminal = terminal.spawn().unwrap();
    until("all of them run", SLOW, async || {
        (7001..=7005).all(|n| running(&format!("sleep {n}")) >= 1)
    })
    .await;
    child.kill().await.unwrap();
    terminal.kill().await.unwrap();
    until("what hung on the clients has gone", SLOW, async || {
        (7003..=7005).all(|n| running(&format!("sleep {n}")) == 0)
    })
    .await;
    assert_eq!(running("sleep 7002"), 1, "nohup");
    assert!(running("sleep 7001") >= 1, "tmux");

    // And if it is us who go, without a word.
    let mut child = doors
        .command("ssh")
        .args(["workspace", "sleep 7006"])
        .spawn()
        .unwrap();
    until("it runs", SLOW, async || running("sleep 7006") >= 1).await;
    doors.world.end("KILL").await;
    until("it has gone with us", SLOW, async || {
        running("sleep 7006") == 0
    })
    .await;
    child.wait().await.unwrap();
}

#[tokio::test]
async fn a_killed_container_ends_the_connection_and_the_next_one_starts_it_again() {
    let doors = Doors::open().await;
    let container = container_of(&doors.world.alice);
    let mut command = doors.command("ssh");
    command.args(["workspace", "echo here; sleep 1000"]);
    let mut child = command.spawn().unwrap();
    let mut first = [0; 4];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .await
        .unwrap();
    doors.world.docker.run(&["kill", &container]);
    let output = crate::world::within("the client ends", SLOW, child.wait_with_output()).await;
    assert_eq!(output.unwrap().status.code(), Some(255));
    assert_eq!(doors.say("echo back").await, "back");
}
