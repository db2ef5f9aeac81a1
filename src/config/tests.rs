//! What the reader takes, and what it says of all else.

use std::{fs, path::PathBuf, time::Duration};

use proptest::prelude::*;

use super::{Config, ConfigErrors, LogFormat, Network, Place, Prefix};
use crate::{names::AppName, secret::random_id};

/// A directory with keys, gone after the test.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SITE: &str = r#"
public_url = "https://IDE.example.org:443"
login_url = "https://www.example.org/open"

[tls]
cert = "cert.pem"
key = "key.pem"

[session]
keys = [{ algorithm = "HS256", file = "shared.key" }]
"#;

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let dir = Dir(std::env::temp_dir().join(format!("vestibule-config-{}", random_id())));
    fs::create_dir(&dir.0).unwrap();
    fs::write(
        dir.0.join("shared.key"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    fs::write(dir.0.join("short.key"), "short").unwrap();
    fs::write(dir.0.join("public.pem"), "-----BEGIN PUBLIC KEY-----\n").unwrap();
    fs::write(dir.0.join("proxy.toml"), text).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load_with(&dir.0.join("proxy.toml"), env)
}

/// The mistakes in a text that follows a good site's.
fn mistakes(more: &str) -> Vec<String> {
    let errors = load(&format!("{SITE}{more}"), &[]).unwrap_err();
    errors
        .mistakes
        .into_iter()
        .map(|mistake| mistake.what)
        .collect()
}

#[test]
fn a_site_of_ten_lines_is_whole() {
    let config = load(SITE, &[]).unwrap();
    assert_eq!(config.site.origin, "https://ide.example.org");
    assert_eq!(config.site.authority, "ide.example.org");
    assert_eq!(config.listen.https, ["[::]:443".parse().unwrap()]);
    assert_eq!(config.workspace.memory, 8 << 30);
    assert_eq!(config.workspace.cpu_millis, 2000);
    assert_eq!(config.idle.timeout, Some(Duration::from_mins(30)));
    assert!(config.tls.unwrap().cert.is_absolute());
    assert_eq!(config.session.keys[0].material.expose().len(), 32);
    let apps: Vec<_> = config.apps.keys().map(AppName::as_str).collect();
    assert_eq!(apps, ["codespace", "jupyter"]);
    assert_eq!(
        config.apps[&AppName::parse("jupyter").unwrap()].prefix,
        Prefix::Keep
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = "public_url = \"x\"\nlogin_ulr = \"https://a.test/\"\n[workspace]\ndata_rot = \"/x\"\npatience = \"soon\"\n";
    let errors = load(text, &[("VESTIBULE_WORKSPACE_MEMORY", "lots")]).unwrap_err();
    let told = errors.to_string();
    for expected in [
        "proxy.toml:1: `public_url` must be an origin",
        "proxy.toml:2: there is no key `login_ulr`; did you mean `login_url`?",
        "`login_url` is missing",
        "proxy.toml:4: there is no key `workspace.data_rot`; did you mean `data_root`?",
        "proxy.toml:5: `workspace.patience` must be a time from 0s to 20s",
        "VESTIBULE_WORKSPACE_MEMORY: `workspace.memory` must be a size",
        "`tls.cert` is missing",
        "`session.keys` is missing",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
    let errors = load("a = [\n", &[]).unwrap_err();
    assert!(matches!(errors.mistakes[0].place, Some(Place::Line(_))));
}

#[test]
fn each_rule_has_its_own_words() {
    for (more, told) in [
        ("[idle]\ntimeout = \"0s\"", "idle.timeout"),
        ("[idle]\ntimeout = 30", "such as \"30m\""),
        ("[listen]\nplain = [\"127.0.0.1:80\"]", "trusted_proxies"),
        (
            "[listen]\nhttp = [\"127.0.0.1:80\"]",
            "needs `https` or `plain`",
        ),
        ("[listen]\nhttps = [\"localhost\"]", "an address and a port"),
        ("[listen]\nhttps = [\"[::]:1\", \"[::]:1\"]", "twice"),
        ("[listen]\ntrusted_proxies = [\"10.0.0.0/33\"]", "a network"),
        ("[workspace]\ncpus = 0", "CPUs"),
        ("[workspace]\nmemory = \"1m\"", "at least 64m"),
        ("[workspace]\nnetwork = \"a b\"", "docker"),
        (
            "[workspace]\nmounts = [{ source = \"/x\", target = \"/home\" }]",
            "outside of /home/user",
        ),
        (
            "[workspace]\nmounts = [{ source = \"/x\" }]",
            "target` is missing",
        ),
        ("[workspace]\ncapabilities = [\"ALL\"]", "names such as"),
        ("[apps.rstudio]\nport = 80", "command` is missing"),
        (
            "[apps.Bad]\nport = 80\ncommand = [\"x\"]",
            "not an app name",
        ),
        ("[apps.x]\nport = 8080\ncommand = [\"x\"]", "the port of"),
        ("[apps.x]\nport = 1\ncommand = [\"{users}\"]", "{users}"),
        ("[apps.x]\nport = 1\ncommand = []", "must name a program"),
        (
            "[apps.x]\nport = 1\ncommand = [\"x\"]\nheaders = { Host = \"y\" }",
            "set by vestibule",
        ),
        (
            "[apps.x]\nport = 1\ncommand = [\"x\"]\nheaders = { a = \"b\\r\" }",
            "can't hold the header",
        ),
        (
            "[apps.x]\nport = 1\ncommand = [\"x\"]\ncookies = { __Host-vestibule-state = \"y\" }",
            "own",
        ),
        (
            "[apps.x]\nport = 1\ncommand = [\"x\"]\nready_path = \"y\"",
            "must begin with",
        ),
        (
            "[apps.codespace]\nenabled = false\n[apps.jupyter]\nenabled = false",
            "no app",
        ),
        ("[log]\nformat = \"xml\"", "\"pretty\", \"json\""),
        ("[limits]\nconnections = 0", "a whole number"),
        ("[session.more]\nx = 1", "session.more"),
    ] {
        let all = mistakes(&format!("\n{more}\n")).join("\n");
        let told = told.replace("docker", "letters, digits");
        assert!(all.contains(&told), "{more}\n{told:?} is not in: {all}");
    }
    for (key, told) in [
        (
            "{ algorithm = \"HS256\", file = \"short.key\" }",
            "at least 32",
        ),
        (
            "{ algorithm = \"HS256\", file = \"public.pem\" }",
            "HS256 wants a shared secret",
        ),
        (
            "{ algorithm = \"RS256\", file = \"shared.key\" }",
            "no PEM file",
        ),
        (
            "{ algorithm = \"none\", file = \"shared.key\" }",
            "must be one of",
        ),
        (
            "{ algorithm = \"HS256\", file = \"absent.key\" }",
            "can't be read",
        ),
        (
            "{ algorithm = \"HS256\", file = \"shared.key\" }, { algorithm = \"HS256\", file = \"shared.key\" }",
            "told apart",
        ),
    ] {
        let text = SITE.replace("{ algorithm = \"HS256\", file = \"shared.key\" }", key);
        let all = load(&text, &[]).unwrap_err().to_string();
        assert!(all.contains(told), "{key}\n{told:?} is not in: {all}");
    }
    let cookie = SITE.replace(
        "[session]",
        "[session]\nshared_cookie = \"__host-vestibule-session\"",
    );
    assert!(
        load(&cookie, &[])
            .unwrap_err()
            .to_string()
            .contains("vestibule's own")
    );
}

#[test]
fn an_app_is_changed_key_by_key_or_added() {
    let more = "[apps.jupyter]\ntitle = \"Notebooks\"\n[apps.codespace]\nenabled = false\n\
                [apps.marimo]\ncommand = [\"marimo\"]\nport = 2718\nprefix = \"strip\"\n";
    let config = load(&format!("{SITE}{more}"), &[]).unwrap();
    let apps: Vec<_> = config
        .apps
        .iter()
        .map(|(name, app)| (name.as_str(), app.title.as_str(), app.port))
        .collect();
    assert_eq!(
        apps,
        [("jupyter", "Notebooks", 8888), ("marimo", "marimo", 2718)]
    );
}

#[test]
fn the_environment_stands_above_the_file() {
    let env = [
        ("VESTIBULE_PUBLIC_URL", "https://other.test:8443"),
        ("VESTIBULE_WORKSPACE_PIDS", "99"),
        ("VESTIBULE_LISTEN_HTTPS", "127.0.0.1:1, 127.0.0.1:2"),
        ("VESTIBULE_LOG_FORMAT", "json"),
        ("VESTIBULE_APPS_JUPYTER_PORT", "9999"),
    ];
    let config = load(SITE, &env).unwrap();
    assert_eq!(config.site.authority, "other.test:8443");
    assert_eq!(config.workspace.pids, 99);
    assert_eq!(config.listen.https.len(), 2);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.apps[&AppName::parse("jupyter").unwrap()].port, 9999);
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
    fn no_text_makes_the_reader_panic(text in "([a-z_.]{0,9}|\\[|\\]|=|\"|\n|\\{|\\}|[0-9]{1,20}|,| |apps|workspace|session|keys|é){0,24}") {
        let _ = load(&text, &[]);
    }
}
