//! Everything that is wrong with a configuration, told at once.
//!
//! Imports `node` for the places. Promise: [`ConfigErrors`] has a line for each mistake, and
//! each line says where, what, and what to write instead.

use std::{fmt, path::PathBuf};

use super::node::Place;

/// A configuration that can't be used.
#[derive(Debug)]
pub struct ConfigErrors {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, in the order of its lines; never empty.
    pub mistakes: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        for (number, Mistake { place, what }) in self.mistakes.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            match place {
                Place::File => write!(f, "{path}: {what}")?,
                Place::Line(line) => write!(f, "{path}:{line}: {what}")?,
                Place::Env(name) => write!(f, "{name}: {what}")?,
            }
        }
        Ok(())
    }
}

/// Why a value can't be read. A list or a table can be wrong in several places at once.
#[derive(Debug)]
pub(super) struct Wrong(pub Vec<(Option<Place>, String)>);

impl Wrong {
    /// The same, where what has no place of its own is at `place`.
    pub fn at(self, place: &Place) -> Self {
        let parts = self.0.into_iter();
        Self(
            parts
                .map(|(own, what)| (own.or_else(|| Some(place.clone())), what))
                .collect(),
        )
    }

    /// The same, about the entry `name` of a table.
    pub fn about(self, name: &str) -> Self {
        let parts = self.0.into_iter();
        Self(
            parts
                .map(|(place, what)| (place, format!("{name:?} {what}")))
                .collect(),
        )
    }

    /// All parts read well, or all that is wrong with the others.
    pub fn gather<T, C: FromIterator<T>>(
        parts: impl Iterator<Item = Result<T, Self>>,
    ) -> Result<C, Self> {
        let mut wrong = Vec::new();
        let good = parts
            .filter_map(|part| part.map_err(|Self(more)| wrong.extend(more)).ok())
            .collect();
        if wrong.is_empty() {
            Ok(good)
        } else {
            Err(Self(wrong))
        }
    }
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self(vec![(None, what)])
    }
}

impl From<&str> for Wrong {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

/// What reading a value gives.
pub(super) type Read<T> = Result<T, Wrong>;
