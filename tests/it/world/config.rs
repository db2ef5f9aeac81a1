//! The configuration of a world.

use super::World;

/// The recording app, by configuration alone: a small server from the image's Python.
pub const RECORDER: &str = r#"
[apps.recorder]
title = "Recorder"
command = ["python3", "/opt/recorder/recorder.py", "9000", "{user}", "{prefix}", "{secret}"]
port = 9000
prefix = "strip"
ready_path = "/ready"
headers = { x-recorder-secret = "{secret}" }
cookies = { recorder-secret = "{secret}" }

[apps.keeper]
title = "The same, with its prefix kept"
command = ["python3", "/opt/recorder/recorder.py", "9001", "{user}", "{prefix}", "{secret}"]
port = 9001
prefix = "keep"
ready_path = "{prefix}ready"
"#;

/// What every world's `proxy.toml` begins as.
pub fn usual(world: &World) -> String {
    let World {
        dir,
        id,
        origin,
        https,
        http,
        site,
        network,
        docker,
        ..
    } = world;
    let dir = dir.display();
    let socket = docker.socket();
    format!(
        r#"
public_url = "{origin}"
login_url = "http://{site}/vestibule/open"
state_dir = "{dir}/state"

[listen]
https = ["{https}"]
http = ["{http}"]
threads = 2

[tls]
cert = "{dir}/cert.pem"
key = "{dir}/key.pem"

[session]
audience = "vestibule"
keys = [
    {{ algorithm = "HS256", file = "{dir}/shared.key" }},
    {{ algorithm = "RS256", file = "{dir}/rs256.pub", id = "rs256" }},
    {{ algorithm = "ES256", file = "{dir}/es256.pub", id = "es256" }},
    {{ algorithm = "EdDSA", file = "{dir}/eddsa.pub", id = "eddsa" }},
]

[engine]
socket = "{socket}"

[workspace]
image = "vestibule-workspace:slim"
data_root = "{dir}/data"
network = "{network}"
patience = "1s"
ready_timeout = "60s"
env = {{ WORLD = "{id}" }}
mounts = [{{ source = "{dir}/recorder", target = "/opt/recorder" }}]

[log]
format = "json"
filter = "info,vestibule=trace"
"#
    )
}

/// Writes `over` into `under`, table by table; anything but a table is replaced.
pub fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
