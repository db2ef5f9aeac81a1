//! A world to tell a story in: one running Vestibule with its own users, ports, network and keys.
//!
//! Promise: whatever a story starts is gone soon after its [`World`] is, also after a panic or a
//! kill of the test run, because a process of its own waits for our end and cleans up after us.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;

pub mod client;
pub mod config;
pub mod docker;
pub mod keys;
pub mod machine;
pub mod nginx;
pub mod person;
pub mod raw;
pub mod shared;
pub mod site;
pub mod socket;
pub mod tap;
pub mod tls;
pub mod wait;

pub use client::Answer;
pub use docker::Docker;
pub use keys::Keys;
pub use machine::{free_address, is_root, lock, send_signal};
pub use person::Person;
pub use shared::shared;
pub use wait::{until, within};

use self::machine::{end_child, free_addresses};

/// How long a slow thing may take here: a container that starts on a busy machine of two cores.
pub const SLOW: Duration = Duration::from_mins(1);

/// One running Vestibule and all that belongs to it.
pub struct World {
    /// Everything on disk: configuration, state, users' files, logs.
    pub dir: PathBuf,
    /// Ends every name of this world, so that worlds never meet.
    pub id: String,
    /// The origin as browsers write it.
    pub origin: String,
    /// Where Vestibule listens for HTTPS.
    pub https: SocketAddr,
    /// Where it redirects.
    pub http: SocketAddr,
    /// Where a story may have it listen without TLS.
    pub plain: SocketAddr,
    /// Where Django listens, if the story has one.
    pub site: SocketAddr,
    /// The user most stories are about.
    pub alice: String,
    /// The other one.
    pub bob: String,
    /// The bridge of this world.
    pub network: String,
    /// What the web application signs with.
    pub keys: Keys,
    /// The engine that Vestibule uses.
    pub docker: Docker,
    /// The client's side of TLS.
    pub tls: tls::Trust,
    settings: Mutex<toml::Table>,
    proxy: Mutex<Option<Child>>,
    children: Mutex<Vec<Child>>,
    secrets: Mutex<Vec<String>>,
    janitor: Child,
}

impl World {
    /// Starts Vestibule with the usual configuration and `extra` (TOML) merged over it.
    pub async fn start(extra: &str) -> Self {
        let world = Self::prepare(extra, Docker::of_this_machine());
        world.launch().await;
        world
    }

    /// Makes everything but the process itself.
    pub fn prepare(extra: &str, docker: Docker) -> Self {
        let id = vestibule::secret::hex(vestibule::secret::Secret::random(5).expose());
        let dir = std::env::temp_dir().join(format!("vestibule-it-{id}"));
        for folder in ["data", "state", "recorder"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        fs::write(
            dir.join("recorder/recorder.py"),
            include_str!("../recorder.py"),
        )
        .unwrap();
        let network = format!("vestibule-it-{id}");
        let janitor = Command::new("sh")
            .args(["-c", include_str!("janitor.sh"), "janitor"])
            .arg(&dir)
            .args([&id, &network, docker.host()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let [https, http, plain, site] = free_addresses();
        let world = Self {
            origin: format!("https://localhost:{}", https.port()),
            alice: format!("alice-{id}"),
            bob: format!("bob-{id}"),
            keys: Keys::make(&dir),
            tls: tls::Trust::make(&dir),
            settings: Mutex::default(),
            proxy: Mutex::default(),
            children: Mutex::default(),
            secrets: Mutex::default(),
            dir,
            id,
            https,
            http,
            plain,
            site,
            network,
            docker,
            janitor,
        };
        world.secret(&world.keys.shared);
        world.configure(&config::usual(&world));
        world.configure(extra);
        world
    }

    /// Merges `extra` (TOML) into the configuration; the next launch reads it.
    pub fn configure(&self, extra: &str) {
        let mut settings = lock(&self.settings);
        config::merge(&mut settings, toml::from_str(extra).unwrap());
        fs::write(
            self.dir.join("proxy.toml"),
            toml::to_string(&*settings).unwrap(),
        )
        .unwrap();
    }

    /// Runs `vestibule serve` and waits until it answers.
    pub async fn launch(&self) {
        self.launch_until(200).await;
    }

    /// The same where everybody who comes is refused.
    pub async fn launch_refusing(&self) {
        self.launch_until(403).await;
    }

    async fn launch_until(&self, status: u16) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("proxy.log"))
            .unwrap();
        let child = self
            .vestibule()
            .arg("serve")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        fs::write(self.dir.join("proxy.pid"), child.id().to_string()).unwrap();
        *lock(&self.proxy) = Some(child);
        until("Vestibule answers", SLOW, async || {
            let ended = lock(&self.proxy).as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}\n{}", self.log());
            self.get("/_vestibule/healthz")
                .try_send()
                .await
                .is_ok_and(|answer| answer.status == status)
        })
        .await;
    }

    /// The binary with this world's configuration; the subcommand comes next.
    pub fn vestibule(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command
            .stdin(Stdio::null())
            .env_remove("RUST_LOG")
            // This machine trusts the world's certificate.
            .env("SSL_CERT_FILE", self.dir.join("cert.pem"))
            .current_dir(&self.dir);
        command
    }

    /// Ends Vestibule by a signal (`TERM`, `KILL`) and waits for its end.
    pub async fn end(&self, signal: &str) -> ExitStatus {
        let mut child = lock(&self.proxy).take().unwrap();
        send_signal(child.id(), signal);
        let mut status = None;
        until("Vestibule ends", SLOW, async || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        fs::remove_file(self.dir.join("proxy.pid")).unwrap();
        status.unwrap()
    }

    /// Resident memory of the proxy in KiB (`VmRSS` of proc(5)).
    pub fn memory(&self) -> u64 {
        self.kib("VmRSS:")
    }

    /// The most that it ever was (`VmHWM`).
    pub fn most_memory(&self) -> u64 {
        self.kib("VmHWM:")
    }

    /// How many files and sockets the proxy has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// Vestibule's own process.
    pub fn pid(&self) -> u32 {
        lock(&self.proxy).as_ref().unwrap().id()
    }

    fn kib(&self, field: &str) -> u64 {
        let pid = self.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// What Vestibule has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("proxy.log")).unwrap_or_default()
    }

    /// The audit lines of a kind of event.
    pub fn audit(&self, event: &str) -> Vec<Value> {
        let mut lines = self.audit_lines();
        lines.retain(|line| line["event"] == event);
        lines
    }

    /// All audit lines, among the others or in a file of their own.
    pub fn audit_lines(&self) -> Vec<Value> {
        let file = fs::read_to_string(self.dir.join("audit.jsonl")).unwrap_or_default();
        let log = self.log() + &file;
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| line["target"] == "audit")
            .collect()
    }

    /// The directory of a user's files on the host.
    pub fn home(&self, user: &str) -> PathBuf {
        let user = vestibule::names::Username::parse(user).unwrap();
        self.dir.join("data").join(user.escaped())
    }

    /// Whether a user's recorder was ever sent a head with `mark` in it.
    pub fn arrived(&self, user: &str, mark: &str) -> bool {
        let log = fs::read(self.home(user).join("received.log")).unwrap();
        String::from_utf8_lossy(&log).contains(mark)
    }

    /// The name of a user of this world alone.
    pub fn user(&self, name: &str) -> String {
        format!("{name}-{}", self.id)
    }

    /// Remembers what must never be in a log.
    pub fn secret(&self, text: &str) {
        // A forged token may be anything, also nothing.
        if text.len() >= 16 {
            lock(&self.secrets).push(text.to_owned());
        }
    }

    /// Looks for every secret used so far in all logs there are, Django's too.
    pub fn assert_no_secret_was_logged(&self) {
        for file in fs::read_dir(&self.dir).unwrap() {
            let path = file.unwrap().path();
            let ends = path.extension().unwrap_or_default();
            if ends == "log" || ends == "jsonl" {
                let text = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&text);
                self.assert_no_secret_in(&path.display().to_string(), &text);
            }
        }
    }

    /// Looks for every secret used so far in a text, and for what looks like one.
    pub fn assert_no_secret_in(&self, what: &str, text: &str) {
        for secret in lock(&self.secrets).iter() {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "a secret in {what}: {line:?}");
        }
        // A JSON Web Token that nobody remembered: two parts that are JSON objects.
        let token = text.lines().find(|line| {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
            words.any(|word| word.starts_with("eyJ") && word.contains(".eyJ"))
        });
        assert!(token.is_none(), "a token in {what}: {token:?}");
    }

    /// Has a process end with this world.
    pub fn child(&self, child: Child) {
        lock(&self.children).push(child);
    }

    /// Checks that every audit line is as docs/audit.md says.
    fn assert_audit_lines_are_as_told(&self) {
        let (events, fields) = include_str!("../../../docs/audit.md")
            .split_once("\n| field |")
            .unwrap();
        // The first cell of each row, of which some name several.
        let told = |table: &str| -> Vec<String> {
            let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
            let cells = rows.filter_map(|row| row.split(" |").next());
            cells
                .flat_map(|cell| cell.split(", "))
                .map(|word| word.trim_matches('`').to_owned())
                .collect()
        };
        let (events, fields) = (told(events), told(fields));
        for line in self.audit_lines() {
            let event = line["event"].as_str().unwrap_or_default();
            assert!(events.iter().any(|told| told == event), "untold: {line}");
            for (name, value) in line.as_object().unwrap() {
                assert!(fields.contains(name), "untold field {name}: {line}");
                assert!(value.is_string() || value.is_u64(), "{name}: {line}");
            }
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        }
    }

    /// What every story ends with: its log, if it failed, or a look for secrets in it.
    fn close(&self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(40);
            eprintln!("---- the end of {}/proxy.log", self.dir.display());
            log.lines().skip(from).for_each(|line| eprintln!("{line}"));
        } else {
            self.assert_no_secret_was_logged();
            self.assert_audit_lines_are_as_told();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.close();
        let others = std::mem::take(&mut *lock(&self.children));
        for child in lock(&self.proxy).take().into_iter().chain(others) {
            end_child(child);
        }
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
