//! An explanation for eyes.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use super::explain::{ClockTold, CpuTold, Explanation, PolicyTold, SocketTold, StopTold};

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.apps.join(", ") {
            _ if self.stop.is_none() => writeln!(f, "{} is {}", self.user, self.state)?,
            apps if apps.is_empty() => writeln!(f, "{} is {}, no app", self.user, self.state)?,
            apps => writeln!(f, "{} is {}, {apps}", self.user, self.state)?,
        }
        let mut line = |what: &str, text: String| match what {
            "" => writeln!(f, "  {text}"),
            what => writeln!(f, "  {what:<10} {text}"),
        };
        if let Some(stop) = &self.stop {
            line("", stop_line(stop))?;
        }
        for clock in &self.clocks {
            line(&clock.clock, clock_line(clock))?;
        }
        if let Some(cpu) = &self.cpu {
            line("CPUs", cpu_line(cpu))?;
        }
        for asked in &self.asked {
            let says = if asked.busy {
                "computes"
            } else {
                "does not compute"
            };
            line(
                &asked.app,
                format!("said {} ago that it {says}", time(asked.seconds_ago)),
            )?;
        }
        for socket in &self.sockets {
            line("socket", socket_line(socket))?;
        }
        line("policy", policy_line(&self.policy))?;
        if let Some(until) = &self.kept_until {
            line("kept", format!("until {until}"))?;
        }
        if let Some(last) = &self.last_stop {
            line(
                "last stop",
                format!("{} ({}): {}", last.at, last.reason, last.because),
            )?;
        }
        Ok(())
    }
}

fn clock_line(clock: &ClockTold) -> String {
    let holds = if clock.holds { "holds" } else { "doesn't hold" };
    let when = match clock.open {
        0 => format!("{} ago", time(clock.seconds_ago)),
        open => format!("now, {open} open"),
    };
    let by = [
        Some(clock.kind.words().to_owned()),
        clock.app.as_ref().map(|app| format!("of {app}")),
        clock.client.map(|client| format!("from {client}")),
    ];
    let by: Vec<String> = by.into_iter().flatten().collect();
    format!("{when}: {} ({holds})", by.join(" "))
}

fn cpu_line(cpu: &CpuTold) -> String {
    let used = cpu.cpus.map(|cpus| format!("{cpus:.3}"));
    let used = used.unwrap_or_else(|| "unknown, so busy,".to_owned());
    let (window, ago) = (time(cpu.window_seconds), time(cpu.seconds_ago));
    format!(
        "{used} over {window} until {ago} ago (busy from {})",
        cpu.busy_from
    )
}

fn socket_line(socket: &SocketTold) -> String {
    let app = socket.app.as_deref().unwrap_or("an app");
    let client = socket.client.map(|client| format!(" from {client}"));
    let input = match socket.input_seconds_ago {
        Some(ago) => format!("input {} ago", time(ago)),
        None => "no input yet".to_owned(),
    };
    format!(
        "{app}{}, open {}, {} up, {} down, {input}",
        client.unwrap_or_default(),
        time(socket.seconds),
        bytes(socket.bytes_up),
        bytes(socket.bytes_down),
    )
}

fn policy_line(policy: &PolicyTold) -> String {
    let quiet = match policy.timeout_seconds {
        Some(seconds) => {
            format!(
                "stopped after {} without {}",
                time(seconds),
                policy.holds.join(" or ")
            )
        }
        None => "never stopped for being quiet".to_owned(),
    };
    let connected = policy
        .max_connected_seconds
        .map(|seconds| format!("a connection holds {} after the last input", time(seconds)));
    let age = policy.max_age_seconds;
    let age = age.map(|seconds| format!("after {} in any case", time(seconds)));
    let parts: Vec<String> = [Some(quiet), connected, age]
        .into_iter()
        .flatten()
        .collect();
    parts.join("; ")
}

fn stop_line(stop: &StopTold) -> String {
    let because = &stop.because;
    match (stop.in_seconds, &stop.at) {
        (Some(seconds), Some(at)) => format!("stops in {} (at {at}): {because}", time(seconds)),
        _ => format!("is not stopped as things stand: {because}"),
    }
}

fn time(seconds: u64) -> impl Display {
    humantime::format_duration(Duration::from_secs(seconds))
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
