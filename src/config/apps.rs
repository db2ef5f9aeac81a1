//! The `[apps.*]` tables: what can be opened in a workspace.

use std::collections::BTreeMap;

use super::{
    App, Prefix, defaults,
    node::{Node, Place, Table, Value, parse},
    section::{Reading, Section},
    values,
};
use crate::names::AppName;

/// Headers that frame a message, or that we set or take away ourselves.
const NOT_TO_SET: [&str; 11] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads all apps: the defaults, changed and added to by the operator's.
pub fn read(
    reading: &Reading,
    written: Section<'_>,
    own_cookies: &[&str],
) -> BTreeMap<AppName, App> {
    let mut apps = Table::new();
    match parse(defaults::APPS) {
        Ok(defaults) => apps.extend(defaults),
        Err((_, what)) => reading.mistake(None, format!("the default apps are broken: {what}")),
    }
    for (name, (place, node)) in written.rest() {
        let Value::Table(keys) = node.value else {
            reading.mistake(
                Some(place),
                format!("`apps.{name}` must be a table, not {}", node.value),
            );
            continue;
        };
        // Key by key, so that an operator changes what they want and no more.
        let under = match apps.remove(&name) {
            Some((
                _,
                Node {
                    value: Value::Table(under),
                    ..
                },
            )) => under,
            _ => Table::new(),
        };
        let value = Value::Table(under.into_iter().chain(keys).collect());
        let node = Node {
            place: place.clone(),
            value,
        };
        apps.insert(name, (place, node));
    }
    let mut read = BTreeMap::new();
    let mut ports = BTreeMap::<u16, String>::new();
    for (name, (place, node)) in apps {
        let Value::Table(table) = node.value else {
            continue;
        };
        let section = Section::new(reading, &format!("apps.{name}"), table, Some(place));
        let app_name = AppName::parse(&name)
            .map_err(|error| section.mistake(error.to_string()))
            .ok();
        let app = app(&name, section, own_cookies);
        let (Some(name), Some((place, app))) = (app_name, app) else {
            continue;
        };
        if let Some(other) = ports.insert(app.port, name.to_string()) {
            reading.mistake(
                Some(place),
                format!("`apps.{name}.port` is the port of `{other}` too"),
            );
        }
        read.insert(name, app);
    }
    read
}

fn app(name: &str, section: Section<'_>, own_cookies: &[&str]) -> Option<(Place, App)> {
    let place = section.place.clone()?;
    let enabled = section.get("enabled", values::yes_or_no).unwrap_or(true);
    let prefixes = &[("keep", Prefix::Keep), ("strip", Prefix::Strip)];
    let prefix = section
        .get("prefix", values::one_of(prefixes))
        .unwrap_or(Prefix::Keep);
    let ready = if prefix == Prefix::Keep {
        "{prefix}"
    } else {
        "/"
    };
    let title = section
        .get("title", values::text)
        .unwrap_or_else(|| name.to_owned());
    let command = section.need("command", |node| match values::list(template)(node)? {
        words if words.is_empty() => Err("must name a program".to_owned()),
        words => Ok(words),
    });
    let port = section.need("port", values::number(1, u16::MAX.into()));
    let ready_path = section.get("ready_path", |node| {
        let path = template(node)?;
        let good = path.starts_with('/') || path.starts_with("{prefix}");
        if good {
            Ok(path)
        } else {
            Err(format!("must begin with `/` or `{{prefix}}`, not {path:?}"))
        }
    });
    let env = section.get("env", map(variable)).unwrap_or_default();
    let headers = section.get("headers", map(header)).unwrap_or_default();
    let cookies = section.get(
        "cookies",
        map(|name, value| cookie(name, value, own_cookies)),
    );
    section.finish();
    enabled.then_some(())?;
    let app = App {
        title,
        command: command?,
        port: u16::try_from(port?).ok()?,
        prefix,
        ready_path: ready_path.unwrap_or_else(|| ready.to_owned()),
        env,
        headers,
        cookies: cookies.unwrap_or_default(),
    };
    Some((place, app))
}

/// Text in which `{user}`, `{prefix}` and `{secret}` are filled in.
fn template(node: &Node) -> Result<String, String> {
    let Value::Text(text) = &node.value else {
        return Err(format!("must be text in quotes, not {}", node.value));
    };
    if text.contains('\0') {
        return Err("must not hold a NUL".to_owned());
    }
    for part in text.split('{').skip(1) {
        let word = part
            .split('}')
            .next()
            .filter(|word| word.len() < part.len())
            .unwrap_or_default();
        let is_word = !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase());
        if is_word && !["user", "prefix", "secret"].contains(&word) {
            return Err(format!(
                "holds {{{word}}}; there are only {{user}}, {{prefix}} and {{secret}}"
            ));
        }
    }
    Ok(text.clone())
}

type Pair = Result<(String, String), String>;

/// A table of texts.
pub fn map(
    pair: impl Fn(&str, &Node) -> Pair,
) -> impl Fn(&Node) -> Result<BTreeMap<String, String>, String> {
    move |node| match &node.value {
        Value::Table(table) => table
            .iter()
            .map(|(name, (_, value))| pair(name, value))
            .collect(),
        other => Err(format!("must be a table, not {other}")),
    }
}

/// A variable of the environment.
pub fn variable(name: &str, value: &Node) -> Pair {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("can't hold a variable named {name:?}"));
    }
    Ok((name.to_owned(), template(value)?))
}

fn header(name: &str, value: &Node) -> Pair {
    let name = name.to_ascii_lowercase();
    let value = template(value)?;
    let printable = value
        .bytes()
        .all(|c| c == b'\t' || (b' '..=b'~').contains(&c));
    if !values::is_token(&name) || !printable {
        return Err(format!("can't hold the header {name:?}"));
    }
    if NOT_TO_SET.contains(&name.as_str()) || name.starts_with("x-forwarded-") {
        return Err(format!("can't hold `{name}`: it is set by vestibule"));
    }
    Ok((name, value))
}

fn cookie(name: &str, value: &Node, own: &[&str]) -> Pair {
    let value = template(value)?;
    let plain = value
        .bytes()
        .all(|c| c.is_ascii_graphic() && !b"\",;\\".contains(&c));
    if !values::is_token(name) || !plain {
        return Err(format!("can't hold the cookie {name:?}"));
    }
    if own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(format!("can't hold `{name}`: it is vestibule's own"));
    }
    Ok((name.to_owned(), value))
}
