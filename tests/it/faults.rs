//! Things break under an open tab: a reload ends in a working app.

use futures_util::StreamExt as _;

use crate::{
    starts::ides,
    world::{
        Person, SLOW, World, config::RECORDER, docker::container_of, shared, socket, until, within,
    },
};

/// Opens an app with a socket, as a tab does.
async fn tab<'w>(world: &'w World, name: &str) -> (Person<'w>, socket::Socket) {
    let person = world.log_in(&world.user(name)).await;
    person.open("recorder").await;
    let path = person.path("recorder", "ws");
    let (socket, _) = person.socket(&path, &[]).await.unwrap();
    (person, socket)
}

/// Reloads until the app is there; every answer on the way is a page that says why.
async fn reload(person: &Person<'_>, app: &str) {
    let path = person.path(app, "");
    until("a reload ends in the app", SLOW, async || {
        let answer = person.visit(&path).send().await;
        let status = answer.status.as_u16();
        assert!(
            status < 400 || answer.is_page(),
            "{status}: {}",
            answer.text()
        );
        status < 400 && status != 202
    })
    .await;
}

/// The tab notices: its socket ends.
async fn ends(mut socket: socket::Socket) {
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    within("the socket ends", SLOW, rest).await;
}

#[tokio::test]
async fn an_ide_killed_in_its_container_is_started_again() {
    let world = shared().await;
    let person = world.log_in(&world.user("kill9")).await;
    let container = container_of(&person.name);
    for (app, program) in [("codespace", "out/node/entry"), ("jupyter", "jupyter-lab")] {
        person.open(app).await;
        let kill = format!("pkill -9 -f {program}");
        // pkill's own shell is named by the line too, and dies of it.
        let _ = world.docker.shell(&container, &kill);
        until("it is gone", SLOW, async || {
            world.docker.processes(&container, program).is_empty()
        })
        .await;
        reload(&person, app).await;
    }
    assert_eq!(ides(&world, &container), [1, 1]);
}

#[tokio::test]
async fn a_container_killed_under_a_tab_is_started_again() {
    let world = shared().await;
    let (person, socket) = tab(&world, "killed").await;
    world.docker.run(&["kill", &container_of(&person.name)]);
    ends(socket).await;
    reload(&person, "recorder").await;
}

#[tokio::test]
async fn a_container_stopped_by_somebody_else_is_not_running_for_a_poll() {
    let world = shared().await;
    let (person, socket) = tab(&world, "halted").await;
    world
        .docker
        .run(&["stop", "-t", "1", &container_of(&person.name)]);
    ends(socket).await;
    until("a poll is told", SLOW, async || {
        let poll = person.fetch(&person.path("recorder", "")).send().await;
        assert!(poll.status.as_u16() >= 424, "{}", poll.status);
        poll.status == 424
    })
    .await;
    reload(&person, "recorder").await;
}

#[tokio::test]
async fn a_container_removed_under_a_tab_is_made_anew_with_its_files() {
    let world = shared().await;
    let (person, socket) = tab(&world, "removed").await;
    let container = container_of(&person.name);
    world.docker.shell(&container, "echo hi > ~/kept").unwrap();
    world.docker.run(&["rm", "-f", &container]);
    ends(socket).await;
    reload(&person, "recorder").await;
    assert_eq!(world.docker.shell(&container, "cat ~/kept").unwrap(), "hi");
}

#[tokio::test]
async fn a_paused_container_is_woken_or_the_page_says_why_not() {
    let world = shared().await;
    let (person, _socket) = tab(&world, "paused").await;
    let container = container_of(&person.name);
    world.docker.run(&["pause", &container]);
    reload(&person, "recorder").await;
    let paused = world.docker.look(&container, ".State.Paused");
    assert_eq!(paused.as_deref(), Some("false"));
}

#[tokio::test]
async fn ending_the_proxy_under_open_tabs_takes_seconds() {
    let world = World::start(RECORDER).await;
    let (person, socket) = tab(&world, "drained").await;
    let status = within("it ends", SLOW, world.end("TERM")).await;
    assert!(status.success(), "{status}");
    drop(socket);
    world.launch().await;
    reload(&person, "recorder").await;
}
