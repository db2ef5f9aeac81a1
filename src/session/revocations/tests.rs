//! The list and its file.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::*;
use crate::{secret::random_id, session::claims::Issued};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(random_id());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("revocations.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

fn claims(user: &str, session: &str, issued: Issued) -> Claims {
    Claims {
        user: name(user),
        session: session.to_owned(),
        token: Some(format!("of-{session}")),
        issued,
        expires: SystemTime::now() + Duration::from_hours(1),
        uid: None,
        apps: None,
    }
}

fn user(text: &str) -> Revocation {
    Revocation::User(name(text))
}

fn session(id: &str) -> Revocation {
    Revocation::Session(id.to_owned())
}

#[test]
fn where_cookies_were_given_out_a_list_that_is_lost_ends_them_all() {
    let folder = Folder::new();
    let fresh = Revocations::load(&folder.0).unwrap();
    let cookie = Issued::After(fresh.number());
    assert!(!fresh.hits(&claims("alice", "s", cookie)), "a new place");
    fs::write(folder.0.join("cookie.key"), [7; 32]).unwrap();
    fs::remove_file(folder.file()).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    let lost = Revocations::load(&folder.0).unwrap();
    assert!(lost.hits(&claims("alice", "s", cookie)));
    let again = Issued::After(lost.number());
    assert!(!lost.hits(&claims("alice", "s", again)), "a new login");
}

#[test]
fn what_was_revoked_survives_a_restart() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let before = Revocations::load(&folder.0).unwrap();
    let old = Issued::After(before.number());
    before.add(user("alice"), None, 0, now);
    before.add(session("s"), Some(&name("bob")), 0, now);
    before.add(Revocation::Token("of-t".to_owned()), None, 0, now);
    before.save(now).unwrap();
    let after = Revocations::load(&folder.0).unwrap();
    assert_eq!(*after.list(), *before.list());
    for (claims, hit) in [
        (claims("alice", "x", old), true),
        (claims("bob", "s", old), true),
        (claims("carol", "t", old), true),
        (claims("carol", "x", old), false),
        (claims("alice", "x", Issued::After(after.number())), false),
    ] {
        assert_eq!(after.hits(&claims), hit, "{claims:?}");
    }
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(&folder.0).unwrap().count(),
        1,
        "no draft is left"
    );
}

#[test]
fn nobody_is_served_by_a_file_that_can_not_be_read() {
    for damaged in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"number": 1, "floor": {}, "revoked": []}"#,
    ] {
        let folder = Folder::new();
        fs::write(folder.file(), damaged).unwrap();
        let error = Revocations::load(&folder.0).unwrap_err();
        assert!(error.to_string().contains("revocations.json"), "{error}");
    }
    let folder = Folder::new();
    Revocations::load(&folder.0).unwrap();
    let whole = fs::read_to_string(folder.file()).unwrap();
    let foreign = whole.replace(
        "[]",
        r#"[{"kind": "host", "id": "x", "number": 1, "before": 1, "until": 1}]"#,
    );
    fs::write(folder.file(), foreign).unwrap();
    assert!(Revocations::load(&folder.0).is_err());
    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    assert!(Revocations::load(&folder.0).is_err());
}

#[test]
fn a_revocation_that_can_not_be_kept_counts_and_is_told_of() {
    let folder = Folder::new();
    let revocations = Revocations::load(&folder.0).unwrap();
    fs::remove_dir_all(&folder.0).unwrap();
    revocations.add(user("alice"), None, 0, SystemTime::now());
    assert!(revocations.save(SystemTime::now()).is_err());
    assert!(revocations.hits(&claims("alice", "s", Issued::After(0))));
}

#[test]
fn numbers_go_on_above_those_of_a_lost_file() {
    let folder = Folder::new();
    let before = Revocations::load(&folder.0).unwrap();
    before.add(user("alice"), None, 0, SystemTime::now());
    let issued = Issued::After(before.number());
    std::thread::sleep(Duration::from_millis(5));
    fs::remove_file(folder.file()).unwrap();
    let after = Revocations::load(&folder.0).unwrap();
    after.add(user("alice"), None, 0, SystemTime::now());
    assert!(after.hits(&claims("alice", "s", issued)));
}

#[test]
fn a_revocation_is_forgotten_once_every_token_it_hits_has_ended() {
    let mut list = List::default();
    let now = UNIX_EPOCH + Duration::from_hours(500_000);
    list.add(user("alice"), None, 0, now);
    let month = Duration::from_hours(30 * 24);
    list.add(user("bob"), None, 0, now + month);
    list.forget_past(now + month);
    assert_eq!(list.records.len(), 2);
    list.forget_past(now + month + Duration::from_mins(2));
    assert_eq!(list.records.len(), 1);
    list.add(user("carol"), None, 0, now);
    assert_eq!(list.number, 3, "no number is used twice");
}

#[test]
fn the_list_is_bounded_and_who_has_no_place_in_it_stays_revoked() {
    let mut list = List::default();
    let now = SystemTime::now();
    let old = Issued::After(0);
    for index in 0..20_050 {
        list.add(session(&index.to_string()), None, 0, now);
    }
    assert!(list.records.len() <= 20_000);
    for index in [0, 1, 1999, 2000, 20_049] {
        assert!(
            list.hits(&claims("alice", &index.to_string(), old)),
            "{index}"
        );
    }
    let new = Issued::After(list.number);
    assert!(!list.hits(&claims("alice", "0", new)));
}

#[test]
fn who_logs_out_all_day_uses_up_their_own_place_alone() {
    let mut list = List::default();
    let now = SystemTime::now();
    list.add(session("other"), Some(&name("bob")), 0, now);
    for index in 0..1000 {
        list.add(session(&index.to_string()), Some(&name("alice")), 0, now);
    }
    assert!(list.records.len() <= 102, "{}", list.records.len());
    let old = Issued::After(1);
    for index in [0, 500, 999] {
        assert!(
            list.hits(&claims("alice", &index.to_string(), old)),
            "{index}"
        );
    }
    assert!(list.hits(&claims("bob", "other", Issued::After(0))));
    assert!(!list.hits(&claims("bob", "another", Issued::After(0))));
}

proptest! {
    #[test]
    fn nothing_from_before_a_revocation_passes_after_it(
        steps in proptest::collection::vec((0..3_u8, 0..3_u8), 1..40),
    ) {
        let revocations = Revocations::none();
        let users = ["alice", "bob", "carol"];
        let mut issued: Vec<(u8, Claims, bool)> = Vec::new();
        for (step, who) in steps {
            let user_name = users[usize::from(who)];
            if step == 0 {
                revocations.add(user(user_name), None, 0, SystemTime::now());
                for (of, _, revoked) in &mut issued {
                    *revoked |= *of == who;
                }
            } else {
                let number = Issued::After(revocations.number());
                let id = format!("{user_name}-{step}");
                issued.push((who, claims(user_name, &id, number), false));
            }
            for (_, claims, revoked) in &issued {
                prop_assert_eq!(revocations.hits(claims), *revoked);
            }
        }
    }

    #[test]
    fn no_file_makes_us_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let folder = Folder::new();
        fs::write(folder.file(), bytes).unwrap();
        let _ = Revocations::load(&folder.0);
    }
}
