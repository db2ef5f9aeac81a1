//! The names of users, apps and containers: parsed once at the edge, valid ever after.
//!
//! Imports `secret`. Promise: no two usernames share a [`ContainerName`] or a data
//! directory, and no name here can climb out of a path or a URL segment.

use std::{borrow::Borrow, fmt, sync::Arc};

/// Longest escaped name in bytes: a directory entry takes 255 (`NAME_MAX`, limits.h).
const LONGEST_ESCAPED: usize = 240;

/// A name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text can't be a username.
    #[error(
        "not a username: {0:?}; it must be 1 to 64 of A-Z a-z 0-9 _ . @ + - and not `.` or `..`"
    )]
    User(String),
    /// The text can't name an app.
    #[error(
        "not an app name: {0:?}; it must be 1 to 32 of a-z 0-9 - and begin with a letter or digit"
    )]
    App(String),
}

/// A user's name, parsed, so valid: 1 to 64 characters of Django's username rule, ASCII only
/// (`django.contrib.auth.validators.ASCIIUsernameValidator`). Case matters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(Arc<str>);

impl Username {
    /// Parses an already percent-decoded name.
    ///
    /// # Errors
    /// [`NameError::User`] for anything but 1 to 64 allowed characters, and for `.` and `..`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"_.@+-".contains(&c);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        if fits && text != "." && text != ".." {
            Ok(Self(text.into()))
        } else {
            Err(NameError::User(text.chars().take(80).collect()))
        }
    }

    /// The name as the token and the path spell it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name spelled with `a-z 0-9 _ . -` alone, for container and directory names: any
    /// other character, and any `-` that would follow a `-`, becomes `--` and two hex digits.
    /// A leading `-` counts as following one, since `user-` stands before it. A name that
    /// would outgrow a directory entry is `--h` and its SHA-256 instead.
    pub fn escaped(&self) -> String {
        use fmt::Write as _;
        let mut out = String::with_capacity(self.0.len() + 8);
        for c in self.0.chars() {
            match c {
                'a'..='z' | '0'..='9' | '_' | '.' => out.push(c),
                '-' if !out.is_empty() && !out.ends_with('-') => out.push(c),
                _ => write!(out, "--{:02x}", u32::from(c)).expect("a String takes any text"),
            }
        }
        if out.len() > LONGEST_ESCAPED {
            // `h` is no hex digit, so no escaped name looks like this.
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.0.as_bytes());
            out = format!("--h{}", crate::secret::hex(digest.as_ref()));
        }
        out
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The name of the one container a user has: `user-` and the escaped username.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerName(Arc<str>);

impl ContainerName {
    /// The container name of `user`.
    pub fn of(user: &Username) -> Self {
        Self(format!("user-{}", user.escaped()).into())
    }

    /// The name as the engine knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an app of the `[apps.*]` table, which is also its first path segment.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(Arc<str>);

impl AppName {
    /// Parses an app's name.
    ///
    /// # Errors
    /// [`NameError::App`] for anything but 1 to 32 of `a-z 0-9 -` beginning with a letter or digit.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(allowed);
        if fits && !text.starts_with('-') {
            Ok(Self(text.into()))
        } else {
            Err(NameError::App(text.chars().take(80).collect()))
        }
    }

    /// The name as the path spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AppName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `escaped` undoes to; two names with one spelling would be told apart by nothing.
    fn unescape(text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(c) = rest.chars().next() {
            let code = rest
                .strip_prefix("--")
                .and_then(|r| r.get(..2))
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            if let Some(code) = code {
                out.push(char::from(code));
                rest = &rest[4..];
            } else {
                out.push(c);
                rest = &rest[1..];
            }
        }
        out
    }

    #[test]
    fn usernames_are_what_django_allows_and_nothing_else() {
        for good in ["a", "alice", "A.b@c+d-e_f", "...", &"x".repeat(64)] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\0",
            "é",
            "a%",
            &"x".repeat(65),
        ] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn container_names_are_spelled_as_the_design_says() {
        for (user, name) in [
            ("alice", "user-alice"),
            ("a.b", "user-a.b"),
            ("a_b", "user-a_b"),
            ("a-b", "user-a-b"),
            ("a--b", "user-a---2db"),
            ("A-B", "user---41---42"),
            ("-x", "user---2dx"),
            ("x@y", "user-x--40y"),
        ] {
            let user = Username::parse(user).unwrap();
            assert_eq!(ContainerName::of(&user).as_str(), name, "{user}");
        }
    }

    proptest! {
        #[test]
        fn no_two_users_share_a_container_name(text in "[A-Za-c0-4_.@+-]{1,64}") {
            if let Ok(user) = Username::parse(&text) {
                let escaped = user.escaped();
                prop_assert!(escaped.len() <= LONGEST_ESCAPED);
                prop_assert!(escaped.starts_with("--h") || unescape(&escaped) == text);
            }
        }

        #[test]
        fn an_escaped_name_never_leaves_its_directory(text in "[A-Za-z0-9_.@+-]{1,64}") {
            if let Ok(user) = Username::parse(&text) {
                let escaped = user.escaped();
                prop_assert!(escaped != "." && escaped != ".." && !escaped.contains('/'));
            }
        }
    }
}
