//! The `[apps.*]` tables: what can be opened in a workspace.
//!
//! Imports `names`. Promise: no two apps share a port, and no app is given a header or cookie
//! that would change whose request it is or where it ends.

use std::collections::BTreeMap;

use super::{
    App, BusyQuestion, InputRules, Policy, Prefix, defaults, idle, input,
    keys::is_own,
    mistake::{Read, Wrong},
    node::{Node, Place, Table, Value, parse},
    section::{Reading, Section},
    values,
};
use crate::names::AppName;

/// Headers that frame a message or belong to one connection (RFC 9110 7.6.1), and those that
/// the proxy sets or takes away itself.
const NOT_TO_SET: [&str; 18] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];
/// What a template may hold.
const PLACEHOLDERS: [&str; 3] = ["user", "prefix", "secret"];

/// Reads all apps: the defaults, changed and added to by the operator's. None may have the name
/// that is `taken`.
pub fn apps(
    reading: &Reading,
    written: Section<'_>,
    own_cookies: &[&str],
    policy: &Policy,
    taken: Option<&str>,
) -> BTreeMap<AppName, App> {
    let before = reading.count();
    let mut apps = BTreeMap::new();
    let mut ports = BTreeMap::<u16, (String, Place)>::new();
    for (name, (place, table)) in tables(reading, written) {
        let section = Section::new(reading, &format!("apps.{name}"), place, table);
        if taken == Some(name.as_str()) {
            let what = "is the terminal's name; choose another, or set `terminal.enabled = false`";
            section.mistake(format!("`apps.{name}` {what}"));
        }
        let app_name = match AppName::parse(&name) {
            Ok(name) => Some(name),
            Err(error) => {
                section.mistake(error.to_string());
                None
            }
        };
        let app = app(&name, section, own_cookies, policy);
        let (Some(app_name), Some((app, place))) = (app_name, app) else {
            continue;
        };
        if let Some((other, elsewhere)) = ports.insert(app.port, (name.clone(), place.clone())) {
            // Of the two, the one that the operator wrote can be changed.
            let (name, other, place) = match place {
                Place::File => (other, name, elsewhere),
                place => (name, other, place),
            };
            let what = format!("`apps.{name}.port` is the port of the app `{other}` too");
            reading.mistake(&place, what);
        }
        apps.insert(app_name, app);
    }
    if apps.is_empty() && reading.count() == before {
        reading.mistake(&Place::File, "`apps` leaves no app enabled");
    }
    apps
}

/// The tables of all apps: an operator's laid key by key over the default of the same name, so
/// that they change what they want and no more.
fn tables(reading: &Reading, written: Section<'_>) -> BTreeMap<String, (Place, Table)> {
    let mut apps = BTreeMap::new();
    for (name, (_, node)) in parse(defaults::APPS).unwrap_or_default() {
        if let Value::Table(table) = unplaced(node).value {
            apps.insert(name, (Place::File, table));
        }
    }
    for (name, (place, node)) in written.rest() {
        let Value::Table(table) = node.value else {
            let what = format!("`apps.{name}` must be a table, not {}", node.value);
            reading.mistake(&place, what);
            continue;
        };
        let entry = apps.entry(name).or_insert((Place::File, Table::new()));
        entry.0 = place;
        entry.1.extend(table);
    }
    apps
}

/// A default's value: its line is none of the operator's file.
fn unplaced(node: Node) -> Node {
    let value = match node.value {
        Value::Table(table) => Value::Table(
            table
                .into_iter()
                .map(|(key, (_, node))| (key, (Place::File, unplaced(node))))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(unplaced).collect()),
        other => other,
    };
    let place = Place::File;
    Node { place, value }
}

/// An app and the place of its port; `None` if it is not enabled or after a mistake.
fn app(
    name: &str,
    section: Section<'_>,
    own_cookies: &[&str],
    policy: &Policy,
) -> Option<(App, Place)> {
    let enabled = section.get("enabled", values::yes_or_no).unwrap_or(true);
    let prefixes = &[("keep", Prefix::Keep), ("strip", Prefix::Strip)];
    let prefix = section.get("prefix", values::one_of(prefixes));
    let prefix = prefix.unwrap_or(defaults::PREFIX);
    let title = section.get("title", values::text);
    let command = section.need(
        "command",
        r#"["marimo", "edit"]"#,
        |node| match values::list(template)(node)? {
            words if words.first().is_none_or(String::is_empty) => {
                Err("must name a program".into())
            }
            words => Ok(words),
        },
    );
    let port = section.need("port", "2718", |node| {
        let port = values::number(1, u16::MAX)(node)?;
        Ok((port, node.place.clone()))
    });
    let ready_path = section.get("ready_path", path);
    let env = section.get("env", |node| {
        values::table(node, |name, value| {
            values::variable_name(name)?;
            Ok((name.to_owned(), template(value)?))
        })
    });
    let headers = section.get("headers", |node| values::table(node, header));
    let cookies = section.get("cookies", |node| {
        values::table(node, |name, value| cookie(name, value, own_cookies))
    });
    let counts = section.get("input", values::list(input::requests));
    let ignores = section.get("not_input", values::list(input::requests));
    let busy = busy_question(&section);
    let policy = idle::policy(&section, "idle_", policy);
    section.finish();
    enabled.then_some(())?;
    let (port, place) = port?;
    let app = App {
        title: title.unwrap_or_else(|| name.to_owned()),
        command: command?,
        port,
        prefix,
        ready_path: ready_path.unwrap_or_else(|| defaults::ready_path(prefix).to_owned()),
        env: env.unwrap_or_default(),
        headers: headers.unwrap_or_default(),
        cookies: cookies.unwrap_or_default(),
        input: InputRules {
            counts: counts.unwrap_or_default(),
            ignores: ignores.unwrap_or_default(),
        },
        busy,
        policy,
    };
    Some((app, place))
}

/// Two keys that make sense together alone.
fn busy_question(section: &Section<'_>) -> Option<BusyQuestion> {
    let given = ["busy_path", "busy_field"].map(|key| section.is_there(key));
    let busy_path = section.get("busy_path", path);
    let pair = section.get("busy_field", |node| {
        let text = values::text(node)?;
        let pair = text.split_once('=');
        let pair = pair.filter(|(field, value)| !field.is_empty() && !value.is_empty());
        pair.map(|(field, value)| (field.to_owned(), value.to_owned()))
            .ok_or_else(|| {
                format!(r#"must be a field and its value, such as "state=busy", not {text:?}"#)
                    .into()
            })
    });
    if given[0] != given[1] {
        let [path, field] = ["busy_path", "busy_field"].map(|key| section.path(key));
        section.mistake(format!("`{path}` and `{field}` must be set together"));
    }
    let (field, value) = pair?;
    Some(BusyQuestion {
        path: busy_path?,
        field,
        value,
    })
}

/// Text in which `{user}`, `{prefix}` and `{secret}` are filled in. Other braces, as JSON and
/// shells have them, stand for themselves; a lower-case word in braces is a slip of the pen.
fn template(node: &Node) -> Read<String> {
    let text = values::any_text(node)?;
    let words = text.split('{').skip(1).filter_map(|part| {
        let (word, _) = part.split_once('}')?;
        let is_word = !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase());
        is_word.then_some(word)
    });
    for word in words {
        if !PLACEHOLDERS.contains(&word) {
            let what = "there are only {user}, {prefix} and {secret}";
            return Err(format!("holds {{{word}}}; {what}").into());
        }
    }
    Ok(text)
}

fn path(node: &Node) -> Read<String> {
    let path = template(node)?;
    let begins = path.starts_with('/') || path.starts_with("{prefix}");
    if begins && path.bytes().all(|c| c.is_ascii_graphic()) {
        return Ok(path);
    }
    Err(format!("must be a path that begins with `/` or `{{prefix}}`, not {path:?}").into())
}

fn header(name: &str, value: &Node) -> Read<(String, String)> {
    let name = name.to_ascii_lowercase();
    if !values::is_token(&name) {
        return Err("is no name of a header".into());
    }
    // Some apps can't tell dashes from underscores (RFC 3875 4.1.18).
    let dashed = name.replace('_', "-");
    if NOT_TO_SET.contains(&dashed.as_str()) || dashed.starts_with("x-forwarded-") {
        return Err("can't be set: it is the proxy's own business".into());
    }
    let value = template(value)?;
    // RFC 9110 5.5, without what no server agrees on.
    if !value
        .bytes()
        .all(|c| c == b'\t' || (b' '..=b'~').contains(&c))
    {
        return Err("must have a value of printable ASCII".into());
    }
    Ok((name, value))
}

fn cookie(name: &str, value: &Node, own: &[&str]) -> Read<(String, String)> {
    if !values::is_token(name) {
        return Err("is no name of a cookie".into());
    }
    if is_own(name, own) {
        return Err("can't be set: it is vestibule's own cookie".into());
    }
    let value = template(value)?;
    // RFC 6265 4.1.1.
    let allowed = |c: u8| c.is_ascii_graphic() && !b"\",;\\".contains(&c);
    if !value.bytes().all(allowed) {
        return Err(Wrong::from(
            r#"must have a value without spaces, `"`, `,`, `;` and `\`"#,
        ));
    }
    Ok((name.to_owned(), value))
}
