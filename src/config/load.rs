//! From the file and the environment to a [`Config`], with every mistake remembered.
//!
//! Imports the rest of `config`. Promise: all tables are read whatever is wrong with one of
//! them, and a [`Config`] leaves here only if nothing is.

use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Config, Engine, Limits, Listen, Log, LogFormat, Metrics, Site, TERMINAL, Tls, UsageOf,
    addresses, admin, apps, defaults, idle, keys,
    mistake::{ConfigErrors, Mistake, Read},
    node::{Node, Place, Table, parse},
    section::{Reading, Section},
    ssh, terminal, values, workspace,
};

const SECOND: Duration = Duration::from_secs(1);
/// More would be a slip: one thread serves some ten thousand requests a second.
const MOST_THREADS: usize = 1024;
/// More than the ports of one address; a system has its own bounds below this.
const MOST_CONNECTIONS: usize = 10_000_000;

impl Config {
    /// Reads a file, and the `VESTIBULE_` variables that stand for its keys.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        // A value that isn't Unicode is spoilt here and then refused by name: it isn't ignored.
        let env = std::env::vars_os().filter_map(|(name, value)| {
            let value = value.to_string_lossy().into_owned();
            Some((name.into_string().ok()?, value))
        });
        Self::read(path, env)
    }

    /// Reads a file, and in `env` the `VESTIBULE_` variables that stand for its keys.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn read(
        path: &Path,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let errors = |mistakes| ConfigErrors {
            path: path.to_owned(),
            mistakes,
        };
        let one = |place, what| errors(vec![Mistake { place, what }]);
        let text = fs::read_to_string(path)
            .map_err(|error| one(Place::File, format!("can't be read: {}", why(&error))))?;
        let table = parse(&text).map_err(|(place, what)| one(place, what))?;
        let absolute = std::path::absolute(path);
        let absolute = absolute.map_err(|error| one(Place::File, error.to_string()))?;
        let base = absolute.parent().unwrap_or(Path::new("/"));
        let reading = Reading::new(env);
        let config = config(&reading, table, base);
        let mistakes = reading.finish();
        config
            .filter(|_| mistakes.is_empty())
            .ok_or_else(|| errors(mistakes))
    }
}

/// Why the file can't be read, and what to do about it.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; `--config` names another".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8, as TOML must be".to_owned(),
        _ => error.to_string(),
    }
}

/// The whole; `None` only after a mistake was remembered.
pub(super) fn config(reading: &Reading, table: Table, base: &Path) -> Option<Config> {
    let top = Section::new(reading, "", Place::File, table);
    let site = site(&top);
    let state_dir = top.get("state_dir", values::path(base));
    let listen = listen(top.section("listen"));
    let tls = tls(top.section("tls"), listen.wants_tls, base);
    let session = keys::session(top.section("session"), base);
    let engine = engine(top.section("engine"), base);
    let workspace = workspace::workspace(top.section("workspace"), base);
    let shared = session
        .as_ref()
        .and_then(|session| session.shared_cookie.as_deref());
    let own: Vec<&str> = keys::OWN_COOKIES.into_iter().chain(shared).collect();
    let idle = idle::idle(top.section("idle"));
    let terminal = terminal::terminal(top.section("terminal"));
    let taken = terminal.as_ref().map(|_| TERMINAL);
    let apps = apps::apps(reading, top.section("apps"), &own, &idle.policy, taken);
    let ssh = ssh::ssh(top.section("ssh"), base);
    let limits = limits(top.section("limits"));
    let admin = admin::admin(top.section("admin"));
    let log = log(top.section("log"), base);
    let metrics = metrics(top.section("metrics"));
    let doors = || listen.listen.addresses();
    let others = ssh.listen.iter().chain(&metrics.listen);
    for twice in repeated(doors().chain(others)).difference(&repeated(doors())) {
        top.mistake(format!(
            "{twice} is to be listened on twice: by `ssh.listen` or `metrics.listen`, and another"
        ));
    }
    top.finish();
    Some(Config {
        site: site?,
        listen: listen.listen,
        tls,
        session: session?,
        engine,
        workspace,
        apps,
        idle,
        ssh,
        terminal,
        limits,
        admin,
        log,
        metrics,
        state_dir: state_dir.unwrap_or_else(|| PathBuf::from(defaults::STATE_DIR)),
    })
}

fn site(top: &Section<'_>) -> Option<Site> {
    let example = r#""https://ide.example.org""#;
    let origin = top.need("public_url", example, addresses::origin);
    let example = r#""https://www.example.org/vestibule/open""#;
    let login_url = top.need("login_url", example, addresses::page);
    let trusted_origins = top.get("trusted_origins", values::list(addresses::origin));
    let frame_ancestors = top.get("frame_ancestors", values::list(addresses::origin));
    let origin = origin?;
    let (_, authority) = origin.split_once("://")?;
    Some(Site {
        authority: authority.to_owned(),
        origin,
        login_url: login_url?,
        trusted_origins: trusted_origins.unwrap_or_default(),
        frame_ancestors: frame_ancestors.unwrap_or_default(),
    })
}

/// `[listen]`, and whether it needs a certificate.
struct Listening {
    listen: Listen,
    wants_tls: bool,
}

fn listen(section: Section<'_>) -> Listening {
    let [https, http, plain] = ["https", "http", "plain"].map(|key| {
        let given = section.is_there(key);
        (given, section.get(key, values::list(addresses::address)))
    });
    let all = [&https, &http, &plain];
    let none_given = all.iter().all(|(given, _)| !given);
    // After a mistake in a list, it is not known which addresses were meant.
    let all_read = all
        .iter()
        .all(|(given, addresses)| !given || addresses.is_some());
    let wants_tls = none_given || https.1.as_ref().map_or(https.0, |https| !https.is_empty());
    let proxies_given = section.is_there("trusted_proxies");
    let proxies = section.get("trusted_proxies", values::list(addresses::network));
    let proxies_read = !proxies_given || proxies.is_some();
    let threads = section.get("threads", values::number(1, MOST_THREADS));
    let usual = |address| {
        if none_given {
            vec![address]
        } else {
            Vec::new()
        }
    };
    let listen = Listen {
        https: https.1.unwrap_or_else(|| usual(defaults::HTTPS)),
        http: http.1.unwrap_or_else(|| usual(defaults::HTTP)),
        plain: plain.1.unwrap_or_default(),
        trusted_proxies: proxies.unwrap_or_default(),
        threads: threads.unwrap_or_else(defaults::threads),
    };
    if all_read && listen.https.is_empty() && listen.plain.is_empty() {
        section.mistake("`listen` needs addresses in `https` or `plain`");
    }
    if proxies_read && !listen.plain.is_empty() && listen.trusted_proxies.is_empty() {
        section.mistake(
            "`listen.plain` serves trusted proxies alone: name them in `listen.trusted_proxies`",
        );
    }
    for twice in repeated(listen.addresses()) {
        section.mistake(format!("`listen` names {twice} twice"));
    }
    section.finish();
    Listening { listen, wants_tls }
}

/// Addresses that can't be bound more than once; port 0 is another port each time.
fn repeated<'a>(all: impl Iterator<Item = &'a SocketAddr>) -> BTreeSet<SocketAddr> {
    let mut seen = BTreeSet::new();
    all.filter(|address| address.port() != 0 && !seen.insert(**address))
        .copied()
        .collect()
}

fn tls(section: Section<'_>, wanted: bool, base: &Path) -> Option<Tls> {
    let file = |key, example| {
        if wanted {
            section.need(key, example, values::path(base))
        } else {
            section.get(key, values::path(base))
        }
    };
    let cert = file("cert", r#""/etc/vestibule/fullchain.pem""#);
    let key = file("key", r#""/etc/vestibule/privkey.pem""#);
    section.finish();
    let tls = Tls {
        cert: cert?,
        key: key?,
    };
    wanted.then_some(tls)
}

fn engine(section: Section<'_>, base: &Path) -> Engine {
    let socket = section.get("socket", values::path(base));
    let timeout = section.get("timeout", values::duration(SECOND, SECOND * 600));
    section.finish();
    Engine {
        socket: socket.unwrap_or_else(|| defaults::SOCKET.into()),
        timeout: timeout.unwrap_or(defaults::ENGINE_TIMEOUT),
    }
}

fn limits(section: Section<'_>) -> Limits {
    let count = || values::number(1, MOST_CONNECTIONS);
    let connections = section.get("connections", count());
    let each = section.get("connections_per_address", count());
    section.finish();
    Limits {
        connections: connections.unwrap_or(defaults::CONNECTIONS),
        connections_per_address: each.unwrap_or(defaults::CONNECTIONS_PER_ADDRESS),
    }
}

fn metrics(section: Section<'_>) -> Metrics {
    let listen = section.get("listen", values::list(addresses::address));
    let words = &[
        ("nobody", UsageOf::Nobody),
        ("all", UsageOf::All),
        ("each", UsageOf::Each),
    ];
    let usage = section.get("usage", values::one_of(words));
    section.finish();
    Metrics {
        listen: listen.unwrap_or_default(),
        usage: usage.unwrap_or(defaults::USAGE),
    }
}

fn log(section: Section<'_>, base: &Path) -> Log {
    let formats = &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    let format = section.get("format", values::one_of(formats));
    let filter = section.get("filter", filter);
    let audit = section.get("audit", values::path(base));
    section.finish();
    Log {
        format: format.unwrap_or(defaults::LOG_FORMAT),
        audit,
        filter: filter.unwrap_or_else(|| defaults::FILTER.to_owned()),
    }
}

fn filter(node: &Node) -> Read<String> {
    let text = values::text(node)?;
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let what = r#"must be a log filter such as "info" or "info,vestibule=debug""#;
            Err(format!("{what}, not {text:?}: {error}").into())
        }
    }
}
