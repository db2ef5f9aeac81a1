//! What one user can take of the proxy.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Doors, clients};
use crate::world::{SLOW, docker::container_of, until, within};

/// Descriptors that a flood may take: those of what is being opened, and a few more.
const DESCRIPTORS: usize = 100;

#[tokio::test]
async fn a_user_has_so_many_connections_and_a_flood_of_signals_takes_no_descriptors() {
    let doors = Doors::with("connections_per_user = 40").await;
    let (docker, container) = (&doors.world.docker, container_of(&doors.world.alice));
    doors.say("true").await;
    until("no helper stays behind", SLOW, async || {
        docker.processes(&container, "import os, sys").is_empty()
    })
    .await;
    let before = doors.world.descriptors();
    let mut client = clients::script(&doors, include_str!("bounds.py"));
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let line = within("all signals are sent", SLOW, lines.next_line()).await;
    let sent = line.unwrap().as_deref() == Some("sent");
    assert!(sent, "{:?}", client.wait_with_output().await);
    let more = doors.world.descriptors() - before;
    assert!(more < DESCRIPTORS, "{more} more");
}
