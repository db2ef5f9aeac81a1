//! What nobody counts, as it is at the moment: workspaces and the key set.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use crate::{config::UsageOf, front::Shared, metrics::encode_family};

/// No labels at all.
const BARE: [(&str, &str); 0] = [];

/// Asks the rooms themselves.
pub struct Told(pub Arc<Shared>);

impl Told {
    fn usage(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let total = self.0.workspaces.usage_of_all();
        let cpu = [(BARE, ConstCounter::new(total.cpu.as_secs_f64()))];
        let help = "CPU time of all workspaces";
        encode_family(encoder, "workspaces_cpu_seconds", help, cpu)?;
        let help = "Memory of all running workspaces, without file cache";
        let memory = [(BARE, ConstGauge::new(total.memory))];
        encode_family(encoder, "workspaces_memory_bytes", help, memory)?;
        let help = "Disk that the users' directories take, as last measured";
        let disk = [(BARE, ConstGauge::new(total.disk))];
        encode_family(encoder, "workspaces_disk_bytes", help, disk)
    }

    fn usage_of_each(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.workspaces.usage_of_each();
        let label = |user: &str| [("user", user.to_owned())];
        let cpu = all.iter().map(|(user, usage)| {
            let cpu = usage.cpu_time.as_secs_f64();
            (label(user.as_str()), ConstCounter::new(cpu))
        });
        let help = "CPU time of a user's workspace";
        encode_family(encoder, "workspace_cpu_seconds", help, cpu)?;
        let memory = all.iter().filter_map(|(user, usage)| {
            let memory = usage.memory?;
            Some((label(user.as_str()), ConstGauge::new(memory)))
        });
        let help = "Memory of a user's running workspace, without file cache";
        encode_family(encoder, "workspace_memory_bytes", help, memory)?;
        let disk = all.iter().filter_map(|(user, usage)| {
            let disk = usage.disk?.bytes;
            Some((label(user.as_str()), ConstGauge::new(disk)))
        });
        let help = "Disk that a user's directory takes, as last measured";
        encode_family(encoder, "workspace_disk_bytes", help, disk)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tally = self.0.workspaces.tally();
        let states = tally.states.into_iter();
        let states = states.map(|(state, count)| ([("state", state)], ConstGauge::new(count)));
        encode_family(&mut encoder, "workspaces", "Workspaces, by state", states)?;
        let sockets = [(BARE, ConstGauge::new(tally.sockets))];
        let help = "WebSockets between users and their apps";
        encode_family(&mut encoder, "sockets_open", help, sockets)?;
        let ssh = [(BARE, ConstGauge::new(tally.ssh))];
        let help = "Channels of SSH connections into workspaces";
        encode_family(&mut encoder, "ssh_channels_open", help, ssh)?;
        let keys = self.0.sessions.jwks();
        let age = keys.and_then(|keys| keys.age_seconds);
        let age = age.map(|age| (BARE, ConstGauge::new(age)));
        let help = "Time since the web application's keys were last fetched";
        encode_family(&mut encoder, "jwks_age_seconds", help, age)?;
        let usage = self.0.config.metrics.usage;
        if usage != UsageOf::Nobody {
            self.usage(&mut encoder)?;
        }
        if usage == UsageOf::Each {
            self.usage_of_each(&mut encoder)?;
        }
        Ok(())
    }
}
