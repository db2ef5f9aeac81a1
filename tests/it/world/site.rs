//! The Django site of the example, as a site owner runs it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{SLOW, World, until};

/// The password of every demo user here.
pub const PASSWORD: &str = "correct horse battery staple";

impl World {
    /// Starts Django with this world's users, and waits until it answers.
    pub async fn open_the_site(&self) {
        let python = venv().join("bin/python");
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/django");
        let manage = |words: &[&str]| {
            let mut command = Command::new(&python);
            command
                .arg("manage.py")
                .args(words)
                .current_dir(&folder)
                .env("VESTIBULE_URL", &self.origin)
                .env("VESTIBULE_KEY_FILE", self.dir.join("shared.key"))
                .env("VESTIBULE_CA_FILE", self.dir.join("cert.pem"))
                .env("DJANGO_DB", self.dir.join("django/db.sqlite3"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .stdin(Stdio::null());
            command
        };
        let users = ["demo_users", "--password", PASSWORD, &self.alice, &self.bob];
        let output = manage(&users).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");

        let log = fs::File::create(self.dir.join("django.log")).unwrap();
        let address = self.site.to_string();
        let child = manage(&["runserver", "--noreload", &address])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        fs::write(self.dir.join("django.pid"), child.id().to_string()).unwrap();
        // The janitor ends it, and waits for that end.
        self.child(child);
        until("Django answers", SLOW, async || {
            tokio::net::TcpStream::connect(self.site).await.is_ok()
        })
        .await;
    }
}

/// The virtual environment that `tests/setup.sh` made for Django.
fn venv() -> PathBuf {
    let path = std::env::var_os("VESTIBULE_TEST_VENV").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-venv"),
        PathBuf::from,
    );
    assert!(
        path.join("bin/python").exists(),
        "no Django at {}; run tests/setup.sh or set VESTIBULE_TEST_VENV",
        path.display()
    );
    path
}
