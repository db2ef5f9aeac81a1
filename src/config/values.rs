//! How each kind of value is written: texts, numbers, durations, sizes, lists, paths.
//!
//! Imports `node` and `mistake`. Promise: pure; what comes out is within its bounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    mistake::{Read, Wrong},
    node::{Node, Place, Value},
};

/// Any text without a NUL, which neither the engine nor a system call takes.
pub fn any_text(node: &Node) -> Read<String> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => Err("must not hold a NUL".into()),
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("must be text in quotes, not {other}").into()),
    }
}

/// One line of text that isn't empty.
pub fn text(node: &Node) -> Read<String> {
    let text = any_text(node)?;
    if text.trim().is_empty() {
        Err("must not be empty".into())
    } else if text.contains(['\n', '\r']) {
        Err("must be one line of text".into())
    } else {
        Ok(text)
    }
}

/// `true` or `false`.
pub fn yes_or_no(node: &Node) -> Read<bool> {
    match &node.value {
        Value::Bool(yes) => Ok(*yes),
        Value::Text(text) if is_env(node) && text == "true" => Ok(true),
        Value::Text(text) if is_env(node) && text == "false" => Ok(false),
        other => Err(format!("must be true or false, not {other}").into()),
    }
}

/// A whole number within bounds.
pub fn number<N>(least: N, most: N) -> impl Fn(&Node) -> Read<N>
where
    N: TryFrom<i64> + PartialOrd + Copy + std::fmt::Display,
{
    move |node| {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if is_env(node) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| N::try_from(number).ok());
        let fits = number.filter(|number| (least..=most).contains(number));
        fits.ok_or_else(|| {
            let found = &node.value;
            format!("must be a whole number from {least} to {most}, not {found}").into()
        })
    }
}

/// CPUs from `least` on, in thousandths.
pub fn cpus(least: f64) -> impl Fn(&Node) -> Read<u32> {
    move |node| {
        let cpus = match &node.value {
            Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            Value::Float(number) => Some(*number),
            Value::Text(text) if is_env(node) => text.trim().parse().ok(),
            _ => None,
        };
        let Some(cpus) = cpus.filter(|cpus| (least..=512.0).contains(cpus)) else {
            let found = &node.value;
            let what = format!("must be a number of CPUs from {least} to 512, not {found}");
            return Err(what.into());
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded just above"
        )]
        let millis = (cpus * 1000.0).round() as u32;
        Ok(millis)
    }
}

/// A time such as `30m` or `1500ms`, within bounds.
pub fn duration(least: Duration, most: Duration) -> impl Fn(&Node) -> Read<Duration> {
    move |node| {
        let time = match &node.value {
            Value::Text(text) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        let fits = time.filter(|time| (least..=most).contains(time));
        fits.ok_or_else(|| {
            let such = Duration::from_mins(30).clamp(least, most);
            let [least, most, such] = [least, most, such].map(humantime::format_duration);
            let found = &node.value;
            format!(r#"must be a time from {least} to {most}, such as "{such}", not {found}"#)
                .into()
        })
    }
}

/// A size in bytes, such as `8g` or `512m`; the units are powers of 1024, as Docker's.
pub fn size(node: &Node) -> Read<u64> {
    const LEAST: u64 = 64 << 20;
    let bytes = match &node.value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Text(text) => bytes(text),
        _ => None,
    };
    // The engine takes a signed number.
    let fits = bytes.filter(|bytes| (LEAST..=i64::MAX as u64).contains(bytes));
    fits.ok_or_else(|| {
        let found = &node.value;
        format!(r#"must be a size of at least 64m, such as "8g" or "512m", not {found}"#).into()
    })
}

/// `8g`, `8gb`, `512m`, `1048576`, `1048576b`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let units = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];
    let mut units = units.into_iter();
    let (digits, shift) = units
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
        .unwrap_or((text, 0));
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A list, each item read alike. One item alone needs no brackets; in the environment, items
/// are separated by commas.
pub fn list<T>(read: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<Vec<T>> {
    move |node| match &node.value {
        Value::Array(items) => Wrong::gather(
            items
                .iter()
                .map(|item| read(item).map_err(|wrong| wrong.at(&item.place))),
        ),
        Value::Text(text) if is_env(node) => {
            let items = text.split(',').map(str::trim);
            let items = items.filter(|item| !item.is_empty()).map(|item| Node {
                place: node.place.clone(),
                value: Value::Text(item.to_owned()),
            });
            Wrong::gather(items.map(|item| read(&item)))
        }
        Value::Text(_) => Ok(vec![read(node)?]),
        other => Err(format!("must be a list in brackets, not {other}").into()),
    }
}

/// A table of names and values, each pair read alike; no name stands in it twice.
pub fn table(
    node: &Node,
    read: impl Fn(&str, &Node) -> Read<(String, String)>,
) -> Read<BTreeMap<String, String>> {
    let Value::Table(table) = &node.value else {
        return Err(format!("must be a table, not {}", node.value).into());
    };
    let mut names = BTreeSet::new();
    Wrong::gather(table.iter().map(|(name, (place, value))| {
        let pair = read(name, value).map_err(|wrong| wrong.about(name).at(place))?;
        if names.insert(pair.0.clone()) {
            Ok(pair)
        } else {
            Err(Wrong::from(format!("holds `{}` twice", pair.0)).at(place))
        }
    }))
}

/// Whether a variable of the environment can be called so (POSIX.1 8.1).
pub fn variable_name(name: &str) -> Read<()> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("is no name of a variable".into());
    }
    Ok(())
}

/// One of a few words.
pub fn one_of<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let text = text(node)?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            format!("must be one of {}, not {text:?}", words.join(", ")).into()
        })
    }
}

/// A path, seen from `base` if it is relative.
pub fn path(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| text(node).map(|text| plain(&base.join(text)))
}

/// `path` without its `.` and doubled slashes; `..` stays, since what stands before it may be
/// a link.
pub fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

/// A token of RFC 9110 5.6.2, which names of headers and cookies are.
pub fn is_token(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether a value came from the environment, where all values are texts.
fn is_env(node: &Node) -> bool {
    matches!(node.place, Place::Env(_))
}
