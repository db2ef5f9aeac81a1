//! Whether a key is a user's: by a directory of `authorized_keys` files, read each time, so that
//! a key that was taken away is gone at once; then by the web application, asked with the user
//! and the key's fingerprint.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use dashmap::DashMap;
use http::{StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use russh::keys::{HashAlg, PublicKey};
use tokio::{
    io::AsyncReadExt as _,
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::authorized::{self, Permits};
use crate::{
    fetch::{FetchError, fetch},
    names::Username,
};

/// Longest file of keys that is read: some thousand keys.
const LONGEST_FILE: u64 = 1 << 20;
/// How long an answer of the web application is good for: a login asks twice, for the offer and
/// for the signature.
const FRESH: Duration = Duration::from_secs(20);
/// Most answers that are kept, each a line or two.
const ANSWERS: usize = 10_000;
/// How often the web application is asked at the same time, and how long another question waits
/// for its turn.
const AT_ONCE: usize = 16;
const TURN: Duration = Duration::from_secs(2);

/// A source of keys can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source of SSH keys does not answer")]
pub struct Unanswered;

/// Where keys come from.
#[derive(Debug)]
pub struct Keys {
    directory: Option<PathBuf>,
    url: Option<Uri>,
    /// By the address asked: the lines that came, and when.
    answers: DashMap<String, (Arc<str>, Instant)>,
    asking: Semaphore,
}

impl Keys {
    /// Keys of a directory with a file for each user, and of the web application.
    pub fn new(directory: Option<PathBuf>, url: Option<Uri>) -> Self {
        Self {
            directory,
            url,
            answers: DashMap::new(),
            asking: Semaphore::new(AT_ONCE),
        }
    }

    /// What `key` may do as `user` from `client`, if it may log in at all.
    ///
    /// # Errors
    /// [`Unanswered`] if no source knows the key and one can't be asked: nobody is let in by that.
    pub async fn find(
        &self,
        user: &Username,
        key: &PublicKey,
        client: IpAddr,
    ) -> Result<Option<Permits>, Unanswered> {
        let now = SystemTime::now();
        let directory = self.of_directory(user).await;
        let judge = |text: &str| {
            let permits = authorized::find(text, key, client, now);
            if permits.is_none() && authorized::has(text, key) {
                let key = key.fingerprint(HashAlg::Sha256);
                tracing::info!(%user, client.addr = %client, %key,
                    "a key's options let it in neither from there nor now, or aren't known");
            }
            permits
        };
        if let Ok(Some(text)) = &directory
            && let Some(permits) = judge(text)
        {
            return Ok(Some(permits));
        }
        if let Some(text) = self.of_web(user, key).await?
            && let Some(permits) = judge(&text)
        {
            return Ok(Some(permits));
        }
        directory.map(|_| None)
    }

    async fn of_directory(&self, user: &Username) -> Result<Option<String>, Unanswered> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        // A username holds no slash and is neither `.` nor `..`.
        let path = directory.join(user.as_str());
        match read(&path).await {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a file of keys can't be read");
                Err(Unanswered)
            }
        }
    }

    /// The lines that the web application answers with, from memory if it was just asked.
    async fn of_web(
        &self,
        user: &Username,
        key: &PublicKey,
    ) -> Result<Option<Arc<str>>, Unanswered> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let url = question(url, user, key);
        let known = |url: &str| {
            let answer = self.answers.get(url)?;
            (answer.1.elapsed() < FRESH).then(|| Arc::clone(&answer.0))
        };
        if let Some(text) = known(&url) {
            return Ok(Some(text));
        }
        let Ok(Ok(_turn)) = timeout(TURN, self.asking.acquire()).await else {
            tracing::warn!(%user, "the web application is too slow to tell a key");
            return Err(Unanswered);
        };
        let asked = url.parse().map_err(|_| Unanswered)?;
        let text: Arc<str> = match fetch(&asked, "text/plain").await {
            Ok(fetched) => lines_of(key, &String::from_utf8_lossy(&fetched.body)).into(),
            Err(FetchError::Status(StatusCode::NOT_FOUND)) => "".into(),
            Err(error) => {
                tracing::warn!(%error, %user, "the web application did not tell a key");
                return Err(Unanswered);
            }
        };
        if self.answers.len() >= ANSWERS {
            self.answers.retain(|_, (_, at)| at.elapsed() < FRESH);
        }
        if self.answers.len() < ANSWERS {
            self.answers
                .insert(url, (Arc::clone(&text), Instant::now()));
        }
        Ok(Some(text))
    }
}

/// The address that is asked: `?user=alice&fingerprint=SHA256%3A...`.
fn question(url: &Uri, user: &Username, key: &PublicKey) -> String {
    let join = if url.query().is_some() { '&' } else { '?' };
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let [user, fingerprint] = [user.as_str(), &fingerprint]
        .map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string());
    format!("{url}{join}user={user}&fingerprint={fingerprint}")
}

/// The lines that name a key: an answer that holds others is not worth its memory.
fn lines_of(key: &PublicKey, text: &str) -> String {
    let spelled = key.to_openssh().unwrap_or_default();
    let blob = spelled.split(' ').nth(1).unwrap_or(&spelled);
    let lines = text.lines().filter(|line| line.contains(blob));
    lines.collect::<Vec<_>>().join("\n")
}

async fn read(path: &Path) -> io::Result<String> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    #[test]
    fn of_an_answer_the_lines_of_the_key_are_kept() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let other = KEY.replace("9dG4", "9dG5");
        let text = format!("# mine\nrestrict {KEY} ann\n{other}\r\n{KEY}\r\n");
        assert_eq!(lines_of(&key, &text), format!("restrict {KEY} ann\n{KEY}"));
        assert_eq!(lines_of(&key, &other), "");
    }

    #[tokio::test]
    async fn a_source_that_does_not_answer_is_told_from_one_that_says_no() {
        let user = Username::parse("ann").unwrap();
        let key = PublicKey::from_openssh(KEY).unwrap();
        let from = IpAddr::from([192, 0, 2, 1]);
        for (directory, url, expected) in [
            (Some("/absent"), None, Ok(None)),
            (Some("/dev/null"), None, Err(Unanswered)),
            (None, Some("http://127.0.0.1:1/"), Err(Unanswered)),
        ] {
            let keys = Keys::new(directory.map(PathBuf::from), url.map(Uri::from_static));
            assert_eq!(
                keys.find(&user, &key, from).await,
                expected,
                "{directory:?} {url:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_behind_questions_to_a_slow_application() {
        // It takes connections, and says nothing.
        let web = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", web.local_addr().unwrap());
        let keys = Keys::new(None, Some(url.parse().unwrap()));
        let (user, key) = (
            Username::parse("ann").unwrap(),
            PublicKey::from_openssh(KEY).unwrap(),
        );
        let ask = || keys.find(&user, &key, IpAddr::from([192, 0, 2, 1]));
        let began = Instant::now();
        let first = futures_util::future::join_all((0..AT_ONCE).map(|_| ask()));
        let late = async {
            assert_eq!(ask().await, Err(Unanswered));
            began.elapsed()
        };
        let (answers, late) = tokio::join!(first, late);
        assert!(answers.iter().all(Result::is_err));
        assert!(late >= TURN && late < TURN * 2, "{late:?}");
    }
}
