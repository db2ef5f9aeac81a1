//! A rule of the host's firewall, in the chain that Docker leaves to the host's owner
//! (`DOCKER-USER`, Docker's documentation of packet filtering and firewalls).

use std::{io, process::Stdio};

use tokio::process::Command;

/// Where clouds answer with the machine's own credentials (RFC 3927; IPv6 has no such habit on
/// bridges that Docker makes by default).
const LINK_LOCAL: &str = "169.254.0.0/16";

/// Refuses what comes from `subnet` and goes to link-local addresses.
pub async fn from_link_local(subnet: &str) -> io::Result<()> {
    let rule = ["-s", subnet, "-d", LINK_LOCAL, "-j", "REJECT"];
    if iptables("-C", &rule).await.is_ok() {
        return Ok(());
    }
    iptables("-I", &rule).await
}

async fn iptables(act: &str, rule: &[&str]) -> io::Result<()> {
    let mut command = Command::new("iptables");
    // Waits for others who change the tables at the moment.
    command
        .args(["-w", act, "DOCKER-USER"])
        .args(rule)
        .stdin(Stdio::null());
    let output = command.output().await?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("iptables: {}", why.trim())))
}
