//! Which environment variables a client may set.

use std::collections::BTreeMap;

/// Most variables that a client may set for a program.
const MOST: usize = 64;
/// Longest value of one.
const LONGEST: usize = 4096;

/// Sets a variable, if a client may; says whether.
pub fn set(env: &mut BTreeMap<String, String>, name: &str, value: &str) -> bool {
    let fits = value.len() <= LONGEST && !value.contains('\0') && env.len() < MOST;
    let may = fits && allowed(name);
    if may {
        env.insert(name.to_owned(), value.to_owned());
    }
    may
}

/// Variables that a client may set: what a terminal is, and how its user writes; never what
/// changes which programs and libraries are loaded.
fn allowed(name: &str) -> bool {
    let listed = [
        "LANG",
        "LANGUAGE",
        "COLORTERM",
        "TERM_PROGRAM",
        "TERM_PROGRAM_VERSION",
    ];
    let locale = name.strip_prefix("LC_").is_some_and(|rest| {
        (1..=40).contains(&rest.len())
            && rest.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    });
    locale || listed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sets_its_language_and_not_what_programs_load() {
        for name in [
            "LANG",
            "LC_ALL",
            "LC_VSCODE_X1",
            "COLORTERM",
            "TERM_PROGRAM",
        ] {
            assert!(allowed(name), "{name}");
        }
        for name in [
            "LD_PRELOAD",
            "PATH",
            "BASH_ENV",
            "LC_",
            "LC_A=B",
            "lang",
            "",
        ] {
            assert!(!allowed(name), "{name}");
        }
    }
}
