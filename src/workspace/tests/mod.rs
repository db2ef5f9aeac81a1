//! The clocks, the reaper and the starts together, on a made-up engine and in paused time.

mod engine;
mod races;
mod traces;

use std::{fs, path::PathBuf};

use crate::{config::Config, secret::random_id};

/// A directory, gone after the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let dir = Self(std::env::temp_dir().join(format!("vestibule-idle-{}", random_id())));
        fs::create_dir(&dir.0).unwrap();
        fs::write(dir.0.join("shared.key"), "0123456789abcdef0123456789abcdef").unwrap();
        dir
    }

    /// A site with `more` (TOML) in its configuration.
    fn config(&self, more: &str) -> Config {
        let text = format!(
            "public_url = \"https://ide.test\"\nlogin_url = \"https://www.test/open\"\n\
             state_dir = \"state\"\n\
             [listen]\nplain = \"127.0.0.1:8080\"\ntrusted_proxies = \"127.0.0.1\"\n\
             [session]\nkeys = [{{ algorithm = \"HS256\", file = \"shared.key\" }}]\n\
             [workspace]\ndata_root = \"data\"\nisolation = \"warn\"\n{more}"
        );
        let file = self.0.join("proxy.toml");
        fs::write(&file, text).unwrap();
        Config::read(&file, []).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
