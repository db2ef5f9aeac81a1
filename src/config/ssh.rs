//! The `[ssh]` table.
//!
//! Promise: without `listen` there is no SSH; whoever listens has a way to log in.

use std::{path::Path, time::Duration};

use super::{Forward, Ssh, addresses, defaults, section::Section, values};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Reads `[ssh]`.
pub fn ssh(section: Section<'_>, base: &Path) -> Ssh {
    let listen = section.get("listen", values::list(addresses::address));
    let authorized_keys = section.get("authorized_keys", values::path(base));
    let keys_url = section.get("keys_url", addresses::key_set);
    let recheck = section.get("recheck", values::duration(Duration::from_secs(1), DAY));
    let max_age = section.get("max_age", values::duration(MINUTE, 30 * DAY));
    let rsa_host_key = section.get("rsa_host_key", values::yes_or_no);
    let approval = section.get("approval", values::yes_or_no);
    let forward = section.get(
        "forward",
        values::one_of(&[
            ("localhost", Forward::Localhost),
            ("any", Forward::Any),
            ("off", Forward::Off),
        ]),
    );
    let remote_forward = section.get("remote_forward", values::yes_or_no);
    let agent_forward = section.get("agent_forward", values::yes_or_no);
    let channels = section.get("channels", values::number(1, 10_000));
    let connections = section.get("connections", values::number(1, 100_000));
    let each_user = section.get("connections_per_user", values::number(1, 100_000));
    let unauthenticated = section.get("unauthenticated", values::number(1, 100_000));
    let each = section.get("unauthenticated_per_address", values::number(1, 100_000));
    section.finish();
    Ssh {
        listen: listen.unwrap_or_default(),
        authorized_keys,
        keys_url,
        recheck: recheck.unwrap_or(defaults::SSH_RECHECK),
        max_age: max_age.unwrap_or(defaults::SSH_MAX_AGE),
        rsa_host_key: rsa_host_key.unwrap_or(false),
        approval: approval.unwrap_or(true),
        forward: forward.unwrap_or(defaults::SSH_FORWARD),
        remote_forward: remote_forward.unwrap_or(true),
        agent_forward: agent_forward.unwrap_or(true),
        channels: channels.unwrap_or(defaults::SSH_CHANNELS),
        connections: connections.unwrap_or(defaults::SSH_CONNECTIONS),
        connections_per_user: each_user.unwrap_or(defaults::SSH_CONNECTIONS_EACH),
        unauthenticated: unauthenticated.unwrap_or(defaults::SSH_UNAUTHENTICATED),
        unauthenticated_per_address: each.unwrap_or(defaults::SSH_UNAUTHENTICATED_EACH),
    }
}
