//! A line of an `authorized_keys` file (its format: sshd(8)). Pure.
//!
//! Promise: an option is obeyed, or its key is refused: what we don't know might forbid.

use std::{net::IpAddr, time::SystemTime};

use russh::keys::PublicKey;

use crate::config::Network;

/// Longest line that is read; OpenSSH's bound is the same.
const LONGEST_LINE: usize = 8 * 1024;

/// What a key may do once it let somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permits {
    /// Run this whatever is asked for.
    pub command: Option<String>,
    /// Have a terminal.
    pub pty: bool,
    /// Forward ports and sockets.
    pub forwarding: bool,
    /// Reach the client's agent.
    pub agent: bool,
}

impl Permits {
    /// Everything: what who logs in without a key may do.
    pub const ALL: Self = Self {
        command: None,
        pty: true,
        forwarding: true,
        agent: true,
    };
}

/// Looks for `key` in the text of a file, and what it may do if it comes from `client` now.
/// Of several lines with the key, the first that is not refused counts.
pub fn find(text: &str, key: &PublicKey, client: IpAddr, now: SystemTime) -> Option<Permits> {
    of_key(text, key).find_map(|options| permits(&options, client, now))
}

/// Whether a line has `key`, whatever its options say.
pub fn has(text: &str, key: &PublicKey) -> bool {
    of_key(text, key).next().is_some()
}

/// The options of each line with `key`.
fn of_key<'a>(text: &'a str, key: &'a PublicKey) -> impl Iterator<Item = Vec<&'a str>> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter(|line| line.len() <= LONGEST_LINE)
        .filter_map(|line| {
            if is_key(line, key) {
                return Some(Vec::new());
            }
            let (options, rest) = split_options(line)?;
            is_key(rest.trim_start(), key).then_some(options)
        })
}

fn permits(options: &[&str], client: IpAddr, now: SystemTime) -> Option<Permits> {
    let mut permits = Permits::ALL;
    for option in options {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(unquote(value)?)),
            None => (*option, None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            ("restrict", None) => {
                permits.pty = false;
                permits.forwarding = false;
                permits.agent = false;
            }
            ("no-pty", None) => permits.pty = false,
            ("pty", None) => permits.pty = true,
            ("no-port-forwarding", None) => permits.forwarding = false,
            ("port-forwarding", None) => permits.forwarding = true,
            ("no-agent-forwarding", None) => permits.agent = false,
            ("agent-forwarding", None) => permits.agent = true,
            // Neither is there to be forbidden.
            ("no-x11-forwarding" | "x11-forwarding" | "no-user-rc" | "user-rc", None) => {}
            ("command", Some(command)) if permits.command.is_none() => {
                permits.command = Some(command);
            }
            ("from", Some(patterns)) if comes_from(&patterns, client) => {}
            ("expiry-time", Some(time)) if now < moment(&time)? => {}
            _ => return None,
        }
    }
    Some(permits)
}

/// Whether a text begins with this key in its OpenSSH form; comments don't count.
fn is_key(text: &str, key: &PublicKey) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else {
        return false;
    };
    let parsed = PublicKey::from_openssh(&format!("{kind} {data}"));
    parsed.is_ok_and(|parsed| parsed.key_data() == key.key_data())
}

/// Splits the options off a line: they end at the first blank outside of quotes.
fn split_options(line: &str) -> Option<(Vec<&str>, &str)> {
    let (mut quoted, mut escaped, mut from) = (false, false, 0);
    let mut options = Vec::new();
    for (at, c) in line.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                options.push(&line[from..at]);
                from = at + 1;
            }
            ' ' | '\t' if !quoted => {
                options.push(&line[from..at]);
                return Some((options, &line[at..]));
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn unquote(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\\\"", "\""))
}

/// Whether an address matches a list of patterns (those of `ssh_config`): addresses, CIDR
/// ranges, `*` and `?`, and `!` before any. Names are never looked up, so none matches.
fn comes_from(patterns: &str, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let mut matched = false;
    for pattern in patterns.split(',').map(str::trim) {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let hit = match pattern.split_once('/') {
            Some((address, prefix)) => match (address.parse(), prefix.parse()) {
                (Ok(address), Ok(prefix)) => range(address, prefix).contains(client),
                // A range that nobody can read may have been meant to forbid.
                _ => return false,
            },
            None => wildcard(pattern.as_bytes(), client.to_string().as_bytes()),
        };
        if hit && negated {
            return false;
        }
        matched |= hit;
    }
    matched
}

fn range(address: IpAddr, prefix: u8) -> Network {
    let longest = if address.is_ipv4() { 32 } else { 128 };
    Network {
        address,
        prefix: prefix.min(longest),
    }
}

/// Goes back to the last `*` alone, which is enough, and takes no more than the product of both
/// lengths: a user may have written the pattern.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        let Some((at, from)) = star else { return false };
        star = Some((at, from + 1));
        (p, t) = (at + 1, from + 1);
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// A time such as `20261231`, `202612312359` or `20261231235959`, in UTC whether a `Z` says so
/// or not (sshd(8) has local time without one; a server's is UTC).
fn moment(text: &str) -> Option<SystemTime> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{digits:0<14}");
    let [date, time] = [&padded[..8], &padded[8..]];
    let written = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    humantime::parse_rfc3339(&written).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChLg8W0UX1rYFLuIgdMZTVmDS3QMSBCSqcrWBDe7";

    fn ask(text: &str) -> Option<Permits> {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let now = humantime::parse_rfc3339("2026-11-25T12:00:00Z").unwrap();
        find(text, &key, "192.0.2.7".parse().unwrap(), now)
    }

    #[test]
    fn an_option_is_obeyed_or_its_key_is_refused() {
        let restricted = Permits {
            command: None,
            pty: false,
            forwarding: false,
            agent: false,
        };
        let command = Permits {
            command: Some("echo \"a, b\"".to_owned()),
            ..Permits::ALL
        };
        for (options, permits) in [
            ("", Some(Permits::ALL)),
            ("restrict ", Some(restricted.clone())),
            (
                "RESTRICT,pty ",
                Some(Permits {
                    pty: true,
                    ..restricted.clone()
                }),
            ),
            (
                "no-pty,no-agent-forwarding,no-port-forwarding,no-X11-forwarding ",
                Some(restricted),
            ),
            (r#"command="echo \"a, b\"" "#, Some(command)),
            (r#"command="a",command="b" "#, None),
            (r#"from="192.0.2.0/24" "#, Some(Permits::ALL)),
            (r#"from="10.0.0.1,192.0.2.?" "#, Some(Permits::ALL)),
            (r#"from="192.0.*,!192.0.2.7" "#, None),
            (r#"from="!10.0.0.1" "#, None),
            (r#"from="10.0.0.0/8" "#, None),
            (r#"from="!192.0.2.0/x,*" "#, None),
            (r#"from="*.example.org" "#, None),
            (r#"expiry-time="20261126" "#, Some(Permits::ALL)),
            (r#"expiry-time="202611251201Z" "#, Some(Permits::ALL)),
            (r#"expiry-time="20261125115959" "#, None),
            (r#"expiry-time="20261340" "#, None),
            (r#"expiry-time="soon" "#, None),
            ("expiry-time=20261126 ", None),
            ("cert-authority ", None),
            (r#"permitopen="localhost:1" "#, None),
            (r#"environment="A=b" "#, None),
            ("made-up ", None),
        ] {
            let line = format!("{options}{KEY} a comment");
            assert_eq!(ask(&line), permits, "{options}");
            let [ours, other] = [KEY, OTHER].map(|key| PublicKey::from_openssh(key).unwrap());
            assert!(has(&line, &ours) && !has(&line, &other), "{options}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let long = "*1".repeat(2000);
        for (pattern, text, expected) in [
            ("192.0.2.*", "192.0.2.17", true),
            ("192.0.?.1*", "192.0.2.17", true),
            ("*.17", "192.0.2.17", true),
            ("*.2.*7", "192.0.2.17", true),
            ("192.0.2", "192.0.2.17", false),
            ("192.0.2.17?", "192.0.2.17", false),
            ("*", "", true),
            (&format!("{long}x"), "111.111.111.111", false),
        ] {
            let matches = wildcard(pattern.as_bytes(), text.as_bytes());
            assert_eq!(matches, expected, "{pattern:.40}");
        }
    }

    #[test]
    fn only_the_key_itself_is_found() {
        let long = format!("command=\"{}\" {KEY}", "x".repeat(9000));
        for text in [
            "",
            "nonsense",
            OTHER,
            &format!("# {KEY}"),
            "ssh-ed25519",
            &long,
        ] {
            assert_eq!(ask(text), None, "{text:.40}");
            let key = PublicKey::from_openssh(KEY).unwrap();
            assert!(!has(text, &key), "{text:.40}");
        }
        let both = format!("{OTHER} x\n\n# words\nmade-up {KEY}\n{KEY} the second line\r\n");
        assert_eq!(ask(&both), Some(Permits::ALL));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in ".{0,80}") {
            ask(&format!("{line} {KEY}"));
            comes_from(&line, "2001:db8::1".parse().unwrap());
            prop_assert!(moment(&line).is_none_or(|at| at > SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 36)));
        }
    }
}
