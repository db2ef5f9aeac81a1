//! A file that lines are appended to, and that may be rotated under us: once its name stands
//! for another file or none, it is opened anew. That costs a stat(2) for each line, of which
//! there are few, and needs no signal.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// The file of the audit trail.
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    open: Mutex<(File, Id)>,
}

/// Which file it is, whatever it is called.
type Id = (u64, u64);

fn id(file: &Metadata) -> Id {
    (file.dev(), file.ino())
}

fn open(path: &Path) -> io::Result<(File, Id)> {
    let mut options = File::options();
    // It tells who was here when: not for everyone.
    let file = options.create(true).append(true).mode(0o640).open(path)?;
    let id = id(&file.metadata()?);
    Ok((file, id))
}

impl AuditFile {
    /// Opens `path`, made if it is absent.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let open = Mutex::new(open(&path)?);
        Ok(Self { path, open })
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let there = fs::metadata(&self.path).is_ok_and(|now| id(&now) == file.1);
        if !there {
            *file = open(&self.path)?;
        }
        file.0.write_all(line)
    }
}

/// Writes whole lines.
#[derive(Debug)]
pub struct Appender<'a>(&'a AuditFile);

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = Appender<'a>;

    fn make_writer(&'a self) -> Appender<'a> {
        Appender(self)
    }
}

impl Write for Appender<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.0.append(line) {
            let mut other = io::stderr().lock();
            writeln!(other, "audit file {}: {error}", self.0.path.display())?;
            other.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_or_removed_is_opened_anew() {
        let name = format!("vestibule-audit-{}", crate::secret::random_id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let [path, old] = ["audit.jsonl", "audit.jsonl.1"].map(|name| folder.join(name));
        fs::write(&path, "from before\n").unwrap();
        let file = AuditFile::open(path.clone()).unwrap();
        let write = |line: &str| file.make_writer().write_all(line.as_bytes()).unwrap();
        write("one\n");
        fs::rename(&path, &old).unwrap();
        write("two\n");
        assert_eq!(fs::read_to_string(&old).unwrap(), "from before\none\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        fs::remove_file(&path).unwrap();
        write("three\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        // Copied and truncated, it is still the same file.
        File::create(&path).unwrap();
        write("four\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
        fs::remove_dir_all(&folder).unwrap();
        file.append(b"five\n").unwrap_err();
        write("five, on stderr\n");
    }
}
