//! The configuration as it was written, each value with the place it stands at.
//!
//! Imports nothing of ours. Promise: the line of a value is the one a person finds it on.

use std::{collections::BTreeMap, fmt};

use toml::de::{DeTable, DeValue};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole, or what stands in no file: a default.
    File,
    /// A line of the file, counted from 1.
    Line(usize),
    /// A variable of the environment.
    Env(String),
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

/// A value as TOML knows it; dates are texts, since nothing here is one.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Array(Vec<Node>),
    Table(Table),
}

/// Keys with the places they stand at themselves.
pub type Table = BTreeMap<String, (Place, Node)>;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Array(_) => f.write_str("an array"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}

/// Reads a file's text.
///
/// # Errors
/// What is wrong with its syntax, and where.
pub fn parse(text: &str) -> Result<Table, (Place, String)> {
    match DeTable::parse(text) {
        Ok(table) => Ok(convert_table(table.get_ref(), &Lines::of(text))),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            Err((Lines::of(text).place(at), error.message().to_owned()))
        }
    }
}

/// Where each line of a text begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(after.map(|(at, _)| at + 1))
                .collect(),
        )
    }

    fn place(&self, at: usize) -> Place {
        Place::Line(self.0.partition_point(|start| *start <= at))
    }
}

fn convert_table(table: &DeTable<'_>, lines: &Lines) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let place = lines.place(key.span().start);
        let node = convert(value.get_ref(), lines.place(value.span().start), lines);
        (key.get_ref().to_string(), (place, node))
    });
    entries.collect()
}

fn convert(value: &DeValue<'_>, place: Place, lines: &Lines) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Text(number.to_string()), Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| Value::Text(number.to_string()), Value::Float),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(items) => {
            let items = items.iter();
            let items =
                items.map(|item| convert(item.get_ref(), lines.place(item.span().start), lines));
            Value::Array(items.collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(table, lines)),
    };
    Node { place, value }
}
