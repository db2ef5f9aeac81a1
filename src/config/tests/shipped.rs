//! `proxy.toml` and `docs/configuration.md` say what the reader does.

use std::{collections::BTreeSet, path::Path};

use super::Dir;
use crate::config::{load::config, node::parse, section::Reading};

const SHIPPED: &str = include_str!("../../../proxy.toml");
const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// The shipped file, with a key that is there.
fn shipped() -> String {
    let file = "/etc/vestibule/handoff.key";
    assert!(SHIPPED.contains(file));
    SHIPPED.replace(file, "shared.key")
}

/// The same with its settings taken out of their comments, the examples too if they are asked
/// for. An example is a line that says so, or a table whose head does.
fn uncommented(examples: bool) -> String {
    let shipped = shipped();
    let mut in_example = false;
    let lines = shipped.lines().map(|line| {
        let is_setting = line.starts_with('#') && !line.starts_with("# ") && line != "#";
        let marked = line.contains("# example; ");
        if line.is_empty() {
            in_example = false;
        } else if marked && line.starts_with("#[") {
            in_example = true;
        }
        // What goes on in the next line is indented behind its `#`.
        let goes_on = line.starts_with("#    ");
        if (is_setting || goes_on) && (examples || !(marked || in_example)) {
            &line[1..]
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    let dir = Dir::new();
    let [as_it_is, in_full] = [shipped(), uncommented(false)].map(|text| {
        assert_ne!(text, "");
        let config = dir.read(&text, &[]);
        format!("{:#?}", config.unwrap_or_else(|errors| panic!("{errors}")))
    });
    assert_eq!(as_it_is, in_full);
}

/// The full names of all keys that the reader asks for in `text`.
fn keys_of(text: &str) -> BTreeSet<String> {
    let dir = Dir::new();
    let reading = Reading::new([]);
    config(&reading, parse(text).unwrap(), &dir.0).unwrap();
    let known = reading.known();
    let mistakes = reading.finish();
    assert!(mistakes.is_empty(), "{mistakes:?}");
    known
}

#[test]
fn the_shipped_file_shows_every_key() {
    let text = uncommented(true);
    let table: toml::Table = text.parse().unwrap();
    for key in keys_of(&text) {
        // Of the apps, one or another shows every key; a list's items, what they hold in text.
        let parts: Vec<&str> = key.split('.').collect();
        let shown = match parts[..] {
            ["session", "keys", part] | ["workspace", "mounts", part] => text.contains(part),
            ["apps", _, part] => {
                let mut apps = table["apps"].as_table().unwrap().values();
                apps.any(|app| app.get(part).is_some())
            }
            _ => {
                let mut value = Some(&table);
                let (last, above) = parts.split_last().unwrap();
                for part in above {
                    value = value.and_then(|table| table.get(*part)?.as_table());
                }
                value.is_some_and(|table| table.contains_key(*last))
            }
        };
        assert!(shown, "{key} is not in proxy.toml");
    }
}

#[test]
fn the_documentation_tells_every_key_and_its_variable() {
    let keys = keys_of(&uncommented(true));
    let holds =
        |table: &str, key: &str| key.strip_prefix(table).is_some_and(|k| k.starts_with('.'));
    let lists = ["session.keys", "workspace.mounts"];
    for key in &keys {
        let is_table = keys.iter().any(|other| holds(key, other)) && !lists.contains(&key.as_str());
        let name = key.replace("apps.codespace", "apps.<name>");
        // One app stands for all.
        if is_table || holds("apps", key) && name == *key {
            continue;
        }
        let row = DOCUMENTATION
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("{name} has no row"));
        let has_none = lists.iter().any(|list| key == list || holds(list, key))
            || [".env", ".headers", ".cookies"]
                .iter()
                .any(|end| key.ends_with(end));
        let variable = format!("VESTIBULE_{}", name.replace('.', "_").to_uppercase());
        assert_eq!(
            row.contains(&format!("| `{variable}` |")),
            !has_none,
            "{variable}\n{row}"
        );
    }
}

#[test]
fn the_sites_in_the_documentation_work() {
    let dir = Dir::new();
    for (page, text) in [
        ("docs/configuration.md", DOCUMENTATION),
        ("README.md", include_str!("../../../README.md")),
    ] {
        let (_, rest) = text.split_once("```toml\n").unwrap();
        let (site, _) = rest.split_once("```").unwrap();
        assert!(
            site.lines().count() <= 18,
            "{page}: {}",
            site.lines().count()
        );
        let site = site.replace("/etc/vestibule/handoff.key", "shared.key");
        let config = dir.read(&site, &[]);
        let config = config.unwrap_or_else(|errors| panic!("{page}: {errors}"));
        assert!(
            config
                .tls
                .unwrap()
                .cert
                .starts_with(Path::new("/etc/vestibule"))
        );
    }
}
