//! What programs do over SSH without anybody looking: a remote IDE, git.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{Doors, forwards, text};
use crate::world::{SLOW, docker::container_of, free_address, until, within};

/// What VS Code's extension does, in its order: one connection with `-D`, a script for a shell
/// by standard input, which leaves a server behind that has detached itself, and says its port.
/// The server is code-server, which is VS Code's.
const INSTALL: &str = r#"
echo "id: start"
mkdir -p ~/.remote
(setsid nohup code-server --auth none --bind-addr 127.0.0.1:7400 --disable-telemetry \
    --user-data-dir ~/.remote/data > ~/.remote/log 2>&1 < /dev/null &)
for i in $(seq 300); do
    curl -sf -o /dev/null http://127.0.0.1:7400/healthz && break
    sleep 0.1
done
echo "listeningOn==7400=="
echo "SSH_CONNECTION is $SSH_CONNECTION"
echo "id: end"
while :; do sleep 1; done
"#;

#[tokio::test]
async fn a_remote_ide_installs_its_server_and_reaches_it_through_socks() {
    let doors = Doors::open().await;
    let socks = free_address().port();
    let mut client = doors.command("ssh");
    client.args([
        "-T",
        "-D",
        &socks.to_string(),
        "-o",
        "ConnectTimeout=15",
        "workspace",
        "bash",
    ]);
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(INSTALL.as_bytes()).await.unwrap();
    stdin.shutdown().await.unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    within("the script has run", SLOW, async {
        while said.last().is_none_or(|line| line != "id: end") {
            said.push(lines.next_line().await.unwrap().expect("it goes on"));
        }
    })
    .await;
    assert!(
        said.iter().any(|line| line == "listeningOn==7400=="),
        "{said:?}"
    );

    // Plain requests, and a WebSocket as the window opens it, many of them at once.
    let page = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let upgrade = "GET /?reconnectionToken=01234567-89ab-cdef-0123-456789abcdef&reconnection=false\
        &skipWebSocketFrames=false HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let ask = async |request: &str, status: &str| {
        let mut stream: TcpStream = forwards::socks(socks, "127.0.0.1", 7400).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![0; 12];
        within("an answer", SLOW, stream.read_exact(&mut head))
            .await
            .unwrap();
        assert_eq!(text(&head), format!("HTTP/1.1 {status}"));
        stream
    };
    let mut open = Vec::new();
    for _ in 0..10 {
        drop(ask(page, "200").await);
        open.push(ask(upgrade, "101").await);
    }
    drop(open);
    client.kill().await.unwrap();

    // The window is closed; the server that detached itself is there for the next one.
    let container = container_of(&doors.world.alice);
    let running = |what: &str| !doors.world.docker.processes(&container, what).is_empty();
    until("the script has gone", SLOW, async || !running("bash")).await;
    assert!(running("127.0.0.1:7400"));
}

#[tokio::test]
async fn git_pushes_and_clones() {
    let doors = Doors::open().await;
    doors.say("git init -q --bare ~/there.git").await;
    let ssh = format!(
        "ssh -F {} -i {}",
        doors.path("ssh_config").display(),
        doors.path("id").display()
    );
    let script =
        "git init -q here && cd here && git config user.name a && git config user.email a@b
        seq 200000 > numbers && git add . && git commit -qm one
        git push -q workspace:there.git HEAD:main
        cd .. && git clone -q -b main workspace:there.git again && cmp here/numbers again/numbers";
    let mut git = tokio::process::Command::new("sh");
    git.args(["-ec", script])
        .current_dir(&doors.world.dir)
        .env("GIT_SSH_COMMAND", ssh)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = doors.run(git).await;
    assert!(output.status.success(), "{output:?}");
}
