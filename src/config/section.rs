//! One table of the configuration, read key by key. What isn't asked for is a mistake.

use std::{cell::RefCell, collections::BTreeMap};

use super::{
    mistake::Mistake,
    node::{Node, Place, Table, Value},
};

/// What all sections of one reading share.
pub struct Reading {
    /// The environment's `VESTIBULE_` variables that were not asked for yet.
    env: RefCell<BTreeMap<String, String>>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Reading {
    pub fn new(env: impl Iterator<Item = (String, String)>) -> Self {
        // The command line's own, and what its tests and the demo name for themselves.
        let ours =
            env.filter(|(name, _)| name.starts_with("VESTIBULE_") && name != "VESTIBULE_CONFIG");
        Self {
            env: RefCell::new(ours.collect()),
            mistakes: RefCell::default(),
        }
    }

    /// Remembers a mistake.
    pub fn mistake(&self, place: Option<Place>, what: impl Into<String>) {
        let what = what.into();
        self.mistakes.borrow_mut().push(Mistake { place, what });
    }

    /// All mistakes, in the order of the lines.
    pub fn finish(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        mistakes
    }
}

/// One table, and the variables that stand for its keys.
pub struct Section<'r> {
    pub reading: &'r Reading,
    /// `workspace`, `apps.jupyter`; empty for the top.
    name: String,
    table: RefCell<Table>,
    asked: RefCell<Vec<&'static str>>,
    /// Where it begins.
    pub place: Option<Place>,
}

impl<'r> Section<'r> {
    pub fn new(reading: &'r Reading, name: &str, table: Table, place: Option<Place>) -> Self {
        Self {
            reading,
            name: name.to_owned(),
            table: RefCell::new(table),
            asked: RefCell::default(),
            place,
        }
    }

    /// A table within this one; empty if it isn't there.
    pub fn section(&self, key: &'static str) -> Section<'r> {
        self.asked.borrow_mut().push(key);
        let (place, table) = match self.table.borrow_mut().remove(key) {
            Some((
                place,
                Node {
                    value: Value::Table(table),
                    ..
                },
            )) => (Some(place), table),
            Some((place, node)) => {
                let what = format!("`{key}` must be a table, not {}", node.value);
                self.reading.mistake(Some(place.clone()), what);
                (Some(place), Table::new())
            }
            None => (None, Table::new()),
        };
        Section::new(self.reading, &self.path(key), table, place)
    }

    /// The value of a key, from the environment if it is there.
    pub fn take(&self, key: &'static str) -> Option<Node> {
        self.asked.borrow_mut().push(key);
        let written = self.table.borrow_mut().remove(key).map(|(_, node)| node);
        let variable = format!("VESTIBULE_{}", self.path(key))
            .replace(['.', '-'], "_")
            .to_ascii_uppercase();
        let set = self.reading.env.borrow_mut().remove(&variable);
        match set {
            Some(text) => Some(Node {
                place: Place::Env(variable),
                value: Value::Text(text),
            }),
            None => written,
        }
    }

    /// Reads a key; a mistake in it is remembered and reads as if it were not there.
    pub fn get<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.take(key)?;
        match read(&node) {
            Ok(value) => Some(value),
            Err(what) => {
                self.reading
                    .mistake(Some(node.place), format!("`{}` {what}", self.path(key)));
                None
            }
        }
    }

    /// Reads a key that must be there.
    pub fn need<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let there = self.is_there(key);
        let value = self.get(key, read);
        if !there {
            let what = format!("`{}` is missing", self.path(key));
            self.reading.mistake(self.place.clone(), what);
        }
        value
    }

    /// Whether a key is given, in the file or by the environment.
    pub fn is_there(&self, key: &str) -> bool {
        let variable = format!("VESTIBULE_{}", self.path(key))
            .replace(['.', '-'], "_")
            .to_ascii_uppercase();
        self.table.borrow().contains_key(key) || self.reading.env.borrow().contains_key(&variable)
    }

    /// All keys with their values, whatever they are called.
    pub fn rest(self) -> Table {
        self.table.into_inner()
    }

    /// A mistake about the section as a whole.
    pub fn mistake(&self, what: impl Into<String>) {
        self.reading.mistake(self.place.clone(), what);
    }

    /// Whatever was not asked for is unknown.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, (place, _)) in self.table.into_inner() {
            let mut what = format!("there is no key `{}`", path(&self.name, &key));
            if let Some(near) = nearest(&key, &asked) {
                what.push_str(&format!("; did you mean `{near}`?"));
            }
            self.reading.mistake(Some(place), what);
        }
    }

    /// The full name of a key of this table.
    pub fn path(&self, key: &str) -> String {
        path(&self.name, key)
    }
}

fn path(name: &str, key: &str) -> String {
    if name.is_empty() {
        key.to_owned()
    } else {
        format!("{name}.{key}")
    }
}

/// The known key that `key` was most likely meant to be.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(key, known), *known));
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}
