//! How connections begin to fail and come to their end, and what is told of them.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Doors, noise, text};
use crate::world::{Docker, SLOW, docker::container_of, tap::Tap, until, within};

#[tokio::test]
async fn a_start_that_fails_says_why_and_spoils_no_protocol() {
    let doors = Doors::with("\n[workspace]\nimage = \"no-such-image:none\"").await;
    for line in ["echo in", ""] {
        let output = doors.ssh_with(&[], line, b"").await;
        assert_eq!(output.status.code(), Some(255), "{output:?}");
        assert_eq!(output.stdout, b"");
        assert!(text(&output.stderr).contains("no-such-image"), "{output:?}");
    }
    let mut sftp = doors.command("sftp");
    sftp.arg("workspace");
    let output = doors.run(sftp).await;
    assert!(text(&output.stderr).contains("no-such-image"), "{output:?}");
}

#[tokio::test]
async fn who_waits_for_a_start_at_a_terminal_sees_it_and_no_command_does() {
    let (doors, tap) = tapped().await;
    tap.freeze(true);
    let mut terminal = doors.command("ssh");
    terminal.args(["-tt", "workspace"]).stdin(Stdio::piped());
    let mut terminal = terminal.spawn().unwrap();
    let command = doors
        .command("ssh")
        .args(["workspace", "echo in"])
        .spawn()
        .unwrap();
    let mut said = String::new();
    within("the seconds are counted", SLOW, async {
        while !said.contains("Starting your workspace ... 2 s") {
            let mut piece = [0; 1000];
            let length = terminal
                .stdout
                .as_mut()
                .unwrap()
                .read(&mut piece)
                .await
                .unwrap();
            said.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    })
    .await;
    tap.freeze(false);
    let mut stdin = terminal.stdin.take().unwrap();
    stdin.write_all(b"exit 6\n").await.unwrap();
    let ended = within("the shell ends", SLOW, terminal.wait())
        .await
        .unwrap();
    assert_eq!(ended.code(), Some(6));
    let output = within("it ends", SLOW, command.wait_with_output())
        .await
        .unwrap();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"in\n"[..], &b""[..]));
    assert_eq!(doors.world.audit("start").len(), 1, "one start for both");
    tap.go_away();
}

#[tokio::test]
async fn an_engine_that_goes_away_ends_connections_and_is_found_again() {
    let (doors, tap) = tapped().await;
    let mut command = doors.command("ssh");
    command.args(["workspace", "echo in; sleep 1000"]);
    let mut child = command.spawn().unwrap();
    let mut first = [0; 3];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut first);
    within("it runs", SLOW, read).await.unwrap();
    tap.go_away();
    let output = within("the client ends", SLOW, child.wait_with_output()).await;
    assert_eq!(output.unwrap().status.code(), Some(255));
    tap.come_back();
    until("it is found again", SLOW, async || {
        doors.ssh("true").await.status.success()
    })
    .await;
    tap.go_away();
}

/// Doors that reach their engine through a tap.
async fn tapped() -> (Doors, Tap) {
    let name = format!("vestibule-tap-{}", vestibule::secret::random_id());
    let path = std::env::temp_dir().join(name);
    let engine = format!("\n[engine]\nsocket = \"{}\"", path.display());
    let tap = Tap::open(path, Docker::of_this_machine().socket());
    (Doors::with(&engine).await, tap)
}

#[tokio::test]
async fn who_only_knocks_takes_no_more_than_their_places() {
    let doors = Doors::with("unauthenticated_per_address = 3").await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(("127.0.0.1", doors.port)).await.unwrap();
        let mut hello = [0; 8];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"SSH-2.0-");
        silent.push(stream);
    }
    // One of them has even begun to exchange keys.
    silent[0].write_all(b"SSH-2.0-Half\r\n\0\0").await.unwrap();
    assert_eq!(doors.ssh("true").await.status.code(), Some(255));
    let denied = doors.world.audit("ssh_denied");
    assert_eq!(denied[0]["reason"], "too-many-connections", "{denied:?}");
    silent.pop();
    until("there is a place again", SLOW, async || {
        doors.ssh("true").await.status.success()
    })
    .await;
    // Whoever is in takes no such place.
    let mut inside = doors
        .command("ssh")
        .args(["workspace", "sleep 1000"])
        .spawn()
        .unwrap();
    until("it is in", SLOW, async || {
        doors.world.audit("ssh_open").len() >= 2
    })
    .await;
    assert!(doors.ssh("true").await.status.success());
    inside.kill().await.unwrap();
}

#[tokio::test]
async fn what_happens_by_ssh_is_told_by_explain_ps_and_metrics() {
    let doors = Doors::open().await;
    let alice = &doors.world.alice;
    let ask = |verb: &str| -> Value {
        let mut command = doors.world.vestibule();
        let output = command
            .args([verb, "--json"])
            .args((verb != "ps").then_some(alice))
            .output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap()
    };
    let mut child = doors.command("ssh");
    child.args(["workspace", "cat"]).stdin(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"words").await.unwrap();
    let mut words = [0; 5];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut words);
    within("words", SLOW, read).await.unwrap();
    let told = ask("explain");
    for clock in ["input", "busy", "connected"] {
        let told = told["clocks"].as_array().unwrap().iter();
        let clock = told.clone().find(|told| told["clock"] == clock).unwrap();
        assert_eq!(clock["kind"], "ssh", "{clock}");
        assert_eq!(clock["client"], "127.0.0.1", "{clock}");
    }
    let channels = || {
        let all = ask("ps");
        let mut rows = all.as_array().unwrap().iter();
        let row = rows.find(|row| row["user"] == **alice);
        row.unwrap()["ssh"].clone()
    };
    assert_eq!(channels(), 1);
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
    until("its end is told", SLOW, async || channels() == 0).await;
}

#[tokio::test]
async fn a_stop_lets_connections_end_and_tells_the_rest() {
    let doors = Doors::open().await;
    doors.say("mkfifo ~/go").await;
    let start = |line: &str| {
        let mut command = doors.command("ssh");
        command.args(["workspace", line]).spawn().unwrap()
    };
    let (short, long) = (start("read < ~/go; echo done"), start("sleep 1000"));
    until("both are in", SLOW, async || {
        let container = container_of(&doors.world.alice);
        doors.world.docker.processes(&container, "sleep 1000").len() == 1
    })
    .await;
    let (ended, short, long) = tokio::join!(
        doors.world.end("TERM"),
        async {
            until("it stops", SLOW, async || {
                doors.world.log().contains("stopping")
            })
            .await;
            doors
                .world
                .docker
                .shell(&container_of(&doors.world.alice), "echo > /home/user/go")
                .unwrap();
            within("it ends by itself", SLOW, short.wait_with_output())
                .await
                .unwrap()
        },
        within("it is told", SLOW, long.wait_with_output()),
    );
    assert!(ended.success());
    assert_eq!(
        (text(&short.stdout).as_str(), short.status.code()),
        ("done", Some(0))
    );
    let long = long.unwrap();
    assert_eq!(long.status.code(), Some(255));
    assert!(text(&long.stderr).contains("restarting"), "{long:?}");
}

#[tokio::test]
async fn a_container_killed_in_the_middle_of_an_upload_ends_the_client() {
    let doors = Doors::open().await;
    std::fs::write(doors.path("big"), noise(64 << 20)).unwrap();
    std::fs::write(doors.path("batch"), "put big\n".repeat(50)).unwrap();
    let mut sftp = doors.command("sftp");
    sftp.args(["-b", "batch", "workspace"]);
    let sftp = sftp.spawn().unwrap();
    let there = doors.world.home(&doors.world.alice).join("big");
    until("it is under way", SLOW, async || {
        std::fs::metadata(&there).is_ok_and(|there| there.len() > 1 << 20)
    })
    .await;
    doors
        .world
        .docker
        .run(&["kill", &container_of(&doors.world.alice)]);
    let output = within("the client ends", SLOW, sftp.wait_with_output()).await;
    assert!(!output.unwrap().status.success());
    assert_eq!(doors.say("echo back").await, "back");
    let left = std::fs::read_dir(doors.world.dir.join("state")).unwrap();
    let left = left.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("ssh-")
    });
    assert_eq!(left.count(), 0, "no file of what waited is left");
}
