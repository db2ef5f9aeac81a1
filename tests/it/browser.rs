//! The main job as a person does it: Django, Chromium, both IDEs.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use vestibule::workspace::{Explanation, Kind};

use crate::{
    starts::ides,
    world::{
        SLOW, World, docker::container_of, person::SESSION_COOKIE, send_signal, site::PASSWORD,
        until,
    },
};

/// A browser at one scenario of tests/browser for one user; its environment can be added to.
pub fn browser(world: &World, user: &str, scenario: &str) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/browser");
    assert!(
        folder.join("node_modules").is_dir(),
        "no playwright-core in tests/browser; run `npm ci` there"
    );
    let still = root.join("target/still.so");
    assert!(
        still.is_file(),
        "no target/still.so; run tests/setup.sh browser"
    );
    let shots = root.join("target/screenshots");
    fs::create_dir_all(&shots).unwrap();
    let mut command = Command::new("node");
    command
        .arg(folder.join(scenario))
        .env("ORIGIN", &world.origin)
        .env("SITE", format!("http://{}", world.site))
        .env("USERNAME", user)
        .env("PASSWORD", PASSWORD)
        .env("PIN", &world.tls.pin)
        .env("STILL", &still)
        .env("SHOTS", &shots)
        .env("SESSION", world.dir.join("browser.json"))
        .env("HOME_ON_HOST", world.home(user))
        .env("VESTIBULE", env!("CARGO_BIN_EXE_vestibule"))
        .env("WORLD", &world.dir)
        .env("CONTAINER", container_of(user))
        .stdin(Stdio::null());
    command
}

/// The cookies of a browser in which somebody is logged in, as `SESSION` takes them.
pub async fn logged_in(world: &World, user: &str) -> PathBuf {
    let person = world.log_in(user).await;
    let (_, value) = person.cookie.split_once('=').unwrap();
    let cookie = serde_json::json!({
        "name": SESSION_COOKIE, "value": value, "domain": "localhost", "path": "/",
        "expires": -1, "httpOnly": true, "secure": true, "sameSite": "Lax",
    });
    let file = world.dir.join(format!("{user}.json"));
    let state = serde_json::json!({ "cookies": [cookie], "origins": [] });
    fs::write(&file, state.to_string()).unwrap();
    file
}

/// Runs one scenario for alice, and shows what it says if it fails.
fn play(world: &World, scenario: &str) {
    let output = browser(world, &world.alice, scenario).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    println!("{scenario}\n{said}");
    assert!(output.status.success(), "{scenario}\n{said}{complaint}");
}

#[tokio::test]
async fn a_user_goes_from_a_django_login_to_an_editor_and_a_notebook_and_past_every_fault() {
    let world = World::start("[workspace]\npatience = \"0s\"").await;
    world.open_the_site().await;
    play(&world, "editor.mjs");
    let container = container_of(&world.alice);
    let editor = world.docker.id(&container);
    play(&world, "notebook.mjs");
    assert_eq!(
        world.docker.id(&container),
        editor,
        "one container for both"
    );
    assert_eq!(ides(&world, &container), [1, 1]);
    play(&world, "reload.mjs");
    play(&world, "site.mjs");
    let revoked = world.audit("admin");
    let revoked = revoked.iter().find(|act| act["act"] == "revoke");
    assert_eq!(revoked.unwrap()["by"], "django");
}

#[tokio::test]
async fn the_home_page_tells_what_is_and_keeps_up_with_it() {
    let world = World::start("").await;
    world.open_the_site().await;
    play(&world, "home.mjs");
}

#[tokio::test]
async fn a_terminal_is_opened_typed_into_reloaded_and_ended() {
    let world = World::start("").await;
    world.open_the_site().await;
    let log = world.dir.join("terminal.log");
    let said = fs::File::create(&log).unwrap();
    let mut command = browser(&world, &world.alice, "terminal.mjs");
    command.stdout(said.try_clone().unwrap()).stderr(said);
    let mut browser = command.spawn().unwrap();
    let mut restarted = false;
    let mut ended = None;
    until("the browser ends", 3 * SLOW, async || {
        if !restarted
            && fs::read_to_string(&log)
                .unwrap()
                .contains("restart the server")
        {
            world.end("TERM").await;
            world.launch().await;
            restarted = true;
        }
        ended = browser.try_wait().unwrap();
        ended.is_some()
    })
    .await;
    let said = fs::read_to_string(&log).unwrap();
    println!("terminal.mjs\n{said}");
    assert!(ended.unwrap().success(), "{said}");
}

#[tokio::test]
async fn a_revoked_user_loses_the_editor_at_once_and_comes_back_by_a_reload() {
    let world = World::start("[workspace]\npatience = \"20s\"").await;
    world.open_the_site().await;
    play(&world, "revoked.mjs");
}

#[tokio::test]
async fn an_untouched_tab_is_stopped_a_typing_and_a_computing_one_are_not() {
    let world = World::start("[idle]\ntimeout = \"40s\"\n[workspace]\ncpus = 0.5").await;
    let mut browsers = Vec::new();
    for role in ["untouched", "typing", "computing", "sleeping"] {
        let user = world.user(role);
        let session = logged_in(&world, &user).await;
        let said = fs::File::create(world.dir.join(format!("{role}.log"))).unwrap();
        let mut command = browser(&world, &user, "idle.mjs");
        command
            .env("SESSION", session)
            .env("ROLE", role)
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        browsers.push((role, user, command.spawn().unwrap()));
        // One after the other: a start takes more than these do afterwards.
        let log = world.dir.join(format!("{role}.log"));
        until("the IDE is in use", 3 * SLOW, async || {
            let said = fs::read_to_string(&log).unwrap();
            assert!(!said.contains("at https:"), "{role}: {said}");
            said.contains("it goes on")
        })
        .await;
    }
    let explain = |user: &str| {
        let said = world.vestibule().args(["explain", user]).output().unwrap();
        println!("{}", String::from_utf8_lossy(&said.stdout));
        explain(&world, user)
    };
    let [untouched, typing, computing, sleeping] = [0, 1, 2, 3].map(|n| browsers[n].1.clone());
    until("the untouched one is stopped", 3 * SLOW, async || {
        !world.docker.runs(&container_of(&untouched))
    })
    .await;
    until("it is told of", SLOW, async || {
        explain(&untouched).last_stop.is_some()
    })
    .await;
    assert_eq!(explain(&untouched).last_stop.unwrap().reason, "idle");
    // Kernels are asked when a stop is due.
    until("the kernel is asked", SLOW, async || {
        let asked = explain(&sleeping).asked;
        asked
            .iter()
            .any(|asked| asked.app == "jupyter" && asked.busy)
    })
    .await;
    let clock = |user: &str, name: &str| {
        let clocks = explain(user).clocks.into_iter();
        clocks
            .into_iter()
            .find(|clock| clock.clock == name)
            .unwrap()
    };
    for (user, name, kind) in [
        (&typing, "input", Kind::Socket),
        (&computing, "busy", Kind::Cpu),
        (&sleeping, "busy", Kind::App),
    ] {
        let clock = clock(user, name);
        assert!(world.docker.runs(&container_of(user)), "{user}");
        assert_eq!(clock.kind, kind, "{user}: {clock:?}");
        assert!(clock.seconds_ago < 40, "{user}: {clock:?}");
    }
    for (_, _, mut browser) in browsers {
        if browser.try_wait().unwrap().is_none() {
            send_signal(browser.id(), "TERM");
        }
        browser.wait().unwrap();
    }
}

/// What Vestibule says of a user's workspace.
pub fn explain(world: &World, user: &str) -> Explanation {
    let mut explain = world.vestibule();
    let output = explain.args(["explain", user, "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
