//! The second door, by real clients: OpenSSH first of all.

mod bounds;
mod bulk;
mod clients;
mod ends;
mod files;
mod forwards;
mod logins;
mod programs;
mod remote;
mod strangers;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Output, Stdio},
};

use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::world::{Docker, SLOW, World, config::RECORDER, within};

/// A world with SSH, and alice's key in it.
struct Doors {
    world: World,
    port: u16,
}

impl Doors {
    async fn open() -> Self {
        Self::with("").await
    }

    /// The same with more of `[ssh]`.
    async fn with(extra: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let world = World::prepare(RECORDER, Docker::of_this_machine());
        let dir = world.dir.clone();
        fs::create_dir(dir.join("keys")).unwrap();
        for name in ["id", "other"] {
            let made = std::process::Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(dir.join(name))
                .status();
            assert!(made.unwrap().success());
        }
        world.configure(&format!(
            "[ssh]\nlisten = [\"127.0.0.1:{port}\"]\nauthorized_keys = \"{}/keys\"\n{extra}",
            dir.display()
        ));
        let doors = Self { world, port };
        doors.authorize(&doors.world.alice, "");
        fs::write(dir.join("ssh_config"), doors.client()).unwrap();
        doors.world.launch().await;
        doors
    }

    /// What every client is told.
    fn client(&self) -> String {
        let (dir, port) = (self.world.dir.display(), self.port);
        format!(
            "Host *\n HostName 127.0.0.1\n Port {port}\n User {}\n IdentitiesOnly yes\n StrictHostKeyChecking accept-new\n \
             UserKnownHostsFile {dir}/known_hosts\n BatchMode yes\n LogLevel ERROR\n",
            self.world.alice
        )
    }

    /// Makes the first key one of a user's, with options before it.
    fn authorize(&self, user: &str, options: &str) {
        let key = fs::read_to_string(self.path("id.pub")).unwrap();
        fs::write(self.path("keys").join(user), format!("{options}{key}")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.dir.join(name)
    }

    /// An OpenSSH program with our configuration; `-F` is theirs alike.
    fn command(&self, program: &str) -> Command {
        self.command_with(program, "id")
    }

    /// The same with another key.
    fn command_with(&self, program: &str, key: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-F")
            .arg(self.path("ssh_config"))
            .arg("-o")
            .arg(format!("IdentityFile={}", self.path(key).display()))
            .current_dir(&self.world.dir)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a client to its end.
    async fn run(&self, mut command: Command) -> Output {
        // Clients in Python have much to compute.
        within("the client ends", 3 * SLOW, command.output())
            .await
            .unwrap()
    }

    /// `ssh host LINE`, without anything to read.
    async fn ssh(&self, line: &str) -> Output {
        self.ssh_with(&[], line, b"").await
    }

    /// `ssh OPTIONS host LINE < input`.
    async fn ssh_with(&self, options: &[&str], line: &str, input: &[u8]) -> Output {
        let mut command = self.command("ssh");
        command.args(options).arg("workspace");
        if !line.is_empty() {
            command.arg(line);
        }
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let write = tokio::spawn(async move {
            // A command that doesn't read it is no fault of the client's.
            let _ = stdin.write_all(&input).await;
        });
        let output = within("the client ends", SLOW, child.wait_with_output()).await;
        write.await.unwrap();
        output.unwrap()
    }

    /// `ssh` of somebody who types a password.
    fn password(&self, user: &str, password: &str, line: &str) -> Child {
        let ask = self.path("ask");
        fs::write(&ask, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = self.command("ssh");
        command
            .args([
                "-o",
                "BatchMode=no",
                "-o",
                "PreferredAuthentications=password",
            ])
            .args([
                "-o",
                "NumberOfPasswordPrompts=1",
                "-l",
                user,
                "workspace",
                line,
            ])
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force");
        command.spawn().unwrap()
    }

    /// What a command that must work wrote.
    async fn say(&self, line: &str) -> String {
        let output = self.ssh(line).await;
        assert!(output.status.success(), "{line}: {output:?}");
        text(&output.stdout)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// Bytes that no text is.
fn noise(length: usize) -> Vec<u8> {
    vestibule::secret::Secret::random(length).expose().to_vec()
}
