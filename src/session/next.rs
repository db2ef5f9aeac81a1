//! Where a browser goes after a login: only ever to a path of this host.

use percent_encoding::percent_decode_str;

/// Longest path and query kept, in bytes; longer ones are no place a person was at.
pub const LONGEST_NEXT: usize = 2000;
/// Letters in the code of a link that lets a terminal in.
pub const APPROVAL_CODE: usize = 8;

/// A `next` that is safe to redirect to, path and query kept as they are, or `None`.
///
/// Refused is all that a browser or anything between could read as another host (`//evil`,
/// `/\evil`, `https:evil`, with tabs or line ends that browsers drop, WHATWG URL 4.4), also
/// after any number of percent-decodings; dot segments; and our own `/_vestibule/` pages, where
/// nobody was going, but for the one by which a user lets a terminal in.
pub fn safe_next(next: &str) -> Option<String> {
    let visible = |c: u8| c.is_ascii_graphic() && !b"\\\"<>".contains(&c);
    if next.len() > LONGEST_NEXT || !next.bytes().all(visible) {
        return None;
    }
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let mut decoded = path.as_bytes().to_vec();
    loop {
        if !is_own_path(&decoded) {
            return None;
        }
        // Each round that changes anything shortens it, so this ends.
        let again: Vec<u8> = match std::str::from_utf8(&decoded) {
            Ok(text) => percent_decode_str(text).collect(),
            Err(_) => return None,
        };
        if again == decoded {
            return Some(next.to_owned());
        }
        decoded = again;
    }
}

fn is_own_path(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && path.get(1) != Some(&b'/')
        && !path.iter().any(|c| c.is_ascii_control() || *c == b'\\')
        && !path
            .split(|c| *c == b'/')
            .any(|segment| segment == b"." || segment == b"..")
        && (path.split(|c| *c == b'/').nth(1) != Some(b"_vestibule") || is_approval(path))
}

/// Whether it is what SSH prints for its user to open, spelled as it does. It changes nothing.
fn is_approval(path: &[u8]) -> bool {
    let code = path.strip_prefix(b"/_vestibule/ssh/");
    code.is_some_and(|code| {
        code.len() == APPROVAL_CODE && code.iter().all(u8::is_ascii_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn only_paths_of_this_host_pass() {
        for bad in [
            "",
            "evil",
            "//evil",
            "///evil",
            "/\\evil",
            "\\\\evil",
            "/%09/evil",
            "/\t/evil",
            "\t//evil",
            " //evil",
            "https:evil",
            "https://evil",
            "javascript:1",
            "data:text/html,1",
            "/%5cevil",
            "/%5Cevil",
            "/%255cevil",
            "/%2fevil",
            "/%2Fevil",
            "/%25252fevil",
            "/%0d%0aX:1",
            "/\r\nX:1",
            "/a%00b",
            "/..//evil",
            "/.//evil",
            "/%2e%2e//evil",
            "/a/%252e%252e/b",
            "/é",
            "/%ff",
            "/_vestibule/logout",
            "/_vestibule/ssh/ABCD2345/allow",
            "/_vestibule/ssh/ABCD234",
            "/_vestibule/ssh/ABCD%2f34",
            "/%5fvestibule/callback?token=x",
            "/<script>",
            &format!("/{}", "a".repeat(LONGEST_NEXT)),
        ] {
            assert_eq!(safe_next(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn good_paths_keep_their_path_and_query() {
        for good in [
            "/",
            "/?",
            "/codespace/alice/",
            "/codespace/alice/?folder=/home/user&x=%5C%2F%0A",
            "/jupyter/a%40b/lab/tree/with%20space/n%C3%A9.ipynb?reset#cell-1",
            "/codespace/alice/a//b",
            "/codespace/alice/..a/b..",
            "/codespace/alice/?next=//evil",
            "/_vestibule/ssh/ABCD2345",
        ] {
            assert_eq!(safe_next(good).as_deref(), Some(good));
        }
    }

    /// Where a browser goes from one of our pages (the `url` crate is WHATWG's algorithm).
    fn host_of(next: &str) -> Option<String> {
        let base = Url::parse("https://ide.example.test/_vestibule/callback").unwrap();
        let target = base.join(next).ok()?;
        Some(target.origin().ascii_serialization())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn no_next_ever_leaves_this_host(
            next in "[/\\\\ \t\r\n.:@?#]{0,4}((%|%25|%2525)(09|0a|0D|5c|5C|2f|2F|2e|00|20)|[/\\\\.:@?#]|evil|https|javascript|\\PC){0,8}",
        ) {
            if let Some(mut safe) = safe_next(&next) {
                for _ in 0..6 {
                    let host = host_of(&safe);
                    prop_assert_eq!(host.as_deref(), Some("https://ide.example.test"));
                    prop_assert!(!safe.bytes().take_while(|c| *c != b'?' && *c != b'#').any(|c| c == b'\\' || c.is_ascii_control()));
                    let path = safe.split(['?', '#']).next().unwrap().to_owned();
                    safe = percent_decode_str(&path).decode_utf8_lossy().into_owned();
                }
            }
        }
    }
}
