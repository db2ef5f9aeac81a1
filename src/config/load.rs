//! From the file and the environment to a [`Config`], with every mistake remembered.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Algorithm, Config, Engine, Idle, Isolation, Key, Limits, Listen, Log, LogFormat, Mount,
    Session, Site, Tls, Workspace, apps, defaults,
    mistake::{ConfigErrors, Mistake},
    node::{Node, Table, Value, parse},
    section::{Reading, Section},
    values,
};
use crate::secret::Secret;

/// Cookies that are ours under every configuration.
const OWN_COOKIES: [&str; 2] = ["__Host-vestibule-session", "__Host-vestibule-state"];
/// Fewest bytes of a shared secret: the length of the hash (RFC 7518 3.2).
const SHORTEST_SECRET: usize = 32;
const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

impl Config {
    /// Reads a file, and the `VESTIBULE_` variables that stand for its keys.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        // A variable that isn't Unicode can't be one of ours.
        let env = std::env::vars_os();
        let env = env.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::load_with(path, env)
    }

    pub(super) fn load_with(
        path: &Path,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let errors = |mistakes| ConfigErrors {
            path: path.to_owned(),
            mistakes,
        };
        let one = |place, what| errors(vec![Mistake { place, what }]);
        let text = fs::read_to_string(path).map_err(|error| {
            one(
                None,
                format!("can't be read: {error}; is it there? (`--config` names another)"),
            )
        })?;
        let table = parse(&text).map_err(|(place, what)| one(Some(place), what))?;
        let absolute = std::path::absolute(path).map_err(|error| one(None, error.to_string()))?;
        let base = absolute.parent().unwrap_or(Path::new("/"));
        let reading = Reading::new(env);
        let config = config(&reading, table, base);
        let mistakes = reading.finish();
        config
            .filter(|_| mistakes.is_empty())
            .ok_or_else(|| errors(mistakes))
    }
}

/// The whole; `None` only after a mistake was remembered.
fn config(reading: &Reading, table: Table, base: &Path) -> Option<Config> {
    let top = Section::new(reading, "", table, None);
    let site = site(&top);
    let state_dir = top
        .get("state_dir", values::path(base))
        .unwrap_or_else(|| defaults::STATE_DIR.into());
    let listen = listen(top.section("listen"));
    let tls = tls(top.section("tls"), &listen, base);
    let session = session(top.section("session"), base);
    let engine = engine(top.section("engine"), base);
    let workspace = workspace(top.section("workspace"), base);
    let shared = session
        .as_ref()
        .and_then(|session| session.shared_cookie.as_deref());
    let own: Vec<&str> = OWN_COOKIES.into_iter().chain(shared).collect();
    let apps = apps::read(reading, top.section("apps"), &own);
    if apps.is_empty() {
        reading.mistake(None, "there is no app to open: `apps` leaves none enabled");
    }
    let idle = idle(top.section("idle"));
    let limits = limits(top.section("limits"));
    let log = log(top.section("log"));
    top.finish();
    Some(Config {
        site: site?,
        listen,
        tls,
        session: session?,
        engine,
        workspace,
        apps,
        idle,
        limits,
        log,
        state_dir,
    })
}

fn site(top: &Section<'_>) -> Option<Site> {
    let origin = top.need("public_url", values::origin);
    let login_url = top.need("login_url", values::url);
    let trusted_origins = top.get("trusted_origins", values::list(values::origin));
    let frame_ancestors = top.get("frame_ancestors", values::list(values::origin));
    let origin = origin?;
    let authority = origin
        .split_once("://")
        .map(|(_, authority)| authority.to_owned())?;
    Some(Site {
        origin,
        authority,
        login_url: login_url?,
        trusted_origins: trusted_origins.unwrap_or_default(),
        frame_ancestors: frame_ancestors.unwrap_or_default(),
    })
}

fn listen(section: Section<'_>) -> Listen {
    let addresses = || values::list(values::address);
    let any = ["https", "http", "plain"]
        .iter()
        .any(|key| section.is_there(key));
    let usual = |addr| if any { Vec::new() } else { vec![addr] };
    let https = section
        .get("https", addresses())
        .unwrap_or_else(|| usual(defaults::HTTPS));
    let http = section
        .get("http", addresses())
        .unwrap_or_else(|| usual(defaults::HTTP));
    let plain = section.get("plain", addresses()).unwrap_or_default();
    let trusted_proxies = section
        .get("trusted_proxies", values::list(values::network))
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = section.get("threads", values::number(1, 1024));
    if https.is_empty() && plain.is_empty() {
        section.mistake("`listen` needs `https` or `plain` addresses");
    }
    if !plain.is_empty() && trusted_proxies.is_empty() {
        section.mistake(
            "`listen.plain` is for trusted proxies alone: name them in `listen.trusted_proxies`",
        );
    }
    let all: Vec<_> = https
        .iter()
        .chain(&http)
        .chain(&plain)
        .filter(|addr| addr.port() != 0)
        .collect();
    if all.iter().collect::<BTreeSet<_>>().len() < all.len() {
        section.mistake("`listen` names the same address twice");
    }
    section.finish();
    Listen {
        https,
        http,
        plain,
        trusted_proxies,
        threads: threads
            .and_then(|threads| usize::try_from(threads).ok())
            .unwrap_or(cores),
    }
}

fn tls(section: Section<'_>, listen: &Listen, base: &Path) -> Option<Tls> {
    let needed = !listen.https.is_empty();
    let file = |key| {
        if needed {
            section.need(key, values::path(base))
        } else {
            section.get(key, values::path(base))
        }
    };
    let (cert, key) = (file("cert"), file("key"));
    section.finish();
    Some(Tls {
        cert: cert?,
        key: key?,
    })
}

fn session(section: Section<'_>, base: &Path) -> Option<Session> {
    let keys = section.need("keys", |node| match &node.value {
        Value::Array(items) => Ok(items.clone()),
        other => Err(format!("must be a list of keys, not {other}")),
    });
    let keys = keys.map(|items| {
        if items.is_empty() {
            section.mistake("`session.keys` needs at least one key");
        }
        let keys = items
            .into_iter()
            .filter_map(|item| key(section.reading, item, base));
        keys.collect::<Vec<_>>()
    });
    if let Some(keys) = &keys {
        let names: BTreeSet<_> = keys
            .iter()
            .map(|key| (&key.id, key.id.is_none().then_some(key.algorithm as u8)))
            .collect();
        if names.len() < keys.len() {
            section
                .mistake("two of `session.keys` can't be told apart: give each an `id` of its own");
        }
    }
    let audience = section.get("audience", values::text);
    let issuer = section.get("issuer", values::text);
    let shared_cookie = section.get("shared_cookie", |node| {
        let name = values::text(node)?;
        if !values::is_token(&name) {
            Err(format!("must be the name of a cookie, not {name:?}"))
        } else if OWN_COOKIES
            .iter()
            .any(|own| own.eq_ignore_ascii_case(&name))
        {
            Err(format!("can't be {name}: that is vestibule's own"))
        } else {
            Ok(name)
        }
    });
    let lifetime = section.get(
        "lifetime",
        values::duration(Duration::from_mins(1), DAY * 30),
    );
    section.finish();
    Some(Session {
        keys: keys?,
        audience: audience.unwrap_or_else(|| defaults::AUDIENCE.to_owned()),
        issuer,
        shared_cookie,
        lifetime: lifetime.unwrap_or(defaults::LIFETIME),
    })
}

fn key(reading: &Reading, item: Node, base: &Path) -> Option<Key> {
    let Value::Table(table) = item.value else {
        reading.mistake(
            Some(item.place),
            "each of `session.keys` must be a table with `algorithm` and `file`",
        );
        return None;
    };
    let section = Section::new(reading, "session.keys", table, Some(item.place));
    let id = section.get("id", values::text);
    let algorithms = &[
        ("HS256", Algorithm::Hs256),
        ("RS256", Algorithm::Rs256),
        ("ES256", Algorithm::Es256),
        ("EdDSA", Algorithm::EdDsa),
    ];
    let algorithm = section.need("algorithm", values::one_of(algorithms));
    let material = section.need("file", |node| {
        let path = values::path(base)(node)?;
        material(&path, algorithm).map_err(|what| format!("{}: {what}", path.display()))
    });
    section.finish();
    Some(Key {
        id,
        algorithm: algorithm?,
        material: material?,
    })
}

/// Reads a key file, and judges whether it can be what it is said to be (RFC 8725 3.2, 3.5).
fn material(path: &Path, algorithm: Option<Algorithm>) -> Result<Secret, String> {
    let mut bytes = fs::read(path).map_err(|error| format!("can't be read: {error}"))?;
    let is_pem = bytes.starts_with(b"-----BEGIN ");
    match algorithm {
        Some(Algorithm::Hs256) => {
            if bytes.ends_with(b"\n") {
                bytes.pop();
                bytes.pop_if(|last| *last == b'\r');
            }
            if is_pem {
                return Err("is a PEM file; HS256 wants a shared secret".to_owned());
            }
            if bytes.len() < SHORTEST_SECRET {
                return Err(format!(
                    "holds {} bytes; a shared secret has at least {SHORTEST_SECRET} (`openssl rand -hex 32` makes one)",
                    bytes.len()
                ));
            }
        }
        Some(_) if !is_pem => {
            return Err("is no PEM file; this algorithm wants a public key in PEM".to_owned());
        }
        _ => {}
    }
    Ok(Secret::new(bytes))
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

fn workspace(section: Section<'_>, base: &Path) -> Workspace {
    let isolations = &[("refuse", Isolation::Refuse), ("warn", Isolation::Warn)];
    let image = section.get("image", values::text);
    let data_root = section.get("data_root", values::path(base));
    let network = section.get("network", values::docker_name);
    let isolation = section.get("isolation", values::one_of(isolations));
    let memory = section.get("memory", values::size);
    let cpus = section.get("cpus", values::cpus);
    let pids = section.get("pids", values::number(16, 1 << 22));
    let capabilities = section.get("capabilities", values::list(capability));
    let mounts = section
        .take("mounts")
        .map(|node| mounts(section.reading, node, base));
    let env = section.get("env", apps::map(apps::variable));
    let max_starting = section.get("max_starting", values::number(1, 1000));
    let patience = section.get("patience", values::duration(Duration::ZERO, SECOND * 20));
    let ready_timeout = section.get("ready_timeout", values::duration(SECOND, SECOND * 3600));
    let stop_grace = section.get("stop_grace", values::duration(SECOND, SECOND * 600));
    section.finish();
    Workspace {
        image: image.unwrap_or_else(|| defaults::IMAGE.to_owned()),
        data_root: data_root.unwrap_or_else(|| defaults::DATA_ROOT.into()),
        network: network.unwrap_or_else(|| defaults::NETWORK.to_owned()),
        isolation: isolation.unwrap_or(Isolation::Refuse),
        memory: memory.unwrap_or(defaults::MEMORY),
        cpu_millis: cpus.unwrap_or(defaults::CPU_MILLIS),
        pids: u32::try_from(pids.unwrap_or(defaults::PIDS)).unwrap_or(u32::MAX),
        capabilities: capabilities.unwrap_or_default(),
        mounts: mounts.unwrap_or_default(),
        env: env.unwrap_or_default(),
        max_starting: usize::try_from(max_starting.unwrap_or(defaults::MAX_STARTING)).unwrap_or(1),
        patience: patience.unwrap_or(defaults::PATIENCE),
        ready_timeout: ready_timeout.unwrap_or(defaults::READY_TIMEOUT),
        stop_grace: stop_grace.unwrap_or(defaults::STOP_GRACE),
    }
}

fn capability(node: &Node) -> Result<String, String> {
    let text = values::text(node)?.to_ascii_uppercase();
    let name = text.strip_prefix("CAP_").unwrap_or(&text);
    let allowed = |c: u8| c.is_ascii_uppercase() || c == b'_';
    if name.bytes().all(allowed) && name != "ALL" {
        Ok(name.to_owned())
    } else {
        Err(format!("must hold names such as \"NET_RAW\", not {text:?}"))
    }
}

fn mounts(reading: &Reading, node: Node, base: &Path) -> Vec<Mount> {
    let Value::Array(items) = node.value else {
        reading.mistake(
            Some(node.place),
            format!("`workspace.mounts` must be a list, not {}", node.value),
        );
        return Vec::new();
    };
    let mounts = items.into_iter().filter_map(|item| {
        let Node {
            place,
            value: Value::Table(table),
        } = item
        else {
            reading.mistake(
                Some(item.place),
                "each of `workspace.mounts` must be a table with `source` and `target`",
            );
            return None;
        };
        mount(
            Section::new(reading, "workspace.mounts", table, Some(place)),
            base,
        )
    });
    let mounts: Vec<Mount> = mounts.collect();
    let targets: BTreeSet<_> = mounts.iter().map(|mount| &mount.target).collect();
    if targets.len() < mounts.len() {
        reading.mistake(
            Some(node.place),
            "two of `workspace.mounts` have the same target",
        );
    }
    mounts
}

fn mount(section: Section<'_>, base: &Path) -> Option<Mount> {
    let source = section.need("source", values::path(base));
    let target = section.need("target", |node| {
        let text = values::text(node)?;
        let path = PathBuf::from(&text);
        let home = Path::new("/home/user");
        let plain = path.is_absolute() && !text.contains("..");
        if !plain || path.starts_with(home) || home.starts_with(&path) {
            return Err(format!(
                "must be an absolute path outside of /home/user, not {text:?}"
            ));
        }
        Ok(text)
    });
    let optional = section.get("optional", values::yes_or_no);
    section.finish();
    Some(Mount {
        source: source?,
        target: target?,
        optional: optional.unwrap_or_default(),
    })
}

fn idle(section: Section<'_>) -> Idle {
    let timeout = section.get("timeout", |node| match &node.value {
        Value::Text(text) if text == "never" => Ok(None),
        _ => values::duration(SECOND, DAY * 365)(node).map(Some),
    });
    section.finish();
    Idle {
        timeout: timeout.unwrap_or(Some(defaults::IDLE_TIMEOUT)),
    }
}

fn limits(section: Section<'_>) -> Limits {
    let count = |key, default| {
        let read = section.get(key, values::number(1, 10_000_000));
        usize::try_from(read.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let connections = count("connections", defaults::CONNECTIONS);
    let connections_per_address =
        count("connections_per_address", defaults::CONNECTIONS_PER_ADDRESS);
    section.finish();
    Limits {
        connections,
        connections_per_address,
    }
}

fn log(section: Section<'_>) -> Log {
    let formats = &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    let format = section.get("format", values::one_of(formats));
    let filter = section.get("filter", |node| {
        let text = values::text(node)?;
        let checked = tracing_subscriber::EnvFilter::try_new(&text);
        checked.map_err(|error| format!("must be a log filter such as \"info\": {error}"))?;
        Ok(text)
    });
    section.finish();
    Log {
        format: format.unwrap_or(LogFormat::Pretty),
        filter: filter.unwrap_or_else(|| defaults::FILTER.to_owned()),
    }
}
