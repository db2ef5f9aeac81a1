//! What Docker says, in our words, and what we ask of it, in its own (Docker Engine API 1.41).

use std::{collections::HashMap, time::Duration};

use bollard::{
    errors::Error,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum,
        ContainerStatsResponse, EndpointSettings, EventMessage, HostConfig, Mount, MountType,
        NetworkInspect, NetworkingConfig,
    },
};

use super::{Container, ContainerSpec, EngineError, Event, Run, Usage};

/// Length of the window in which the kernel counts CPU quota, in microseconds.
const CPU_PERIOD: i64 = 100_000;

/// The option that names a network's bridge, which may then be one that the host has for more
/// (Docker's documentation of the bridge network driver).
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// What failed.
pub fn typed(error: Error, timeout: Duration) -> EngineError {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => {
            let text = message.to_lowercase();
            if text.contains("no such image") {
                let name = message.rsplit("image: ").next().unwrap_or_default();
                EngineError::ImageMissing(name.trim().to_owned())
            } else if text.contains("no space left") {
                EngineError::DiskFull
            } else if text.contains("network") && text.contains("not found") {
                EngineError::NetworkMissing
            } else if status_code == 404 {
                EngineError::ContainerGone
            } else {
                EngineError::Refused(message)
            }
        }
        Error::RequestTimeoutError => EngineError::Timeout(timeout.as_secs()),
        Error::JsonDataError { message, .. } => EngineError::Refused(message),
        _ => EngineError::Unreachable,
    }
}

/// The bridge that the engine made for a network alone, if it has no use for IPv6: called after
/// the network's id.
pub fn bridge(network: &NetworkInspect) -> Option<String> {
    let options = network.options.as_ref();
    let named = options.is_some_and(|options| options.contains_key(BRIDGE_NAME));
    if named || network.enable_ipv6 == Some(true) {
        return None;
    }
    Some(format!("br-{}", network.id.as_ref()?.get(..12)?))
}

/// A container that was looked at.
pub fn container(seen: ContainerInspectResponse) -> Container {
    let state = seen.state.unwrap_or_default();
    let networks = seen.network_settings.and_then(|settings| settings.networks);
    let addr = networks
        .unwrap_or_default()
        .into_values()
        .find_map(|endpoint| endpoint.ip_address.and_then(|address| address.parse().ok()));
    let labels = seen
        .config
        .and_then(|config| config.labels)
        .unwrap_or_default();
    Container {
        id: seen.id.unwrap_or_default().into(),
        labels: labels.into_iter().collect(),
        run: match state.status {
            Some(ContainerStateStatusEnum::RUNNING) => Run::Running,
            Some(ContainerStateStatusEnum::PAUSED) => Run::Paused,
            _ => Run::Stopped,
        },
        addr,
        out_of_memory: state.oom_killed.unwrap_or_default(),
        started_at: state.started_at.unwrap_or_default(),
    }
}

/// Something that happened, if it is of any use to us.
pub fn event(message: EventMessage) -> Option<Event> {
    let id = message.actor.as_ref()?.id.clone()?;
    let action = message.action?;
    if action == "oom" {
        return Some(Event::OutOfMemory { id });
    }
    if action == "exec_die" {
        let exec = message.actor?.attributes?.remove("execID")?;
        return Some(Event::ExecEnded { id, exec });
    }
    let changes = ["start", "die", "destroy", "pause", "unpause", "create"];
    changes
        .contains(&action.as_str())
        .then_some(Event::Container { id })
}

/// What to make a container of.
pub fn creation(spec: &ContainerSpec) -> ContainerCreateBody {
    let mount = |(source, target, read_only): &(String, String, bool)| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.clone()),
        target: Some(target.clone()),
        read_only: Some(*read_only),
        ..Default::default()
    };
    let memory = i64::try_from(spec.memory).unwrap_or(i64::MAX);
    let host = HostConfig {
        memory: Some(memory),
        // Equal limits: no swap beside it (docker run reference, --memory-swap).
        memory_swap: Some(memory),
        cpu_period: Some(CPU_PERIOD),
        cpu_quota: Some(i64::from(spec.cpu_millis) * CPU_PERIOD / 1000),
        pids_limit: Some(spec.pids.into()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(spec.capabilities.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        network_mode: Some(spec.network.clone()),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        init: Some(true),
        ..Default::default()
    };
    let endpoints = HashMap::from([(spec.network.clone(), EndpointSettings::default())]);
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        env: Some(spec.env.clone()),
        open_stdin: Some(true),
        tty: Some(true),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(endpoints),
        }),
        ..Default::default()
    }
}

/// What a container uses.
pub fn usage(seen: ContainerStatsResponse) -> Usage {
    let cpu = seen.cpu_stats.and_then(|cpu| cpu.cpu_usage);
    let memory = seen.memory_stats.unwrap_or_default();
    // Of cgroup v1 and v2 (Docker's documentation of `docker stats`).
    let parts = memory.stats.unwrap_or_default();
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|name| parts.get(*name));
    Usage {
        cpu_nanos: cpu.and_then(|cpu| cpu.total_usage).unwrap_or_default(),
        memory: memory
            .usage
            .unwrap_or_default()
            .saturating_sub(cache.copied().unwrap_or_default()),
        memory_limit: memory.limit.unwrap_or_default(),
    }
}
