//! `vestibule doctor`: each of the usual causes of trouble, brought about and found.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Output,
};

use serde_json::{Value, json};

use crate::world::{
    Docker, World,
    docker::container_of,
    is_root,
    keys::{HANDOFF, handoff_claims, now, with},
    nginx::GOOD,
};

/// What the doctor of a world finds.
struct Report {
    report: Value,
    code: Option<i32>,
}

impl Report {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_str(&text);
        Self {
            report: report.unwrap_or_else(|error| panic!("{error}: {text}{complaint}")),
            code: output.status.code(),
        }
    }

    /// Asserts how a check went, with these words in what was seen or in what to do.
    #[track_caller]
    fn finds(&self, check: &str, state: &str, words: &[&str]) {
        let findings = self.report["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no {check} in {:#}", self.report));
        assert_eq!(found["state"], state, "{found:#}");
        assert_eq!(found["do"].is_null(), state == "ok", "{found:#}");
        let text = format!("{} {}", found["seen"], found["do"]);
        for word in words {
            assert!(text.contains(word), "no {word:?} in {found:#}");
        }
        let worst = self.report["state"] == "fail";
        assert_eq!(self.code, Some(i32::from(worst)), "{:#}", self.report);
    }
}

fn doctor(world: &World) -> Report {
    let mut command = world.vestibule();
    let output = command.args(["doctor", "--json", "--config", "proxy.toml"]);
    Report::of(&output.output().unwrap())
}

#[tokio::test]
async fn a_sound_installation_is_told_so_and_then_what_went_wrong_with_it() {
    let world = World::start("").await;
    let report = doctor(&world);
    for check in [
        "proxy",
        "certificate",
        "host",
        "proxy address",
        "websockets",
        "clock",
        "cookies",
        "engine",
        "network",
        "image",
        "data",
    ] {
        report.finds(check, "ok", &[]);
    }
    // Nobody is there in this world.
    report.finds("login", "warn", &["/vestibule/open", "login_url"]);
    let ours = format!("label=vestibule.doctor={}", world.network);
    let left = world.docker.run(&["ps", "-aq", "--filter", &ours]);
    assert_eq!(left, "", "its own container is gone");

    // A directory that root made.
    let home = world.dir.join("data/made-by-root");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        doctor(&world).finds(
            "data",
            "fail",
            &["made-by-root (owner 0", "chown -R 1000:1000"],
        );
    }
    fs::remove_dir(&home).unwrap();

    // A signer whose clock is a minute ahead, and then one that is behind.
    let visitor = world.visitor("/").await;
    let early = with(
        handoff_claims(&world.alice, &visitor.state),
        &json!({"iat": now() + 60, "exp": now() + 90}),
    );
    let token = world.keys.sign(HANDOFF, &early);
    assert_eq!(
        world.callback(&visitor, &token, "/").send().await.status,
        400
    );
    doctor(&world).finds("clock", "fail", &["s ahead of ours", "timedatectl"]);

    // Names and origins that we don't answer to.
    let other = world.get("/").header("host", "code.example.org");
    assert_eq!(other.send().await.status, 421);
    let alice = world.log_in(&world.alice).await;
    let fields = [
        ("cookie", alice.cookie.as_str()),
        ("origin", "https://code.example.org"),
    ];
    let foreign = world.socket("/codespace/x/", &fields);
    assert!(foreign.await.is_err());
    let report = doctor(&world);
    report.finds("host", "warn", &["code.example.org", "public_url"]);
    report.finds(
        "origins",
        "warn",
        &["https://code.example.org", "trusted_origins"],
    );
}

#[tokio::test]
async fn a_front_proxy_that_changes_what_passes_is_found() {
    let world = World::prepare("", Docker::of_this_machine());
    world.stand_behind_nginx(GOOD).await;
    world.launch().await;
    let report = doctor(&world);
    report.finds("host", "ok", &[]);
    report.finds("websockets", "ok", &[]);
    report.finds("proxy address", "ok", &["127.0.0.1"]);

    let without = |line: &str| {
        let kept = GOOD.lines().filter(|kept| !kept.contains(line));
        kept.collect::<Vec<_>>().join("\n")
    };
    world.reconfigure_nginx(&without(" Host ")).await;
    let report = doctor(&world);
    let upstream = world.plain.to_string();
    report.finds(
        "host",
        "fail",
        &[upstream.as_str(), "proxy_set_header Host"],
    );

    world.reconfigure_nginx(&without("pgrade")).await;
    let report = doctor(&world);
    report.finds("host", "ok", &[]);
    report.finds(
        "websockets",
        "fail",
        &["drops `Upgrade`", "proxy_set_header Upgrade"],
    );

    let named = format!("{GOOD}proxy_set_header X-Forwarded-Host code.example.org;");
    world.reconfigure_nginx(&named).await;
    let report = doctor(&world);
    report.finds("host", "warn", &["X-Forwarded-Host", "code.example.org"]);

    world.reconfigure_nginx("return 503;").await;
    doctor(&world).finds("address", "fail", &["not this proxy", "503", "nginx"]);

    // Not the proxy that we were told of.
    world.reconfigure_nginx(GOOD).await;
    world.end("TERM").await;
    world.configure("[listen]\ntrusted_proxies = [\"192.0.2.1\"]");
    world.launch_refusing().await;
    doctor(&world).finds(
        "proxy address",
        "fail",
        &["127.0.0.1", "listen.trusted_proxies"],
    );
}

#[tokio::test]
async fn what_keeps_a_proxy_from_serving_is_found_without_one() {
    let world = World::prepare("", Docker::of_this_machine());
    let docker = &world.docker;
    // Made by hand, as `docker network create` makes one.
    docker.run(&["network", "create", &world.network]);
    let tag = format!("vestibule-it:{}", world.id);
    let bare = "FROM vestibule-workspace:slim\nUSER root\n\
        RUN rm -f \"$(command -v jupyter)\"\nUSER 1000\n";
    fs::write(world.dir.join("recorder/Dockerfile"), bare).unwrap();
    let context = world.dir.join("recorder").display().to_string();
    docker.run(&["build", "-q", "-t", &tag, &context]);
    world.configure(&format!("[workspace]\nimage = \"{tag}\""));
    let report = doctor(&world);
    report.finds("proxy", "fail", &["vestibule serve"]);
    report.finds("network", "fail", &["icc", "docker network rm"]);
    report.finds(
        "image",
        "fail",
        &["`jupyter`, the program of jupyter", "build.sh"],
    );

    world.configure(
        "[workspace]\nimage = \"vestibule-it:none\"\nisolation = \"warn\"\n\
         [session]\nshared_cookie = \"ide_session\"",
    );
    let report = doctor(&world);
    report.finds("network", "warn", &["icc"]);
    report.finds("image", "fail", &["there is no image", "build.sh"]);
    report.finds(
        "cookies",
        "fail",
        &["127.0.0.1", "localhost", "share no domain"],
    );

    world.configure(&format!(
        "[engine]\nsocket = \"{}/none.sock\"",
        world.dir.display()
    ));
    doctor(&world).finds("engine", "fail", &["there is no", "systemctl start docker"]);

    if is_root() {
        world.configure(&format!("[engine]\nsocket = \"{}\"", docker.socket()));
        fs::set_permissions(&world.dir, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = world.vestibule();
        command
            .args(["doctor", "--json", "--config", "proxy.toml"])
            .uid(65_534)
            .gid(65_534);
        let report = Report::of(&command.output().unwrap());
        report.finds("engine", "fail", &["65534", "usermod -aG docker"]);
        report.finds("data", "fail", &["65534", "CAP_CHOWN"]);
    }
    assert_eq!(docker.id(&container_of(&world.alice)), None);
}

#[tokio::test]
async fn browsers_that_lose_their_cookie_are_noticed() {
    let world = World::start("[session]\nshared_cookie = \"ide_session\"").await;
    let path = format!("/codespace/{}/", world.alice);
    let mut cookie = String::new();
    for _ in 0..6 {
        let answer = world.get(&path).navigate().header("cookie", &cookie);
        let answer = answer.send().await;
        let Some(state) = answer.cookie("__Host-vestibule-state") else {
            assert_eq!(answer.status, 400, "{}", answer.text());
            break;
        };
        cookie = format!("__Host-vestibule-state={state}");
    }
    let report = doctor(&world);
    report.finds("cookies", "fail", &["share no domain"]);

    world.end("TERM").await;
    let same = format!(
        "login_url = \"http://localhost:{}/open\"",
        world.site.port()
    );
    world.configure(&same);
    world.launch().await;
    doctor(&world).finds("cookies", "ok", &["ide_session"]);
    for _ in 0..6 {
        let answer = world.get(&path).navigate().header("cookie", &cookie);
        let answer = answer.send().await;
        if let Some(state) = answer.cookie("__Host-vestibule-state") {
            cookie = format!("__Host-vestibule-state={state}");
        }
    }
    let report = doctor(&world);
    report.finds(
        "cookies",
        "fail",
        &["again and again", "there is no session", "Path=/"],
    );
}
