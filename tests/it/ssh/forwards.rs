//! Ports, sockets and the agent.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    process::{Child, Command},
};

use super::{Doors, text};
use crate::world::{SLOW, docker::container_of, until, within};

/// A server in the workspace that answers each line of a client with `answer`.
fn server(answer: &str) -> String {
    format!(
        "python3 -c \"
import socketserver
class H(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(b'{answer} ' + self.rfile.read())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('127.0.0.1', 7100), H).serve_forever()\""
    )
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// What the far end makes of `words` and their end.
async fn ask(mut stream: TcpStream, words: &str) -> String {
    let mut answer = String::new();
    let asked = async {
        stream.write_all(words.as_bytes()).await?;
        stream.shutdown().await?;
        stream.read_to_string(&mut answer).await
    };
    // One that is refused is closed without an answer.
    let _ = within("an answer or an end", SLOW, asked).await;
    answer
}

fn background(mut command: Command, args: &[&str]) -> Child {
    command.args(args).spawn().unwrap()
}

#[tokio::test]
async fn ports_lead_into_the_workspace_and_nowhere_else() {
    let doors = Doors::open().await;
    let (local, socks) = (free_port().await, free_port().await);
    let (forward, socks_at) = (format!("{local}:localhost:7100"), socks.to_string());
    let server = server("heard");
    let (near, far) = (doors.path("near.sock"), "/tmp/far.sock");
    let to_socket = format!("{}:{far}", near.display());
    let args = [
        "-L",
        &forward,
        "-L",
        &to_socket,
        "-D",
        &socks_at,
        "workspace",
        &server,
    ];
    let mut client = background(doors.command("ssh"), &args);
    until(
        "the server answers",
        SLOW,
        async || match TcpStream::connect(("127.0.0.1", local)).await {
            Ok(stream) => ask(stream, "words").await == "heard words",
            Err(_) => false,
        },
    )
    .await;
    assert_eq!(
        through(socks, "localhost", 7100).await.unwrap(),
        "heard by socks"
    );
    let listen = format!(
        "timeout 60 python3 -c \"
import socket
s = socket.socket(socket.AF_UNIX)
s.bind('{far}')
s.listen()
s.accept()[0].sendall(b'by socket')\" > /dev/null 2>&1 < /dev/null &
        until [ -S {far} ]; do sleep 0.1; done"
    );
    doors.say(&listen).await;
    let mut said = String::new();
    let mut stream = UnixStream::connect(&near).await.unwrap();
    within("an answer", SLOW, stream.read_to_string(&mut said))
        .await
        .unwrap();
    assert_eq!(said, "by socket");
    // The proxy's own machine, and whatever is beyond.
    for host in ["172.17.0.1", "10.0.0.1", "example.org", "169.254.169.254"] {
        assert!(through(socks, host, doors.port).await.is_none(), "{host}");
    }
    client.kill().await.unwrap();
    let denied = doors.world.audit("ssh_denied");
    assert_eq!(denied.len(), 4, "{denied:?}");

    doors.authorize(&doors.world.alice, "restrict ");
    let mut client = background(doors.command("ssh"), &["-D", &socks_at, "-N", "workspace"]);
    until("it listens", SLOW, async || {
        TcpStream::connect(("127.0.0.1", socks)).await.is_ok()
    })
    .await;
    assert!(
        through(socks, "localhost", 7100).await.is_none(),
        "a restricted key"
    );
    client.kill().await.unwrap();
}

#[tokio::test]
async fn any_leads_on_from_the_workspace_and_not_to_the_proxys_machine() {
    let doors = Doors::with("forward = \"any\"").await;
    let (docker, container) = (&doors.world.docker, container_of(&doors.world.alice));
    let at = free_port().await;
    let mut client = background(
        doors.command("ssh"),
        &["-D", &at.to_string(), "workspace", &server("heard")],
    );
    for host in ["localhost", "::ffff:127.0.0.1"] {
        until("the server answers", SLOW, async || {
            through(at, host, 7100).await.as_deref() == Some("heard by socks")
        })
        .await;
    }
    let gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let gateway = docker.run(&["inspect", "--format", gateway, &container]);
    let gateway = gateway.trim();
    let hosts = [
        gateway.to_owned(),
        format!("::ffff:{gateway}"),
        "169.254.169.254".to_owned(),
        "fe80::1".to_owned(),
    ];
    for host in &hosts {
        assert!(through(at, host, doors.port).await.is_none(), "{host}");
    }
    client.kill().await.unwrap();
    let denied = doors.world.audit("ssh_denied");
    let places = denied.iter().map(|line| line["place"].as_str().unwrap());
    let expected = hosts.iter().map(|host| format!("{host}:{}", doors.port));
    assert!(places.eq(expected), "{denied:?}");
}

/// A stream by SOCKS 5 (RFC 1928) to a host by its name.
pub async fn socks(at: u16, host: &str, port: u16) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", at)).await.ok()?;
    stream.write_all(&[5, 1, 0]).await.ok()?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.ok()?;
    let mut request = vec![5, 1, 0, 3, u8::try_from(host.len()).unwrap()];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await.ok()?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await.ok()?;
    (answer[1] == 0).then_some(stream)
}

async fn through(at: u16, host: &str, port: u16) -> Option<String> {
    let answer = ask(socks(at, host, port).await?, "by socks").await;
    (!answer.is_empty()).then_some(answer)
}

#[tokio::test]
async fn the_workspace_reaches_the_clients_port_socket_and_agent_if_asked() {
    let doors = Doors::open().await;
    let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = near.local_addr().unwrap().port();
    let path = doors.path("near.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let agent = doors.path("agent.sock");
    let mut agent_process = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&agent)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the agent listens", SLOW, async || agent.exists()).await;
    let mut add = Command::new("ssh-add");
    add.arg("-q")
        .arg(doors.path("other"))
        .env("SSH_AUTH_SOCK", &agent);
    assert!(doors.run(add).await.status.success());

    tokio::spawn(async move {
        let (mut stream, _) = near.accept().await.unwrap();
        stream.write_all(b"by port\n").await.unwrap();
    });
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        stream.write_all(b"by socket\n").await.unwrap();
    });
    let mut command = doors.command("ssh");
    let (to_port, to_socket) = (
        format!("7200:127.0.0.1:{port}"),
        format!("/tmp/far.sock:{}", path.display()),
    );
    let line = "cat < /dev/tcp/127.0.0.1/7200
        python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"/tmp/far.sock\"); print(s.recv(99).decode(), end=\"\")'
        ssh-add -l
        python3 -c 'import socket; s = socket.socket(); print(s.connect_ex((socket.gethostbyname(socket.gethostname()), 7200)) != 0)'";
    command
        .args(["-A", "-R", &to_port, "-R", &to_socket, "workspace", line])
        .env("SSH_AUTH_SOCK", &agent);
    let output = doors.run(command).await;
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["by port", "by socket"], "{output:?}");
    assert!(lines[2].contains(" other (ED25519)"), "{said}");
    assert_eq!(lines[3], "True", "only on the container's loopback");
    agent_process.kill().await.unwrap();

    let mut alone = doors.command("ssh");
    alone
        .args(["workspace", "echo agent:$SSH_AUTH_SOCK"])
        .env("SSH_AUTH_SOCK", &agent);
    assert_eq!(
        text(&doors.run(alone).await.stdout),
        "agent:",
        "not unless asked"
    );
}

#[tokio::test]
async fn a_remote_forward_takes_the_place_of_a_stale_socket_and_of_nothing_else() {
    let doors = Doors::open().await;
    let near = doors.path("near.sock");
    let remote = async |far: &str, line: &str| {
        let to = format!("{far}:{}", near.display());
        let options = ["-o", "ExitOnForwardFailure=yes", "-R", &to];
        doors.ssh_with(&options, line, b"").await
    };
    doors.say("echo words > thesis").await;
    let output = remote("/home/user/thesis", "true").await;
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    assert_eq!(doors.say("cat thesis").await, "words");

    doors
        .say("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"far\")'")
        .await;
    let output = remote("/home/user/far", "test -S far").await;
    assert!(output.status.success(), "{output:?}");
    until("it goes with the connection", SLOW, async || {
        doors.say("ls").await == "thesis"
    })
    .await;
    let output = remote("/home/user/far", "rm far && echo mine > far").await;
    assert!(output.status.success(), "{output:?}");
    until("all have left", SLOW, async || {
        let container = container_of(&doors.world.alice);
        let docker = &doors.world.docker;
        docker.processes(&container, "import os, sys").is_empty()
    })
    .await;
    assert_eq!(doors.say("cat far").await, "mine");
}
