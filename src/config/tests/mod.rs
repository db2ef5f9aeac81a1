//! What the reader takes, and what it says of all else.

mod mistakes;
mod rules;
mod shipped;

use std::{fs, path::PathBuf, time::Duration};

use proptest::prelude::*;

use super::{Config, ConfigErrors, Isolation, LogFormat, Network, Prefix};
use crate::{names::AppName, secret::random_id};

/// A directory with keys, gone after the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let dir = Self(std::env::temp_dir().join(format!("vestibule-config-{}", random_id())));
        fs::create_dir(&dir.0).unwrap();
        for (name, content) in [
            ("shared.key", "0123456789abcdef0123456789abcdef\n"),
            ("short.key", "0123456789abcdef0123456789abcde\n"),
            ("public.pem", PUBLIC_PEM),
            (
                "certificate.pem",
                "-----BEGIN CERTIFICATE-----\nMDAw\n-----END CERTIFICATE-----\n",
            ),
            ("cut.pem", "-----BEGIN PUBLIC KEY-----\n"),
        ] {
            fs::write(dir.0.join(name), content).unwrap();
        }
        dir
    }

    fn read(&self, text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let file = self.0.join("proxy.toml");
        fs::write(&file, text).unwrap();
        Config::read(&file, owned(env))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The Ed25519 public key of RFC 8410 10.1.
const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";

const SITE: &str = r#"
public_url = "https://IDE.example.org:443"
login_url = "https://www.example.org/open"

[tls]
cert = "cert.pem"
key = "/etc/vestibule/key.pem"

[session]
keys = [{ algorithm = "HS256", file = "shared.key" }]
"#;

fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = env.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Dir::new().read(text, env)
}

fn app(config: &Config, name: &str) -> super::App {
    config.apps[&AppName::parse(name).unwrap()].clone()
}

#[test]
fn a_site_of_ten_lines_is_whole_and_has_the_defaults() {
    let dir = Dir::new();
    let config = dir.read(SITE, &[]).unwrap();
    assert_eq!(config.site.origin, "https://ide.example.org");
    assert_eq!(config.site.authority, "ide.example.org");
    assert_eq!(config.site.login_url, "https://www.example.org/open");
    assert!(config.site.trusted_origins.is_empty() && config.site.frame_ancestors.is_empty());
    assert_eq!(config.state_dir, PathBuf::from("/var/lib/vestibule"));
    assert_eq!(config.listen.https, ["[::]:443".parse().unwrap()]);
    assert_eq!(config.listen.http, ["[::]:80".parse().unwrap()]);
    assert!(config.listen.plain.is_empty() && config.listen.trusted_proxies.is_empty());
    assert!(config.listen.threads >= 1);
    let tls = config.tls.clone().unwrap();
    assert_eq!(tls.cert, dir.0.join("cert.pem"));
    assert_eq!(tls.key, PathBuf::from("/etc/vestibule/key.pem"));
    assert_eq!(config.session.keys[0].material.expose().len(), 32);
    assert_eq!(config.session.audience, "vestibule");
    assert_eq!(
        (&config.session.issuer, &config.session.shared_cookie),
        (&None, &None)
    );
    assert_eq!(config.session.lifetime, Duration::from_hours(12));
    assert_eq!(config.engine.socket, PathBuf::from("/var/run/docker.sock"));
    assert_eq!(config.engine.timeout, Duration::from_secs(30));
    let idle = &config.idle;
    assert_eq!(idle.policy.timeout, Some(Duration::from_mins(30)));
    let holds = idle.policy.holds;
    assert!(holds.input && holds.busy && !holds.connected);
    assert_eq!(
        (idle.policy.max_connected, idle.policy.max_age),
        (None, None)
    );
    assert_eq!(idle.notice, Duration::from_mins(5));
    assert_eq!(idle.longest_keep, Duration::from_hours(24));
    assert_eq!(idle.busy_cpu_millis, 50);
    assert_eq!(config.limits.connections, 20_000);
    assert_eq!(config.limits.connections_per_address, 1000);
    assert_eq!(
        (config.log.format, config.log.filter.as_str()),
        (LogFormat::Pretty, "info")
    );
}

#[test]
fn a_workspace_has_its_defaults() {
    let workspace = read(SITE, &[]).unwrap().workspace;
    assert_eq!(workspace.image, "vestibule-workspace:latest");
    assert_eq!(workspace.data_root, PathBuf::from("/app/data/users"));
    assert_eq!(workspace.network, "vestibule");
    assert_eq!(workspace.isolation, Isolation::Refuse);
    assert_eq!(workspace.memory, 8 << 30);
    assert_eq!((workspace.cpu_millis, workspace.pids), (2000, 1024));
    assert!(workspace.capabilities.is_empty());
    assert!(workspace.mounts.is_empty() && workspace.env.is_empty());
    assert_eq!(workspace.max_starting, 4);
    assert_eq!(workspace.patience, Duration::from_millis(1500));
    assert_eq!(workspace.ready_timeout, Duration::from_mins(1));
    assert_eq!(workspace.stop_grace, Duration::from_secs(10));
}

#[test]
fn both_ides_are_there_without_a_word() {
    let config = read(SITE, &[]).unwrap();
    let names: Vec<_> = config.apps.keys().map(AppName::as_str).collect();
    assert_eq!(names, ["codespace", "jupyter"]);
    let code = app(&config, "codespace");
    assert_eq!(
        (code.title.as_str(), code.port, code.prefix),
        ("VS Code", 8080, Prefix::Strip)
    );
    assert_eq!(code.ready_path, "/healthz");
    assert_eq!(code.env["HASHED_PASSWORD"], "{secret}");
    assert_eq!(code.cookies["code-server-session"], "{secret}");
    assert_eq!(code.command.last().unwrap(), "/home/user");
    let lab = app(&config, "jupyter");
    assert_eq!(
        (lab.title.as_str(), lab.port, lab.prefix),
        ("JupyterLab", 8888, Prefix::Keep)
    );
    assert_eq!(lab.ready_path, "{prefix}api/status");
    assert_eq!(lab.env["JUPYTER_TOKEN"], "{secret}");
    assert_eq!(lab.headers["authorization"], "token {secret}");
    assert!(
        lab.command
            .contains(&"--ServerApp.base_url={prefix}".to_owned())
    );
}

#[test]
fn an_app_is_changed_key_by_key_or_added() {
    let more = r#"
[apps.jupyter]
title = "Notebooks"
[apps.codespace]
enabled = false
[apps.marimo]
command = ["marimo", "--x", '{"json": {"a": 1}} ${HOME} {user}']
port = 2718
prefix = "strip"
headers = { X-Token = "{secret}" }
[apps.plain]
command = "server"
port = 8080
"#;
    let config = read(&format!("{SITE}{more}"), &[]).unwrap();
    let apps = config.apps.iter();
    let apps: Vec<_> = apps
        .map(|(name, app)| {
            (
                name.as_str(),
                app.title.as_str(),
                app.port,
                app.ready_path.as_str(),
            )
        })
        .collect();
    assert_eq!(
        apps,
        [
            ("jupyter", "Notebooks", 8888, "{prefix}api/status"),
            ("marimo", "marimo", 2718, "/"),
            ("plain", "plain", 8080, "{prefix}"),
        ]
    );
    assert_eq!(app(&config, "marimo").headers["x-token"], "{secret}");
}

#[test]
fn the_environment_stands_above_the_file() {
    let env = [
        ("VESTIBULE_PUBLIC_URL", "https://other.test:8443"),
        ("VESTIBULE_WORKSPACE_PIDS", "99"),
        ("VESTIBULE_WORKSPACE_CPUS", "0.5"),
        ("VESTIBULE_WORKSPACE_MEMORY", "512m"),
        ("VESTIBULE_LISTEN_HTTPS", "127.0.0.1:1, 127.0.0.1:2"),
        ("VESTIBULE_LOG_FORMAT", "json"),
        ("VESTIBULE_IDLE_TIMEOUT", "never"),
        ("VESTIBULE_APPS_JUPYTER_PORT", "9999"),
        ("VESTIBULE_APPS_CODESPACE_ENABLED", "false"),
        // The command line's, the example's, and somebody else's.
        ("VESTIBULE_CONFIG", "x"),
        ("VESTIBULE_KEY_FILE", "x"),
        ("WORKSPACE_MEMORY", "x"),
    ];
    let config = read(SITE, &env).unwrap();
    assert_eq!(config.site.authority, "other.test:8443");
    assert_eq!(
        (config.workspace.pids, config.workspace.cpu_millis),
        (99, 500)
    );
    assert_eq!(config.workspace.memory, 512 << 20);
    assert_eq!(config.listen.https.len(), 2);
    assert!(config.listen.http.is_empty());
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.idle.policy.timeout, None);
    assert_eq!(app(&config, "jupyter").port, 9999);
    assert_eq!(config.apps.len(), 1);
}

#[test]
fn a_site_behind_a_proxy_needs_no_certificate() {
    let text = SITE.replace(
        "[tls]\ncert = \"cert.pem\"\nkey = \"/etc/vestibule/key.pem\"\n",
        "",
    );
    let listen =
        "[listen]\nplain = \"127.0.0.1:8080\"\ntrusted_proxies = [\"127.0.0.1\", \"::1\"]\n";
    let config = read(&format!("{text}{listen}"), &[]).unwrap();
    assert!(config.tls.is_none() && config.listen.https.is_empty());
    assert!(config.listen.trusted_proxies[0].contains([127, 0, 0, 1].into()));
}

#[test]
fn a_network_holds_its_own_addresses_and_no_others() {
    for (network, prefix, address, inside) in [
        ("10.0.0.0", 8, "10.200.3.4", true),
        ("10.0.0.0", 8, "11.0.0.1", false),
        ("127.0.0.1", 32, "::ffff:127.0.0.1", true),
        ("0.0.0.0", 0, "8.8.8.8", true),
        ("::", 0, "2001:db8::1", true),
        ("2001:db8::", 32, "2001:db9::1", false),
        ("10.0.0.0", 8, "2001:db8::1", false),
    ] {
        let network = Network {
            address: network.parse().unwrap(),
            prefix,
        };
        assert_eq!(
            network.contains(address.parse().unwrap()),
            inside,
            "{network:?} {address}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        text in "([a-z_.]{0,9}|\\[|\\]|=|\"|\n|\\{|\\}|[0-9]{1,20}|,| |apps|workspace|session|keys|é){0,24}"
    ) {
        let _ = read(&text, &[]);
    }
}
