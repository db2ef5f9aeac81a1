//! Much at once: both ways, slowly taken, and over keys that change on the way.

use std::process::Stdio;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use super::{Doors, noise, text};
use crate::world::{SLOW, until, within};

/// What is sent again and again, and how often.
const BLOCK: usize = 1 << 20;
const TIMES: usize = 256;
/// The most that memory may grow, in KiB, by what waits.
const GROWTH: u64 = 48 << 10;

/// Writes a block `times` to a client, in a task of its own.
fn send(child: &mut Child, block: &[u8], times: usize) -> tokio::task::JoinHandle<()> {
    let (mut stdin, block) = (child.stdin.take().unwrap(), block.to_vec());
    tokio::spawn(async move {
        for _ in 0..times {
            stdin.write_all(&block).await.unwrap();
        }
    })
}

fn hash(block: &[u8], times: usize) -> String {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    (0..times).for_each(|_| hash.update(block));
    vestibule::secret::hex(hash.finish().as_ref())
}

/// A command over the connection that others share, or that others will share.
fn shared(doors: &Doors, options: &[&str]) -> Command {
    let mut command = doors.command("ssh");
    let path = doors.path("control");
    command
        .arg("-o")
        .arg(format!("ControlPath={}", path.display()));
    command.args(options).stdin(Stdio::piped());
    command
}

async fn master(doors: &Doors) -> Child {
    let args = ["-o", "ControlMaster=yes", "-N", "workspace"];
    let master = shared(doors, &args).spawn().unwrap();
    until("the connection is shared", SLOW, async || {
        let check = shared(doors, &["-O", "check", "workspace"]);
        doors.run(check).await.status.success()
    })
    .await;
    master
}

async fn echo(doors: &Doors) {
    let mut command = shared(doors, &["workspace", "cat"]);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"words").await.unwrap();
    drop(stdin);
    let output = within("an echo", SLOW, child.wait_with_output()).await;
    assert_eq!(text(&output.unwrap().stdout), "words");
}

#[tokio::test]
async fn bulk_both_ways_never_stalls_and_takes_no_memory_also_over_new_keys() {
    let doors = Doors::open().await;
    let block = noise(BLOCK);
    doors.say("true").await;
    let before = doors.world.most_memory();
    for options in [vec![], vec!["-o", "RekeyLimit=16M"]] {
        let mut command = doors.command("ssh");
        command.args(&options).args(["workspace", "cat"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let writing = send(&mut child, &block, TIMES);
        let mut stdout = child.stdout.take().unwrap();
        let mut came = vec![0; BLOCK];
        for number in 0..TIMES {
            let read = within("more comes", SLOW, stdout.read_exact(&mut came));
            read.await.unwrap();
            assert!(came == block, "{options:?}: {number}");
        }
        assert_eq!(stdout.read(&mut came).await.unwrap(), 0);
        writing.await.unwrap();
        assert!(child.wait().await.unwrap().success());
    }
    let grown = doors.world.most_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} KiB");
}

#[tokio::test]
async fn a_process_that_sleeps_or_a_client_that_does_holds_back_itself_alone() {
    let doors = Doors::open().await;
    doors.say("mkfifo ~/go").await;
    let mut master = master(&doors).await;
    let block = noise(BLOCK);
    let before = doors.world.most_memory();

    let mut sleeper = shared(&doors, &["workspace", "read < ~/go; sha256sum"]);
    let mut sleeper = sleeper.spawn().unwrap();
    let writing = send(&mut sleeper, &block, TIMES);
    let mut deaf = shared(&doors, &["workspace", "cat /dev/zero"]);
    let mut deaf = deaf.spawn().unwrap();
    for _ in 0..5 {
        echo(&doors).await;
    }
    within("all of it is sent", SLOW, writing).await.unwrap();
    echo(&doors).await;
    deaf.kill().await.unwrap();
    let grown = doors.world.most_memory() - before;
    assert!(grown < GROWTH, "grown by {grown} KiB");

    doors.say("echo > ~/go").await;
    let output = within("it reads", SLOW, sleeper.wait_with_output()).await;
    let said = text(&output.unwrap().stdout);
    assert!(said.starts_with(&hash(&block, TIMES)), "{said}");
    master.kill().await.unwrap();
}
