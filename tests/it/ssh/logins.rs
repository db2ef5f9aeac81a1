//! Who gets in, how, and for how long.

use std::{fs, process::Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Doors, text};
use crate::world::{SLOW, until, within};

#[tokio::test]
async fn a_key_lets_its_own_user_in_and_its_options_are_obeyed() {
    let doors = Doors::with("approval = false").await;
    let alice = &doors.world.alice;
    let login = async |user: &str, key: &str, line: &str| {
        let mut command = doors.command_with("ssh", key);
        command.args(["-l", user, "workspace", line]);
        doors.run(command).await
    };
    assert!(login(alice, "id", "true").await.status.success());
    for (user, key) in [
        (alice.as_str(), "other"),
        (doors.world.bob.as_str(), "id"),
        ("nobody", "id"),
        ("../etc", "id"),
    ] {
        let output = login(user, key, "true").await;
        assert_eq!(output.status.code(), Some(255), "{user} {key}");
        // One who is not there looks like one whose key it is not.
        assert!(
            text(&output.stderr).ends_with("Permission denied (publickey,password)."),
            "{output:?}"
        );
    }
    for (options, line, said) in [
        (
            "command=\"echo forced $SSH_ORIGINAL_COMMAND\" ",
            "asked",
            Some("forced asked"),
        ),
        ("from=\"127.0.0.0/8\" ", "echo in", Some("in")),
        ("from=\"192.0.2.0/24\" ", "echo in", None),
        ("expiry-time=\"20200101\" ", "echo in", None),
        ("permitopen=\"localhost:1\" ", "echo in", None),
    ] {
        doors.authorize(alice, options);
        let output = login(alice, "id", line).await;
        assert_eq!(
            output
                .status
                .success()
                .then(|| text(&output.stdout))
                .as_deref(),
            said,
            "{options}"
        );
    }
    let denied = doors.world.audit("ssh_denied");
    assert!(
        denied
            .iter()
            .all(|line| line["reason"] == "not_authenticated")
    );
    assert_eq!(denied.len(), 7, "{denied:?}");
}

#[tokio::test]
async fn a_key_that_was_taken_away_ends_its_connections() {
    let doors = Doors::with("recheck = \"1s\"").await;
    let mut command = doors.command("ssh");
    command.args(["workspace", "sleep 1000"]);
    let child = command.spawn().unwrap();
    until("it is in", SLOW, async || {
        doors.world.audit("ssh_open").len() == 1
    })
    .await;
    fs::remove_file(doors.path("keys").join(&doors.world.alice)).unwrap();
    let output = within("it ends", SLOW, child.wait_with_output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).contains("this key may no longer log in"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_short_lived_token_is_a_password_and_nothing_else_is() {
    let doors = Doors::open().await;
    let alice = &doors.world.alice;
    let token = |args: &[&str]| {
        let mut command = doors.world.vestibule();
        let output = command.arg("token").args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let token = text(&output.stdout);
        doors.world.secret(&token);
        token
    };
    let login = async |user: &str, password: &str| {
        let ask = doors.path("ask");
        fs::write(&ask, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = doors.command("ssh");
        command
            .args([
                "-o",
                "BatchMode=no",
                "-o",
                "PreferredAuthentications=password",
            ])
            .args([
                "-o",
                "NumberOfPasswordPrompts=1",
                "-l",
                user,
                "workspace",
                "echo in",
            ])
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force");
        text(&doors.run(command).await.stdout)
    };
    let good = token(&[alice, "--ssh"]);
    assert_eq!(login(alice, &good).await, "in");
    assert_eq!(login(&doors.world.bob, &good).await, "", "another's");
    assert_eq!(login(alice, &token(&[alice])).await, "", "a session's");
    assert_eq!(login(alice, "").await, "");
    // And the other way round: it opens no door of the web.
    let answer = doors
        .world
        .get("/")
        .header("authorization", &format!("Bearer {good}"))
        .send()
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_click_in_the_browser_lets_the_terminal_in() {
    let doors = Doors::open().await;
    let alice = doors.world.log_in(&doors.world.alice).await;
    let bob = doors.world.log_in(&doors.world.bob).await;
    for allow in [true, false] {
        let mut command = doors.command("ssh");
        command
            .args([
                "-o",
                "BatchMode=no",
                "-o",
                "PreferredAuthentications=keyboard-interactive",
            ])
            .args([
                "-o",
                "NumberOfPasswordPrompts=1",
                "-o",
                "LogLevel=INFO",
                "workspace",
                "echo in",
            ])
            .stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let link = within("a link", SLOW, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it goes on");
                if let Some(link) = line.trim().strip_prefix(&doors.world.origin) {
                    return link.trim().to_owned();
                }
            }
        })
        .await;
        let page = alice.visit(&link).send().await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains("127.0.0.1"), "{}", page.text());
        assert_eq!(bob.visit(&link).send().await.status, 404, "not bob's");
        let verb = if allow { "allow" } else { "deny" };
        let answer = alice
            .call(http::Method::POST, &format!("{link}/{verb}"))
            .fetch()
            .send()
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let output = within("it goes on", SLOW, child.wait_with_output())
            .await
            .unwrap();
        assert_eq!(text(&output.stdout), if allow { "in" } else { "" });
        assert_eq!(alice.visit(&link).send().await.status, 404, "good once");
    }
}
