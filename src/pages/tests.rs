use proptest::prelude::*;

use super::*;

/// Text that would be markup, leave an attribute, or be a script if it weren't escaped.
const HOSTILE: &str = "</title><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

/// Every page there is, each text of it `text`, each part that may be missing there.
fn every_page(text: &str) -> Vec<Html> {
    let lines = [text.to_owned(), "second".to_owned()];
    let actions = [false, true].map(|post| Action {
        label: text,
        href: text,
        post,
    });
    let app = HomeApp {
        title: text,
        href: text.to_owned(),
        up: true,
    };
    let gauge = Gauge {
        label: "Memory",
        value: text.to_owned(),
        of: text.to_owned(),
        percent: Some(100),
    };
    let fact = Fact {
        label: "Stops",
        text: text.to_owned(),
        more: Some(text.to_owned()),
    };
    vec![
        starting(&Starting {
            app_title: text,
            user: text,
            step: text,
            number: 2,
            of: 4,
            queue: Some(3),
            estimate_seconds: Some(9),
            events: text,
            here: text,
        }),
        approval(&Approval {
            user: text,
            code: text,
            state: ApprovalState::Asks {
                from: text.to_owned(),
                seconds: 3,
                elsewhere: Some(text.to_owned()),
            },
        }),
        failed(&Failed {
            app_title: text,
            title: text,
            why: text,
            id: text,
            log_tail: &lines,
            retry_seconds: 2,
            here: text,
        }),
        signed_out(text),
        terminal(&Terminal {
            user: text,
            kept: true,
            others: text,
        }),
        refused(&Refused {
            status: 403,
            title: text,
            detail: text,
            request_id: text,
            actions: &actions,
        }),
        home(&Home {
            user: text,
            notice: Some(text),
            events: text,
            ssh: Some(HomeSsh {
                command: text.to_owned(),
                password: Some(text.to_owned()),
            }),
            live: Live {
                state: text,
                state_sentence: text.to_owned(),
                apps: vec![app],
                about_to_stop: Some(text.to_owned()),
                gauges: vec![gauge],
                facts: vec![fact.clone()],
                why: vec![fact],
                keep: Some(Keep {
                    action: text.to_owned(),
                    time: text.to_owned(),
                }),
                can_stop: true,
            },
        }),
    ]
}

/// The tags of a page, each from `<` to `>`.
fn tags(page: &str) -> Vec<&str> {
    let starts = page.split('<').skip(1);
    starts
        .map(|rest| rest.split_once('>').expect("every tag ends").0)
        .collect()
}

#[test]
fn no_text_becomes_markup_or_leaves_its_attribute() {
    for (hostile, harmless) in every_page(HOSTILE).iter().zip(every_page("text")) {
        assert!(hostile.contains("&#60;script&#62;"), "{hostile}");
        // The same tags with the same attributes, only their values differ.
        let hostile = hostile.replace(&escaped(HOSTILE), "text");
        assert_eq!(hostile, harmless);
    }
}

/// `text` as askama writes it.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '&' | '\'' | '<' | '>' => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[test]
fn every_page_has_a_language_a_title_a_viewport_and_one_heading() {
    for page in every_page("text") {
        assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
        assert!(page.contains("content=\"width=device-width, initial-scale=1\""));
        for tag in ["<title>", "<h1>", "<main>", "</html>"] {
            assert_eq!(page.matches(tag).count(), 1, "{tag} in {page}");
        }
    }
}

#[test]
fn nothing_stands_inline_and_nothing_comes_from_elsewhere() {
    for page in every_page("text") {
        assert!(!page.contains("//"), "{page}");
        for tag in tags(&page) {
            let name = tag.split(' ').next().unwrap_or_default();
            assert_ne!(name, "style", "{tag}");
            assert!(name != "script" || tag.contains(" src="), "{tag}");
            for attribute in tag.split(' ').skip(1) {
                assert!(!attribute.starts_with("on"), "{tag}");
                assert!(!attribute.starts_with("style="), "{tag}");
            }
        }
    }
    for name in ["page.css", "page.js", "terminal.css", "terminal.mjs"] {
        let text = String::from_utf8_lossy(asset(name).unwrap().bytes).into_owned();
        for outside in ["//", "url(", "@import", "innerHTML", "eval("] {
            assert!(!text.contains(outside), "{outside} in {name}");
        }
    }
}

#[test]
fn every_file_a_page_loads_is_there() {
    for page in every_page("text") {
        for name in page.split("\"/_vestibule/assets/").skip(1) {
            let name = name.split('"').next().unwrap_or_default();
            assert!(asset(name).is_some(), "{name}");
        }
    }
}

#[test]
fn every_module_the_terminal_imports_is_there() {
    let script = String::from_utf8_lossy(asset("terminal.mjs").unwrap().bytes);
    let imported = script
        .lines()
        .filter_map(|line| line.split_once(" from \"./"));
    let names: Vec<&str> = imported
        .map(|(_, name)| name.trim_end_matches("\";"))
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        assert!(asset(name).is_some(), "{name}");
    }
}

#[test]
fn no_page_runs_what_stands_in_it_or_stands_in_a_frame() {
    for csp in [CSP, TERMINAL_CSP] {
        assert!(csp.contains("script-src 'self';"), "{csp}");
        assert!(csp.contains("frame-ancestors 'none'"), "{csp}");
    }
}

#[test]
fn different_files_have_different_etags() {
    let tag = |name| asset(name).unwrap().etag.as_str();
    assert_ne!(tag("page.css"), tag("page.js"));
    assert_ne!(tag("page.js"), tag("favicon.svg"));
    assert!(tag("page.css").starts_with('"') && tag("page.css").ends_with('"'));
}

#[test]
fn a_log_is_shown_only_if_there_is_one() {
    let lines = ["port 8080 is in use".to_owned()];
    let mut page = Failed {
        app_title: "JupyterLab",
        title: "JupyterLab could not be started",
        why: "It ended at once.",
        id: "f1",
        log_tail: &lines,
        retry_seconds: 0,
        here: "/jupyter/ann/",
    };
    assert!(failed(&page).contains("\nport 8080 is in use\n</pre>"));
    page.log_tail = &[];
    assert!(!failed(&page).contains("<pre"));
}

#[test]
fn whatever_changes_something_is_a_form() {
    let [.., refused, home] = &every_page("text")[..] else {
        unreachable!("there are six pages");
    };
    for (page, action) in [
        (home, "/_vestibule/logout"),
        (home, "/_vestibule/stop"),
        (refused, "text"),
    ] {
        let form = format!("method=\"post\" action=\"{action}\"");
        assert!(page.contains(&form), "{form}");
    }
    assert!(!home.contains("href=\"/_vestibule/logout\""));
}

#[test]
fn a_page_without_script_asks_for_itself_again() {
    let page = &every_page("/jupyter/ann/lab?a=1")[0];
    let refresh = r#"<noscript><meta http-equiv="refresh" content="2; url=/jupyter/ann/lab?a=1">"#;
    assert!(page.contains(refresh), "{page}");
}

proptest! {
    #[test]
    fn no_text_and_no_number_breaks_a_page(
        text in ".*", number: usize, of: usize, queue: Option<usize>, estimate_seconds: Option<u64>,
    ) {
        prop_assert_eq!(every_page(&text).len(), 7);
        let page = starting(&Starting {
            app_title: &text, user: &text, step: &text, number, of, queue, estimate_seconds,
            events: &text, here: &text,
        });
        prop_assert!(page.contains("<progress"));
    }

    #[test]
    fn no_name_of_a_file_is_a_panic(name in ".*") {
        prop_assert!(asset(&name).is_none_or(|asset| !asset.bytes.is_empty()));
    }
}
