//! How each kind of value is written: durations, sizes, addresses, origins, names.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use http::Uri;

use super::{
    Network,
    node::{Node, Value},
};

type Read<T> = Result<T, String>;

/// Text that isn't empty.
pub fn text(node: &Node) -> Read<String> {
    match &node.value {
        Value::Text(text) if text.is_empty() => Err("must not be empty".to_owned()),
        Value::Text(text) if text.contains(['\0', '\n', '\r']) => {
            Err("must be one line of text".to_owned())
        }
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("must be text in quotes, not {other}")),
    }
}

/// `true` or `false`.
pub fn yes_or_no(node: &Node) -> Read<bool> {
    match &node.value {
        Value::Bool(yes) => Ok(*yes),
        Value::Text(text) if text == "true" => Ok(true),
        Value::Text(text) if text == "false" => Ok(false),
        other => Err(format!("must be true or false, not {other}")),
    }
}

/// A whole number within bounds.
pub fn number(least: u64, most: u64) -> impl Fn(&Node) -> Read<u64> {
    move |node| {
        let number = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            // From the environment.
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let fits = number.filter(|number| (least..=most).contains(number));
        fits.ok_or_else(|| {
            format!(
                "must be a whole number from {least} to {most}, not {}",
                node.value
            )
        })
    }
}

/// CPUs, in thousandths.
pub fn cpus(node: &Node) -> Read<u32> {
    let cpus = match &node.value {
        Value::Integer(number) => f64::from(i32::try_from(*number).unwrap_or(-1)),
        Value::Float(number) => *number,
        Value::Text(text) => text.parse().unwrap_or(-1.0),
        _ => -1.0,
    };
    if !(0.1..=1024.0).contains(&cpus) {
        return Err(format!(
            "must be a number of CPUs from 0.1 to 1024, not {}",
            node.value
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded just above"
    )]
    let millis = (cpus * 1000.0).round() as u32;
    Ok(millis)
}

/// A time such as `30m` or `1500ms`, within bounds.
pub fn duration(least: Duration, most: Duration) -> impl Fn(&Node) -> Read<Duration> {
    move |node| {
        let time = match &node.value {
            Value::Text(text) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        time.filter(|time| (least..=most).contains(time))
            .ok_or_else(|| {
                let [least, most] = [least, most].map(humantime::format_duration);
                format!(
                    "must be a time from {least} to {most}, such as \"30m\", not {}",
                    node.value
                )
            })
    }
}

/// A size in bytes, such as `8g` or `512m`; the units are powers of 1024, as Docker's.
pub fn size(node: &Node) -> Read<u64> {
    const LEAST: u64 = 64 << 20;
    let wrong = || {
        format!(
            "must be a size of at least 64m, such as \"8g\", not {}",
            node.value
        )
    };
    let bytes = match &node.value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Text(text) => {
            let text = text.trim().to_ascii_lowercase();
            let text = text.strip_suffix('b').unwrap_or(&text);
            let shift = match text.as_bytes().last() {
                Some(b'k') => 10,
                Some(b'm') => 20,
                Some(b'g') => 30,
                Some(b't') => 40,
                _ => 0,
            };
            let digits = if shift == 0 {
                text
            } else {
                &text[..text.len() - 1]
            };
            let number = digits.trim().parse::<u64>().ok();
            number.and_then(|number| number.checked_mul(1 << shift))
        }
        _ => None,
    };
    bytes
        .filter(|bytes| (LEAST..=i64::MAX as u64).contains(bytes))
        .ok_or_else(wrong)
}

/// A list, each item read alike; in the environment, separated by commas.
pub fn list<T>(read: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<Vec<T>> {
    move |node| match &node.value {
        Value::Array(items) => items.iter().map(&read).collect(),
        Value::Text(text) if matches!(node.place, super::node::Place::Env(_)) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            let items = items.map(|item| Node {
                place: node.place.clone(),
                value: Value::Text(item.to_owned()),
            });
            items.map(|item| read(&item)).collect()
        }
        other => Err(format!("must be a list in brackets, not {other}")),
    }
}

/// An address to listen on.
pub fn address(node: &Node) -> Read<SocketAddr> {
    let text = text(node)?;
    text.parse()
        .map_err(|_| format!("must be an address and a port such as \"0.0.0.0:443\", not {text:?}"))
}

/// A range of addresses, or a single one.
pub fn network(node: &Node) -> Read<Network> {
    let text = text(node)?;
    let (address, prefix) = text
        .split_once('/')
        .map_or((text.as_str(), None), |(a, p)| (a, Some(p)));
    let address = address.parse::<IpAddr>().ok();
    let network = address.and_then(|address| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |prefix| prefix.parse().ok())?;
        (prefix <= most).then_some(Network { address, prefix })
    });
    network.ok_or_else(|| format!("must be a network such as \"10.0.0.0/8\", not {text:?}"))
}

/// An origin as browsers write it (RFC 6454 6.2).
pub fn origin(node: &Node) -> Read<String> {
    let text = text(node)?;
    let wrong = || {
        format!(
            "must be an origin such as \"https://ide.example.org\", without a path, not {text:?}"
        )
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let bare = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
    let default = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(wrong()),
    };
    if !bare
        || text.contains('#')
        || authority.host().is_empty()
        || authority.as_str().ends_with(':')
    {
        return Err(wrong());
    }
    let authority = authority.as_str().to_ascii_lowercase();
    let authority = authority.strip_suffix(default).unwrap_or(&authority);
    Ok(format!("{scheme}://{authority}"))
}

/// The address of a page.
pub fn url(node: &Node) -> Read<String> {
    let text = text(node)?;
    let uri = text.parse::<Uri>().ok();
    let good = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|host| !host.host().is_empty())
    });
    if good && !text.contains(['#', '"', '\'', ' ', '<', '>']) {
        Ok(text)
    } else {
        Err(format!(
            "must be a URL such as \"https://www.example.org/open\", without a `#`, not {text:?}"
        ))
    }
}

/// A path, seen from `base` if it is relative.
pub fn path(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| text(node).map(|text| base.join(text))
}

/// A name that Docker takes for a network.
pub fn docker_name(node: &Node) -> Read<String> {
    let text = text(node)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
    {
        Ok(text)
    } else {
        Err(format!(
            "must be a name of letters, digits, `_`, `.` and `-`, not {text:?}"
        ))
    }
}

/// A token of RFC 9110 5.6.2, which names of headers and cookies are.
pub fn is_token(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(allowed)
}

/// One of a few words.
pub fn one_of<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let text = text(node)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            format!("must be one of {}, not {text:?}", words.join(", "))
        })
    }
}
