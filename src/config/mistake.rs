//! Everything that is wrong with a configuration, told at once.

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
    /// Where; none if it is about the file as a whole.
    pub place: Option<Place>,
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
                Some(Place::Line(line)) => write!(f, "{path}:{line}: {what}")?,
                Some(Place::Env(name)) => write!(f, "{name}: {what}")?,
                None => write!(f, "{path}: {what}")?,
            }
        }
        Ok(())
    }
}
