//! Who gets in, how, and for how long.

use std::fs;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpListener,
    process::{ChildStderr, Command},
};

use super::{Doors, clients, text};
use crate::world::{
    SLOW,
    client::Answer,
    keys::{SESSION, now, session_claims, with},
    until, within,
};

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
    until("each is told of", SLOW, async || {
        doors.world.audit("ssh_denied").len() == 7
    })
    .await;
    let denied = doors.world.audit("ssh_denied");
    assert!(
        denied
            .iter()
            .all(|line| line["reason"] == "not-authenticated")
    );
}

#[tokio::test]
async fn keys_of_every_kind_log_in_and_signatures_by_sha1_do_not() {
    let doors = Doors::with("approval = false").await;
    let keys = doors.path("keys").join(&doors.world.alice);
    let mut lines = String::new();
    for (name, kind, bits) in [
        ("ecdsa", "ecdsa", "256"),
        ("rsa", "rsa", "2048"),
        ("short", "rsa", "1024"),
    ] {
        let mut make = tokio::process::Command::new("ssh-keygen");
        make.args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"])
            .arg(doors.path(name));
        assert!(doors.run(make).await.status.success());
        lines += &fs::read_to_string(doors.path(&format!("{name}.pub"))).unwrap();
    }
    fs::write(keys, lines).unwrap();
    for (kind, algorithm, gets_in) in [
        ("ecdsa", "ecdsa-sha2-nistp256", true),
        ("rsa", "rsa-sha2-512", true),
        ("short", "rsa-sha2-512", false),
    ] {
        let mut command = doors.command_with("ssh", kind);
        command
            .arg("-o")
            .arg(format!("PubkeyAcceptedAlgorithms={algorithm}"));
        command.args(["workspace", "true"]);
        let output = doors.run(command).await;
        let got_in = output.status.success();
        assert_eq!(got_in, gets_in, "{kind} {algorithm}: {output:?}");
    }
    // OpenSSH would not even offer them.
    clients::python(&doors, include_str!("sha1.py")).await;
}

#[tokio::test]
async fn the_web_application_tells_keys_and_without_an_answer_nobody_gets_in() {
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "keys_url = \"http://{}/keys\"\napproval = false",
        web.local_addr().unwrap()
    );
    let doors = Doors::with(&url).await;
    let key = fs::read_to_string(doors.path("id.pub")).unwrap();
    fs::remove_file(doors.path("keys").join(&doors.world.alice)).unwrap();
    let print = tokio::process::Command::new("ssh-keygen")
        .args(["-lf"])
        .arg(doors.path("id.pub"))
        .output()
        .await
        .unwrap();
    let print = text(&print.stdout).split(' ').nth(1).unwrap().to_owned();
    let spelled = print
        .replace(':', "%3A")
        .replace('+', "%2B")
        .replace('/', "%2F");
    let alice = doors.world.alice.replace('-', "%2D");
    let expected = format!("GET /keys?user={alice}&fingerprint={spelled} HTTP/1.1");
    let serve = async |answer: String| {
        let (mut stream, _) = web.accept().await.unwrap();
        let mut head = vec![0; 2000];
        let length = stream.read(&mut head).await.unwrap();
        let head = text(&head[..length]);
        assert!(head.starts_with(&expected), "{head}\n{expected}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let with = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // Asked anew only once its answer is old; a failure is none.
    let (denied, ()) = tokio::join!(doors.ssh("true"), serve(with("500 No", &key)));
    assert_eq!(denied.status.code(), Some(255));
    let (output, ()) = tokio::join!(doors.ssh("echo in"), serve(with("200 OK", &key)));
    assert_eq!(text(&output.stdout), "in", "{output:?}");
}

#[tokio::test]
async fn a_session_that_let_a_terminal_in_takes_it_along() {
    let doors = Doors::open().await;
    let alice = doors.world.log_in(&doors.world.alice).await;
    assert!(!alice.visit("/").send().await.text().contains("eyJ"));
    let ask = || alice.call(http::Method::POST, "/_vestibule/ssh-password");
    let elsewhere = ask().header("origin", "https://evil.example");
    assert_eq!(elsewhere.send().await.status, 403);
    let password = password_of(&doors, &ask().fetch().send().await);
    assert_eq!(doors.world.audit("ssh_password").len(), 1);
    let child = doors.password(&doors.world.alice, &password, "echo in; sleep 1000");
    until("it is in", SLOW, async || {
        doors.world.audit("ssh_open").len() == 1
    })
    .await;
    let answer = alice
        .call(http::Method::POST, "/_vestibule/logout")
        .fetch()
        .send()
        .await;
    assert_eq!(answer.status, 303);
    let output = within("it ends", SLOW, child.wait_with_output())
        .await
        .unwrap();
    assert!(
        text(&output.stderr).contains("this session was ended"),
        "{output:?}"
    );
    // Told a moment after the client was.
    until("its end is told", SLOW, async || {
        let closed = doors.world.audit("ssh_close");
        closed.iter().any(|closed| closed["reason"] == "revoked")
    })
    .await;
}

/// The password that a page shows.
fn password_of(doors: &Doors, page: &Answer) -> String {
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, after) = text.split_once("<p><code>eyJ").unwrap();
    let password = format!("eyJ{}", after.split('<').next().unwrap());
    doors.world.secret(&password);
    password
}

#[tokio::test]
async fn a_session_lends_its_end_and_its_apps_to_ssh() {
    let doors = Doors::open().await;
    let world = &doors.world;
    let session = |changes: &Value| {
        let claims = with(session_claims(&world.alice), changes);
        world.keys.sign(SESSION, &claims)
    };
    let ask = async |session: &str| {
        let call = world.call(http::Method::POST, "/_vestibule/ssh-password");
        call.bearer(session).send().await
    };
    let limited = session(&json!({ "apps": ["recorder"] }));
    let page = world.get("/").bearer(&limited).send().await;
    assert!(!page.text().contains("ssh -p"), "{}", page.text());
    assert_eq!(ask(&limited).await.status, 403);
    let link = world.get("/_vestibule/ssh/ABCD2345").bearer(&limited);
    assert_eq!(link.send().await.status, 403);

    let brief = session(&json!({ "apps": ["ssh"], "exp": now() + 10 }));
    let password = password_of(&doors, &ask(&brief).await);
    let child = doors.password(&world.alice, &password, "sleep 1000");
    let output = within("it ends", SLOW, child.wait_with_output()).await;
    let said = text(&output.unwrap().stderr);
    assert!(said.contains("this session has come to its end"), "{said}");
    until("it is told", SLOW, async || {
        let closed = world.audit("ssh_close");
        closed.iter().any(|line| line["reason"] == "expired")
    })
    .await;
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
        let child = doors.password(user, password, "echo in");
        let output = within("it ends", SLOW, child.wait_with_output()).await;
        text(&output.unwrap().stdout)
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
        .header("authorization", format!("Bearer {good}"))
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
        let mut child = asking(&doors, 1).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let link = next_link(&doors, &mut lines).await.unwrap();
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

/// `ssh` of somebody who wants to be let in by a click, and asks for it so many times.
pub fn asking(doors: &Doors, times: u32) -> Command {
    let mut command = doors.command("ssh");
    let methods = "PreferredAuthentications=keyboard-interactive";
    command.args(["-o", "BatchMode=no", "-o", methods, "-o", "LogLevel=INFO"]);
    command.args(["-o", &format!("NumberOfPasswordPrompts={times}")]);
    command.args(["workspace", "echo in"]);
    command
}

/// The next link that a terminal shows, if it shows one more.
pub async fn next_link(doors: &Doors, lines: &mut Lines<BufReader<ChildStderr>>) -> Option<String> {
    let link = async {
        loop {
            let line = lines.next_line().await.unwrap()?;
            if let Some(link) = line.trim().strip_prefix(&doors.world.origin) {
                return Some(link.trim().to_owned());
            }
        }
    };
    within("a link or the end", SLOW, link).await
}

#[tokio::test]
async fn a_connection_asks_for_a_click_three_times_and_no_more() {
    let doors = Doors::open().await;
    let alice = doors.world.log_in(&doors.world.alice).await;
    let mut child = asking(&doors, 9).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut asked = 0;
    while let Some(link) = next_link(&doors, &mut lines).await {
        asked += 1;
        let deny = alice.call(http::Method::POST, &format!("{link}/deny"));
        assert_eq!(deny.fetch().send().await.status, 200);
    }
    assert_eq!(asked, 3);
}
