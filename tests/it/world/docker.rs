//! The engine, asked by its own command line: the tests must not see it with Vestibule's eyes.

use std::process::Command;

/// An engine.
#[derive(Clone)]
pub struct Docker {
    host: String,
}

impl Docker {
    /// The engine that `docker` uses here.
    pub fn of_this_machine() -> Self {
        let host = std::env::var("DOCKER_HOST");
        Self {
            host: host.unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned()),
        }
    }

    /// The engine behind a Unix socket.
    pub fn at(socket: &str) -> Self {
        Self {
            host: format!("unix://{socket}"),
        }
    }

    /// Its address as `DOCKER_HOST` takes it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of its socket.
    pub fn socket(&self) -> &str {
        self.host.strip_prefix("unix://").unwrap()
    }

    /// Runs `docker` with `args`: its output, or what it complained about.
    pub fn try_run(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("docker")
            .args(args)
            .env("DOCKER_HOST", &self.host)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Runs `docker` with `args`, which must work.
    pub fn run(&self, args: &[&str]) -> String {
        self.try_run(args)
            .unwrap_or_else(|error| panic!("docker {args:?}: {error}"))
    }

    /// One field of a container, or nothing if there is no such container.
    pub fn look(&self, container: &str, field: &str) -> Option<String> {
        let format = format!("{{{{{field}}}}}");
        self.try_run(&["inspect", "--type=container", "-f", &format, container])
            .ok()
    }

    /// The container's id, if there is one of that name.
    pub fn id(&self, container: &str) -> Option<String> {
        self.look(container, ".Id")
    }

    /// Whether the container runs.
    pub fn runs(&self, container: &str) -> bool {
        self.look(container, ".State.Running").as_deref() == Some("true")
    }

    /// Runs a shell line in a container as its user; its output and whether it went well.
    pub fn shell(&self, container: &str, line: &str) -> Result<String, String> {
        self.try_run(&["exec", container, "sh", "-c", line])
    }

    /// The command lines of all processes in a container that contain `text`, as (pid, line).
    pub fn processes(&self, container: &str, text: &str) -> Vec<(String, String)> {
        let table = self.run(&["top", container, "-eo", "pid,args"]);
        let rows = table.lines().skip(1).map(str::trim);
        rows.filter(|line| line.contains(text))
            .filter_map(|line| line.split_once(' '))
            .map(|(pid, line)| (pid.to_owned(), line.trim().to_owned()))
            .collect()
    }
}

/// The name of a user's container.
pub fn container_of(user: &str) -> String {
    let user = vestibule::names::Username::parse(user).unwrap();
    vestibule::names::ContainerName::of(&user).to_string()
}
