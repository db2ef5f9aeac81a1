//! Starts: once for everybody, by a person alone, and after that without a thought.

use futures_util::future::join_all;
use http::Method;

use crate::world::{Person, SLOW, World, docker::container_of, shared, until};

/// How many main processes of each IDE run in a container.
pub fn ides(world: &World, container: &str) -> [usize; 2] {
    ["out/node/entry.js", "/bin/jupyter-lab"]
        .map(|program| world.docker.processes(container, program).len())
}

/// How often a container was created, by the engine's own account.
fn creations(world: &World, container: &str) -> usize {
    let filter = format!("container={container}");
    let now = format!("{}", crate::world::keys::now());
    let events = world.docker.run(&[
        "events",
        "--since",
        "20m",
        "--until",
        &now,
        "--filter",
        &filter,
        "--filter",
        "event=create",
        "--format",
        "{{.Action}}",
    ]);
    events.lines().count()
}

#[tokio::test]
async fn twenty_first_hits_at_once_make_one_container_and_one_process_of_each_ide() {
    let world = shared().await;
    let person = world.log_in(&world.user("crowd")).await;
    let paths = ["codespace", "jupyter"].map(|app| person.path(app, ""));
    let hits = (0..20).map(|n| person.visit(&paths[n % 2]).send());
    for answer in join_all(hits).await {
        assert!(
            answer.status.as_u16() < 400,
            "{}: {}",
            answer.status,
            answer.text()
        );
    }
    let (editor, notebook) = tokio::join!(person.open("codespace"), person.open("jupyter"));
    assert!(editor.is_page() || editor.status.is_redirection());
    assert!(notebook.is_page() || notebook.status.is_redirection());
    let container = container_of(&person.name);
    assert_eq!(ides(&world, &container), [1, 1]);
    until("the engine tells of it", SLOW, async || {
        creations(&world, &container) > 0
    })
    .await;
    assert_eq!(creations(&world, &container), 1);
}

#[tokio::test]
async fn a_poll_never_starts_a_workspace() {
    let world = shared().await;
    let person = world.log_in(&world.user("poll")).await;
    for app in ["codespace", "jupyter", "recorder"] {
        let path = person.path(app, "api/status");
        for call in [
            person.fetch(&path),
            person
                .fetch(&path)
                .header("x-requested-with", "XMLHttpRequest"),
            person.call(Method::GET, &path),
            person.call(Method::POST, &path).fetch(),
            person.call(Method::HEAD, &path),
            person.call(Method::OPTIONS, &path).fetch(),
            person.visit(&path).header("sec-purpose", "prefetch"),
        ] {
            let what = call.to_string();
            let answer = call.send().await;
            assert_eq!(answer.status, 424, "{what}: {}", answer.text());
            assert!(what.starts_with("HEAD") || answer.is_problem(), "{what}");
        }
    }
    assert_eq!(world.docker.id(&container_of(&person.name)), None);
}

#[tokio::test]
async fn a_slow_start_shows_a_page_that_goes_on_by_itself() {
    let world = shared().await;
    let person = world.log_in(&world.user("slow")).await;
    // JupyterLab takes longer than this world's patience of a second.
    let path = person.path("jupyter", "");
    let answer = person.visit(&path).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(answer.is_page());
    assert!(answer.header("cache-control").contains("no-store"));
    let page = answer.text();
    let refresh = answer.header("refresh").to_owned() + &page;
    assert!(
        refresh.to_lowercase().contains("refresh"),
        "works without script"
    );
    let progress = format!("/_vestibule/progress/jupyter/{}/", person.name);
    let events = person.fetch(&progress).patient(SLOW).send().await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(events.text().contains("data:"), "{}", events.text());
    let there = person.visit(&path).send().await;
    assert_ne!(there.status, 202, "the events ended, so it is there");
    assert!(there.status.as_u16() < 400);
}

#[tokio::test]
async fn a_user_finds_both_ides_in_one_container_with_the_same_files() {
    let world = shared().await;
    let person = world.log_in(&world.user("both")).await;
    person.open("codespace").await;
    person.open("jupyter").await;
    let container = container_of(&person.name);
    world
        .docker
        .shell(&container, "echo hi > ~/made-here")
        .unwrap();
    let file = std::fs::read_to_string(world.home(&person.name).join("made-here"));
    assert_eq!(file.unwrap(), "hi\n");
    let listed = person
        .fetch(&person.path("jupyter", "api/contents"))
        .send()
        .await;
    assert!(listed.text().contains("made-here"), "{}", listed.text());
    let config = person
        .fetch(&person.path("codespace", "healthz"))
        .send()
        .await;
    assert!(config.json()["status"].is_string());
}

#[tokio::test]
async fn the_home_page_knows_the_workspace_and_can_stop_it() {
    let world = shared().await;
    let person = world.log_in(&world.user("home")).await;
    let before = person.visit("/").send().await;
    assert!(
        before.status == 200 && before.is_page(),
        "{}",
        before.text()
    );
    for app in ["codespace", "jupyter", "recorder"] {
        assert!(before.text().contains(&person.path(app, "")), "{app}");
    }
    let container = container_of(&person.name);
    assert_eq!(world.docker.id(&container), None, "looking starts nothing");
    person.open("recorder").await;
    let stop = || person.call(Method::POST, "/_vestibule/stop");
    let stranger = stop().header("origin", "https://evil.test").send().await;
    assert_eq!(stranger.status, 403);
    assert!(world.docker.runs(&container));
    let answer = stop()
        .navigate()
        .header("origin", &world.origin)
        .patient(SLOW)
        .send()
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    until("it stops", SLOW, async || !world.docker.runs(&container)).await;
    again(&person).await;
}

/// Opens the recorder once more.
async fn again(person: &Person<'_>) {
    assert_eq!(person.open("recorder").await.status, 200);
}

#[tokio::test]
async fn more_users_than_may_start_at_once_are_all_served() {
    let limit = "[workspace]\nmax_starting = 2\npatience = \"0s\"\n";
    let world = World::start(&format!("{limit}{}", crate::world::config::RECORDER)).await;
    let log_ins = (0..8).map(async |n| world.log_in(&world.user(&format!("u{n}"))).await);
    let people = join_all(log_ins).await;
    let answers = join_all(people.iter().map(|person| person.open("recorder"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let health = world.get("/_vestibule/healthz").send().await;
    assert_eq!(health.status, 200);
}

#[tokio::test]
async fn a_workspace_that_an_operator_started_knows_its_user_from_the_next_start_on() {
    let docker = crate::world::Docker::of_this_machine();
    let world = World::prepare(crate::world::config::RECORDER, docker);
    world.launch().await;
    let (user, container) = (&world.alice, container_of(&world.alice));
    let operator = |verb: &str| {
        let mut command = world.vestibule();
        command.args([verb, user.as_str(), "--config", "proxy.toml"]);
        assert!(command.status().unwrap().success(), "{verb}");
    };
    let known = || world.docker.shell(&container, "echo \"$USER_ID\"").unwrap();
    let person = world.log_in(user).await;
    operator("start");
    assert_eq!(known().trim(), "");
    assert_eq!(person.open("recorder").await.status, 200);
    assert_eq!(known().trim(), "", "it runs, and is left alone");
    operator("stop");
    again(&person).await;
    assert_eq!(known().trim(), "7");
    let id = world.docker.id(&container);
    for verb in ["stop", "start"] {
        operator(verb);
    }
    assert_eq!(known().trim(), "7");
    assert_eq!(world.docker.id(&container), id, "it is as it was");
    world.end("TERM").await;
    world.configure("[workspace]\nmemory = \"700m\"");
    world.launch().await;
    for verb in ["stop", "start"] {
        operator(verb);
    }
    assert_ne!(world.docker.id(&container), id, "it is of another make");
    assert_eq!(known().trim(), "7");
}
