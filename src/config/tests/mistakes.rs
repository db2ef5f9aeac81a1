//! How mistakes are told: all at once, each with its place and a hint.

use std::path::Path;

use proptest::prelude::*;

use super::{SITE, read};
use crate::config::{Config, ConfigErrors, Place};

/// The mistakes of `errors`, one a line, without the directory of the file.
fn told(errors: &ConfigErrors) -> Vec<String> {
    let dir = format!("{}/", errors.path.parent().unwrap().display());
    let told = errors.to_string().replace(&dir, "");
    told.lines().map(str::to_owned).collect()
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = r#"public_url = "x"
login_ulr = "https://a.test/"
trusted_origins = [
    "https://good.test",
    "bad",
    "https://worse.test/path",
]
image = "x"
[workspace]
data_rot = "/x"
patience = "soon"
state_dir = "/y"
mounts = [
    { source = "/x", taget = "/y" },
]
[workspace.env]
"A=B" = "x"
[elsewhere]
x = 1
[apps.jupyter]
port = 70000
"#;
    let env = [
        ("VESTIBULE_WORKSPACE_MEMORY", "lots"),
        ("VESTIBULE_WORKSPACE_IMAGES", "x"),
        ("VESTIBULE_SESSION_KEYS", "x"),
    ];
    let found = told(&read(text, &env).unwrap_err());
    let expected = [
        "proxy.toml: `login_url` is missing; such as: login_url = ",
        "proxy.toml: `tls.cert` is missing; such as: cert = ",
        "proxy.toml: `tls.key` is missing; such as: key = ",
        r#"proxy.toml:1: `public_url` must be an origin such as "https://ide.example.org""#,
        "proxy.toml:2: key `login_ulr` is unknown; did you mean `login_url`?",
        "proxy.toml:5: `trusted_origins` must be an origin",
        "proxy.toml:6: `trusted_origins` must be an origin",
        "proxy.toml:8: key `image` is unknown; did you mean `image` of `[workspace]`?",
        "proxy.toml:10: key `workspace.data_rot` is unknown; did you mean `data_root`?",
        r#"proxy.toml:11: `workspace.patience` must be a time from 0s to 20s, such as "20s", not "soon""#,
        "proxy.toml:12: key `workspace.state_dir` is unknown; `state_dir` stands above the first [table]",
        "proxy.toml:14: `workspace.mounts.target` is missing; such as: target = ",
        "proxy.toml:14: key `workspace.mounts.taget` is unknown; did you mean `target`?",
        r#"proxy.toml:17: `workspace.env` "A=B" is no name of a variable"#,
        "proxy.toml:18: key `elsewhere` is unknown",
        "proxy.toml:21: `apps.jupyter.port` must be a whole number from 1 to 65535, not 70000",
        r#"VESTIBULE_SESSION_KEYS: `session.keys` must be a list of keys, not "x""#,
        "VESTIBULE_WORKSPACE_IMAGES: stands for no key; did you mean VESTIBULE_WORKSPACE_IMAGE?",
        "VESTIBULE_WORKSPACE_MEMORY: `workspace.memory` must be a size of at least 64m",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{expected}\nis not:\n{found}");
    }
}

#[test]
fn a_file_that_is_not_there_or_no_toml_is_a_mistake_too() {
    let absent = Config::read(Path::new("/nowhere/proxy.toml"), []).unwrap_err();
    let expected = "/nowhere/proxy.toml: can't be read: there is no such file";
    assert!(absent.to_string().starts_with(expected), "{absent}");
    let directory = Config::read(Path::new("/"), []).unwrap_err();
    assert_eq!(directory.mistakes.len(), 1, "{directory}");
    for (text, line) in [
        ("a = [", 1),
        ("\n\na = = 1", 3),
        ("\0", 1),
        ("a = 1\na = 2", 2),
    ] {
        let errors = read(text, &[]).unwrap_err();
        assert_eq!(
            errors.mistakes[0].place,
            Place::Line(line),
            "{text:?}: {errors}"
        );
    }
    assert!(
        read("", &[])
            .unwrap_err()
            .to_string()
            .contains("`public_url` is missing")
    );
}

#[test]
fn one_mistake_is_told_once() {
    for more in [
        "[listen]\nhttps = [\"localhost\"]",
        "[listen]\nplain = [\"127.0.0.1:80\"]\nhttps = \"[::]:443\"",
        "[listen]\nplain = [\"127.0.0.1:80\"]\nhttps = \"[::]:443\"\ntrusted_proxies = [\"x\"]",
        "[apps.codespace]\nport = 0\n[apps.jupyter]\nenabled = false",
        "[apps]\nx = 1",
        "[workspace]\nmounts = [1]",
    ] {
        let errors = read(&format!("{SITE}{more}"), &[]).unwrap_err();
        assert_eq!(errors.mistakes.len(), 1, "{more}\n{errors}");
    }
}

#[test]
fn a_port_taken_twice_is_told_where_the_operator_wrote_it() {
    let app = "[apps.aa]\ncommand = [\"x\"]\nport = 8080\n";
    let errors = read(&format!("{SITE}{app}"), &[]).unwrap_err();
    let line = 2 + SITE.lines().count();
    assert_eq!(errors.mistakes[0].place, Place::Line(line + 1), "{errors}");
    assert!(
        errors
            .to_string()
            .contains("`apps.aa.port` is the port of the app `codespace` too")
    );
    let errors = read(SITE, &[("VESTIBULE_APPS_CODESPACE_PORT", "8888")]).unwrap_err();
    let expected = "VESTIBULE_APPS_CODESPACE_PORT: `apps.codespace.port` is the port";
    assert!(errors.to_string().starts_with(expected), "{errors}");
}

#[test]
fn no_secret_is_told() {
    let text = SITE.replace("file = ", "flie = \"very secret\", file = ");
    let errors = read(&text, &[]).unwrap_err().to_string();
    assert!(
        !errors.contains("0123456789") && !errors.contains("very secret"),
        "{errors}"
    );
}

proptest! {
    #[test]
    fn no_value_makes_the_reader_panic(
        key in "public_url|login_url|trusted_origins|listen|listen.https|listen.plain|tls|session|\
                session.keys|session.lifetime|workspace.memory|workspace.cpus|workspace.mounts|\
                workspace.env|apps|apps.jupyter|apps.x|apps.jupyter.ready_path|idle.timeout|\
                limits.connections|log.filter|session.shared_cookie|workspace.network",
        value in "-?[0-9]{1,20}(\\.[0-9]{1,9})?|nan|-inf|true|1979-05-27|\\{\\}|\\[\\]|\
                  \\[[0-9]\\]|\\[\\{\\}\\]|\\{ a = [0-9] \\}|'[ -&(-~é]{0,24}'",
        variable in "[A-Z_]{0,9}",
        text in "\\PC{0,24}",
    ) {
        let env = [(format!("VESTIBULE_{variable}"), text.clone()),
                   (format!("VESTIBULE_{}", key.replace('.', "_").to_uppercase()), text)];
        let env: Vec<_> = env.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let _ = read(&format!("{key} = {value}"), &[]);
        let _ = read(SITE, &env);
    }
}
