//! Those who have not logged in, what they may cost, and those who have too often.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{
    Doors,
    logins::{asking, next_link},
    text,
};
use crate::world::{SLOW, until, within};

#[tokio::test]
async fn whoever_only_looks_whether_we_are_there_fails_at_nothing_and_breaks_nothing() {
    let doors = Doors::open().await;
    for number in 0..40 {
        let mut stream = TcpStream::connect(("127.0.0.1", doors.port)).await.unwrap();
        // A load balancer's check, or one who breaks off while keys are exchanged.
        if number % 2 == 0 {
            stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
            stream.read_exact(&mut [0; 100]).await.unwrap();
            stream.write_all(&[0; 64]).await.unwrap();
        }
    }
    assert_eq!(doors.say("echo in").await, "in");
    let log = doors.world.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(doors.world.audit("ssh_denied").is_empty());
}

#[tokio::test]
async fn logins_that_fail_turn_an_address_away_and_a_login_makes_up_for_them() {
    let doors = Doors::with("approval = false").await;
    let fail = async || {
        let mut command = doors.command_with("ssh", "other");
        command.args(["workspace", "true"]);
        doors.run(command).await
    };
    for _ in 0..2 {
        for _ in 0..11 {
            fail().await;
        }
        assert_eq!(doors.say("echo in").await, "in");
    }
    until("it is turned away", SLOW, async || {
        fail().await;
        let denied = doors.world.audit("ssh_denied");
        denied
            .iter()
            .any(|line| line["reason"] == "too-many-failures")
    })
    .await;
    let mut stream = TcpStream::connect(("127.0.0.1", doors.port)).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(
        said.starts_with("too many logins from this address"),
        "{said}"
    );
}

#[tokio::test]
async fn one_who_asks_for_a_click_and_vanishes_holds_no_place() {
    let doors = Doors::with("unauthenticated = 1").await;
    let mut child = asking(&doors, 1).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    next_link(&doors, &mut lines).await.unwrap();
    assert_eq!(doors.ssh("true").await.status.code(), Some(255));
    child.kill().await.unwrap();
    // Well before the click's time is over.
    until("the place is free", Duration::from_secs(20), async || {
        doors.ssh("true").await.status.success()
    })
    .await;
}

#[tokio::test]
async fn a_user_has_so_many_connections_and_hears_why_not_one_more() {
    let doors = Doors::with("connections_per_user = 1").await;
    let mut command = doors.command("ssh");
    command.args(["workspace", "echo in; cat"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within("it is in", SLOW, lines.next_line()).await.unwrap();
    assert_eq!(line.as_deref(), Some("in"));
    let output = doors.ssh_with(&["-o", "LogLevel=INFO"], "true", b"").await;
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("too many connections; close some"), "{said}");
    until("it is told", SLOW, async || {
        let denied = doors.world.audit("ssh_denied");
        denied
            .iter()
            .any(|line| line["reason"] == "too-many-of-user")
    })
    .await;
    child.kill().await.unwrap();
    until("there is room again", SLOW, async || {
        doors.ssh("true").await.status.success()
    })
    .await;
}
