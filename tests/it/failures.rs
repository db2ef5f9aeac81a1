//! A start that can't work says why, in time, and works once the cause is gone.

use std::time::Duration;

use crate::world::{Answer, Person, SLOW, World, config::RECORDER, docker::container_of, until};

/// How long a start may take to fail here: its own deadline is below this.
const DEADLINE: Duration = Duration::from_secs(30);

/// Opens an app until it says that it failed, which must name `causes`, to a person and to a
/// program alike.
async fn fails(person: &Person<'_>, app: &str, causes: &[&str]) -> Answer {
    let path = person.path(app, "");
    let mut last = None;
    until("it fails", DEADLINE, async || {
        let answer = person.visit(&path).send().await;
        assert!(answer.is_page(), "{}", answer.text());
        let failed = answer.status.is_server_error();
        assert!(failed || answer.status == 202, "{}", answer.status);
        last = Some(answer);
        failed
    })
    .await;
    let page = last.unwrap();
    let problem = person.fetch(&path).send().await;
    assert!(
        problem.status.as_u16() >= 424 && problem.is_problem(),
        "{}",
        problem.text()
    );
    for cause in causes {
        for text in [page.text(), problem.json()["detail"].to_string()] {
            assert!(text.contains(cause), "{cause} is not in {text}");
        }
    }
    page
}

/// The cause is gone: a retry works, at the latest when the back-off is over.
async fn works(person: &Person<'_>, app: &str) {
    let path = person.path(app, "");
    until("a retry works", SLOW, async || {
        person.visit(&path).send().await.status == 200
    })
    .await;
}

/// Ways not to start, as apps; the file in the home is the cause's end.
const BROKEN: &str = r#"
[workspace]
ready_timeout = "4s"

[apps.quitter]
title = "Quits at once"
command = ["sh", "-c", "if [ -e ~/fixed ]; then exec python3 /opt/recorder/recorder.py 9100 a b c; fi; echo the last words; exit 7"]
port = 9100
prefix = "strip"
ready_path = "/ready"

[apps.silent]
title = "Never opens its port"
command = ["sh", "-c", "if [ -e ~/fixed ]; then exec python3 /opt/recorder/recorder.py 9101 a b c; fi; echo still thinking; exec sleep 600"]
port = 9101
prefix = "strip"
ready_path = "/ready"

[apps.lost]
title = "Has no such page"
command = ["python3", "-m", "http.server", "9103"]
port = 9103
ready_path = "/nowhere/"

[apps.absent]
title = "Isn't there"
command = ["/no/such/program"]
port = 9102
prefix = "strip"
ready_path = "/ready"
"#;

#[tokio::test]
async fn an_app_that_can_not_start_says_why_and_a_retry_works() {
    let world = World::start(BROKEN).await;
    let person = world.log_in(&world.alice).await;
    let quit = fails(&person, "quitter", &["7"]).await;
    assert!(
        quit.text().contains("the last words"),
        "for its owner: {}",
        quit.text()
    );
    let silent = fails(&person, "silent", &["9101"]).await;
    assert!(
        silent.text().contains("still thinking"),
        "{}",
        silent.text()
    );
    fails(&person, "absent", &["/no/such/program"]).await;
    fails(&person, "lost", &["404", "/nowhere/", "9103"]).await;
    assert!(!world.audit("start_failed").is_empty());

    let container = container_of(&world.alice);
    world.docker.shell(&container, "touch ~/fixed").unwrap();
    works(&person, "quitter").await;
    works(&person, "silent").await;
    let sleeps = world.docker.processes(&container, "sleep 600");
    assert!(
        sleeps.is_empty(),
        "what never opened its port was ended: {sleeps:?}"
    );
}

#[tokio::test]
async fn an_app_that_hangs_keeps_nobody_else_waiting_for_long() {
    let one = BROKEN.replace(
        "ready_timeout = \"4s\"",
        "max_starting = 1\nready_timeout = \"5m\"",
    );
    let world = World::start(&format!("{one}{RECORDER}")).await;
    let (alice, bob) = (
        world.log_in(&world.alice).await,
        world.log_in(&world.bob).await,
    );
    let hangs = alice.visit(&alice.path("silent", "")).send().await;
    assert_eq!(hangs.status, 202);
    let served = tokio::time::timeout(Duration::from_secs(45), works(&bob, "recorder"));
    assert!(served.await.is_ok(), "it kept its turn");
    assert!(world.audit("start_failed").is_empty(), "it hangs still");
}

#[tokio::test]
async fn a_missing_image_is_named_and_a_retry_works_once_it_is_there() {
    let world = World::prepare(RECORDER, crate::world::Docker::of_this_machine());
    let image = format!("vestibule-it:{}", world.id);
    world.configure(&format!("[workspace]\nimage = \"{image}\""));
    world.launch().await;
    let person = world.log_in(&world.alice).await;
    fails(&person, "recorder", &[&image]).await;
    world
        .docker
        .run(&["tag", "vestibule-workspace:slim", &image]);
    works(&person, "recorder").await;
}

#[tokio::test]
async fn a_missing_network_is_made_again_or_named() {
    let world = World::start(RECORDER).await;
    let person = world.log_in(&world.alice).await;
    person.open("recorder").await;
    let container = container_of(&world.alice);
    world.docker.run(&["rm", "-f", &container]);
    world.docker.run(&["network", "rm", &world.network]);
    let path = person.path("recorder", "");
    let mut repaired = false;
    until("a reload works or names the network", SLOW, async || {
        let answer = person.visit(&path).send().await;
        assert!(answer.status.as_u16() < 400 || answer.text().contains(&world.network));
        repaired |= answer.status.as_u16() >= 500
            && world
                .docker
                .try_run(&[
                    "network",
                    "create",
                    "-o",
                    "com.docker.network.bridge.enable_icc=false",
                    &world.network,
                ])
                .is_ok();
        answer.status == 200
    })
    .await;
    let icc = "{{index .Options \"com.docker.network.bridge.enable_icc\"}}";
    let icc = world
        .docker
        .run(&["network", "inspect", "-f", icc, &world.network]);
    assert_eq!(icc, "false");
}

#[tokio::test]
async fn a_missing_mount_is_named_unless_it_is_optional() {
    let world = World::prepare(RECORDER, crate::world::Docker::of_this_machine());
    let dir = world.dir.display();
    let mounts = |optional: bool| {
        format!(
            "[workspace]\nmounts = [{{ source = \"{dir}/recorder\", target = \"/opt/recorder\" }}, \
             {{ source = \"{dir}/absent\", target = \"/opt/absent\", optional = {optional} }}]"
        )
    };
    world.configure(&mounts(false));
    world.launch().await;
    let person = world.log_in(&world.alice).await;
    fails(&person, "recorder", &["absent"]).await;
    world.end("TERM").await;
    world.configure(&mounts(true));
    world.launch().await;
    works(&person, "recorder").await;
    let write = world
        .docker
        .shell(&container_of(&world.alice), "touch /opt/recorder/x");
    assert!(write.is_err(), "mounts are read-only");
}
