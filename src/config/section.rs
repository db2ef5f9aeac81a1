//! One table of the configuration, read key by key; what isn't asked for is a mistake.
//!
//! Imports `node` and `mistake`. Promise: no key and no variable of the environment that was
//! written is silently ignored, and reading goes on after a mistake, so that all are told.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    mistake::{Mistake, Read, Wrong},
    node::{Node, Place, Table, Value},
};

/// How alike two keys must be for one to be taken for the other, from 0 to 1 (Jaro-Winkler):
/// `data_rot` and `data_root` are 0.98, `port` and `pids` 0.68.
const ALIKE: f64 = 0.8;

/// What all sections of one reading share.
pub struct Reading {
    /// The environment's `VESTIBULE_` variables that were not asked for yet.
    env: RefCell<BTreeMap<String, String>>,
    /// Full names of all keys that were asked for.
    known: RefCell<BTreeSet<String>>,
    /// Keys that nobody asked for: where, in which table, which.
    unknown: RefCell<Vec<(Place, String, String)>>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Reading {
    pub fn new(env: impl IntoIterator<Item = (String, String)>) -> Self {
        let env = env.into_iter();
        let ours = env.filter(|(name, _)| name.starts_with("VESTIBULE_"));
        Self {
            env: RefCell::new(ours.collect()),
            known: RefCell::default(),
            unknown: RefCell::default(),
            mistakes: RefCell::default(),
        }
    }

    /// Remembers a mistake.
    pub fn mistake(&self, place: &Place, what: impl Into<String>) {
        let (place, what) = (place.clone(), what.into());
        self.mistakes.borrow_mut().push(Mistake { place, what });
    }

    /// Remembers what is wrong with the value of the key `path`.
    pub fn wrong(&self, path: &str, place: &Place, Wrong(parts): Wrong) {
        for (own, what) in parts {
            self.mistake(own.as_ref().unwrap_or(place), format!("`{path}` {what}"));
        }
    }

    /// How many mistakes there are so far.
    pub fn count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// The full names of all keys that were asked for.
    #[cfg(test)]
    pub fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    /// All mistakes, in the order of the lines.
    pub fn finish(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.into_inner();
        let known = self.known.into_inner();
        for (place, section, key) in self.unknown.into_inner() {
            let path = path(&section, &key);
            let what = format!(
                "key `{path}` is unknown{}",
                hint(&section, &key, &known).unwrap_or_default()
            );
            mistakes.push(Mistake { place, what });
        }
        let variables: Vec<String> = known.iter().map(|path| variable(path)).collect();
        // Other programs have variables that begin with our name; none begins with a table's.
        let tables: BTreeSet<String> = known
            .iter()
            .filter_map(|path| Some(variable(path.split_once('.')?.0) + "_"))
            .collect();
        for name in self.env.into_inner().into_keys() {
            let table = tables.iter().find(|table| name.starts_with(table.as_str()));
            let Some(table) = table else {
                continue;
            };
            let key = &name[table.len()..];
            let keys = variables.iter().filter_map(|name| name.strip_prefix(table));
            let near = nearest(key, keys).map(|near| format!("; did you mean {table}{near}?"));
            let what = format!("stands for no key{}", near.unwrap_or_default());
            let place = Place::Env(name);
            mistakes.push(Mistake { place, what });
        }
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        mistakes
    }
}

/// One table, and the variables that stand for its keys.
pub struct Section<'r> {
    pub reading: &'r Reading,
    /// `workspace`, `apps.jupyter`; empty for the top.
    name: String,
    /// Where it begins.
    pub place: Place,
    table: RefCell<Table>,
    /// Whether variables stand for its keys; none can say which item of a list it is for.
    by_env: bool,
}

impl<'r> Section<'r> {
    pub fn new(reading: &'r Reading, name: &str, place: Place, table: Table) -> Self {
        Self {
            reading,
            name: name.to_owned(),
            place,
            table: RefCell::new(table),
            by_env: true,
        }
    }

    /// A table that is an item of the list `name`; `expected` says what it should hold.
    pub fn of_item(
        reading: &'r Reading,
        name: &str,
        Node { place, value }: Node,
        expected: &str,
    ) -> Option<Self> {
        if let Value::Table(table) = value {
            let by_env = false;
            return Some(Self {
                by_env,
                ..Self::new(reading, name, place, table)
            });
        }
        let what = format!("each of `{name}` must be a table with {expected}, not {value}");
        reading.mistake(&place, what);
        None
    }

    /// A table within this one; empty if it isn't there.
    pub fn section(&self, key: &str) -> Self {
        let path = self.asked(key);
        let (place, table) = match self.table.borrow_mut().remove(key) {
            None => (Place::File, Table::new()),
            Some((place, node)) => match node.value {
                Value::Table(table) => (place, table),
                other => {
                    let what = format!("`{path}` must be a table, not {other}");
                    self.reading.mistake(&place, what);
                    (place, Table::new())
                }
            },
        };
        Self::new(self.reading, &path, place, table)
    }

    /// The value of a key, from the environment if it is there.
    pub fn take(&self, key: &str) -> Option<Node> {
        let variable = variable(&self.asked(key));
        let written = self.table.borrow_mut().remove(key).map(|(_, node)| node);
        if !self.by_env {
            return written;
        }
        match self.reading.env.borrow_mut().remove(&variable) {
            Some(text) => Some(Node {
                place: Place::Env(variable),
                value: Value::Text(text),
            }),
            None => written,
        }
    }

    /// Reads a key; a mistake in it is remembered and reads as if it were not there.
    pub fn get<T>(&self, key: &str, read: impl FnOnce(&Node) -> Read<T>) -> Option<T> {
        let node = self.take(key)?;
        let value = read(&node);
        value
            .map_err(|wrong| self.reading.wrong(&self.path(key), &node.place, wrong))
            .ok()
    }

    /// Reads a key that must be there; `example` is what could be written.
    pub fn need<T>(
        &self,
        key: &str,
        example: &str,
        read: impl FnOnce(&Node) -> Read<T>,
    ) -> Option<T> {
        if !self.is_there(key) {
            let what = format!(
                "`{}` is missing; such as: {key} = {example}",
                self.path(key)
            );
            self.reading.mistake(&self.place, what);
        }
        self.get(key, read)
    }

    /// Whether a key is given, in the file or by the environment.
    pub fn is_there(&self, key: &str) -> bool {
        let variable = variable(&self.path(key));
        let set = self.by_env && self.reading.env.borrow().contains_key(&variable);
        set || self.table.borrow().contains_key(key)
    }

    /// All keys with their values, whatever they are called.
    pub fn rest(self) -> Table {
        self.table.into_inner()
    }

    /// A mistake about the section as a whole.
    pub fn mistake(&self, what: impl Into<String>) {
        self.reading.mistake(&self.place, what);
    }

    /// Whatever was not asked for is unknown.
    pub fn finish(self) {
        let rest = self.table.into_inner().into_iter();
        let unknown = rest.map(|(key, (place, _))| (place, self.name.clone(), key));
        self.reading.unknown.borrow_mut().extend(unknown);
    }

    /// The full name of a key of this table.
    pub fn path(&self, key: &str) -> String {
        path(&self.name, key)
    }

    fn asked(&self, key: &str) -> String {
        let path = self.path(key);
        self.reading.known.borrow_mut().insert(path.clone());
        path
    }
}

fn path(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// The variable that stands for a key: `VESTIBULE_WORKSPACE_DATA_ROOT` for
/// `workspace.data_root`.
fn variable(path: &str) -> String {
    format!("VESTIBULE_{path}")
        .replace(['.', '-'], "_")
        .to_ascii_uppercase()
}

/// What the unknown `key` of `section` was most likely meant to be: a key of the same table,
/// or one of another table that has just this name.
fn hint(section: &str, key: &str, known: &BTreeSet<String>) -> Option<String> {
    let parted = |path: &'_ String| match path.rsplit_once('.') {
        Some((section, key)) => (section.to_owned(), key.to_owned()),
        None => (String::new(), path.clone()),
    };
    let known: Vec<(String, String)> = known.iter().map(parted).collect();
    let elsewhere = known.iter().find(|(_, name)| name == key);
    let siblings = known.iter().filter(|(other, _)| other == section);
    if let Some(near) = nearest(key, siblings.map(|(_, name)| name.as_str())) {
        return Some(format!("; did you mean `{near}`?"));
    }
    match elsewhere {
        Some((table, _)) if table.is_empty() => {
            Some(format!("; `{key}` stands above the first [table]"))
        }
        Some((table, _)) => Some(format!("; did you mean `{key}` of `[{table}]`?")),
        None => None,
    }
}

/// The one of `known` that `name` was most likely meant to be.
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let (alike, best) = near.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (alike > ALIKE).then_some(best)
}
