//! Quiet workspaces are stopped, and come back as they were; the shape of a workspace changes
//! between two lives, never during one.

use std::time::Duration;

use crate::browser::explain;
use crate::world::{SLOW, World, config::RECORDER, docker::container_of, until};

/// A world that stops a workspace after three quiet seconds.
async fn impatient() -> World {
    World::start(&format!("[idle]\ntimeout = \"3s\"\n{RECORDER}")).await
}

#[tokio::test]
async fn a_quiet_workspace_is_stopped_and_the_next_click_brings_it_back() {
    let world = impatient().await;
    let person = world.log_in(&world.alice).await;
    let container = container_of(&world.alice);
    person.open("codespace").await;
    let first = world.docker.id(&container);
    std::fs::write(world.home(&world.alice).join("kept"), "kept").unwrap();
    until("it is stopped", SLOW, async || {
        !world.docker.runs(&container)
    })
    .await;
    until("it is told of", SLOW, async || {
        !world.audit("stop").is_empty()
    })
    .await;

    let poll = person
        .fetch(&person.path("codespace", "healthz"))
        .send()
        .await;
    assert_eq!(poll.status, 424);
    assert!(
        !world.docker.runs(&container),
        "a forgotten tab revives nothing"
    );

    person.open("codespace").await;
    assert_eq!(world.docker.id(&container), first, "the same container");
    let kept = world.docker.shell(&container, "cat ~/kept").unwrap();
    assert_eq!(kept, "kept");
}

#[tokio::test]
async fn an_open_socket_keeps_a_workspace_where_connections_hold_and_its_end_lets_it_go() {
    let world = impatient().await;
    world.end("TERM").await;
    world.configure("[idle]\nholds = [\"connected\"]");
    world.launch().await;
    let person = world.log_in(&world.alice).await;
    let container = container_of(&world.alice);
    person.open("recorder").await;
    let (socket, _) = person
        .socket(&person.path("recorder", "ws"), &[])
        .await
        .unwrap();
    let began = tokio::time::Instant::now();
    until("three time-outs pass", SLOW, async || {
        assert!(
            world.docker.runs(&container),
            "stopped after {:?}",
            began.elapsed()
        );
        began.elapsed() > Duration::from_secs(9)
    })
    .await;
    drop(socket);
    until("it is stopped", SLOW, async || {
        !world.docker.runs(&container)
    })
    .await;
}

#[tokio::test]
async fn an_open_socket_and_its_polls_keep_nothing_by_themselves_and_that_is_explained() {
    let world = impatient().await;
    let person = world.log_in(&world.alice).await;
    let container = container_of(&world.alice);
    person.open("recorder").await;
    let (_socket, _) = person
        .socket(&person.path("recorder", "ws"), &[])
        .await
        .unwrap();
    let explained = explain(&world, &world.alice);
    assert_eq!(explained.sockets.len(), 1, "{explained:?}");
    assert_eq!(explained.stop.unwrap().held_by, "input");
    until("it is stopped", SLOW, async || {
        person.fetch(&person.path("recorder", "poll")).send().await;
        !world.docker.runs(&container)
    })
    .await;
    for restarted in [false, true] {
        if restarted {
            world.end("TERM").await;
            world.launch().await;
        }
        let mut last = None;
        until("it is told of", SLOW, async || {
            last = explain(&world, &world.alice).last_stop;
            last.is_some()
        })
        .await;
        let last = last.unwrap();
        assert_eq!(last.reason, "idle", "{restarted}");
        assert!(
            last.because.contains("of recorder from 127.0.0.1"),
            "{last:?}"
        );
    }
}

#[tokio::test]
async fn one_click_keeps_a_workspace_for_as_long_as_is_allowed() {
    let world = impatient().await;
    world.end("TERM").await;
    world.configure("[idle]\nlongest_keep = \"1h\"");
    world.launch().await;
    let person = world.log_in(&world.alice).await;
    let origin = world.origin.clone();
    let keep = async |how_long: &str| {
        let path = format!("/_vestibule/keep{how_long}");
        let call = person.call(http::Method::POST, &path);
        call.header("origin", &origin).send().await.status.as_u16()
    };
    person.open("recorder").await;
    assert_eq!(keep("?for=2h").await, 400);
    assert_eq!(keep("?for=soon").await, 400);
    assert_eq!(keep("?for=15m").await, 303);
    let stop = explain(&world, &world.alice).stop.unwrap();
    assert_eq!(stop.held_by, "kept", "{stop:?}");
    assert!(
        stop.in_seconds
            .is_some_and(|seconds| (880..=900).contains(&seconds)),
        "{stop:?}"
    );
    assert_eq!(keep("").await, 303, "one click never shortens it");
    let stranger = person.call(http::Method::POST, "/_vestibule/keep?for=20m");
    let refused = stranger.header("origin", "https://evil.test").send().await;
    assert_eq!(refused.status, 403);
    let stop = explain(&world, &world.alice).stop.unwrap();
    assert!(
        stop.in_seconds.is_some_and(|seconds| seconds <= 900),
        "{stop:?}"
    );
    world.end("TERM").await;
    world.launch().await;
    until("it is found again", SLOW, async || {
        let stop = explain(&world, &world.alice).stop;
        stop.is_some_and(|stop| stop.held_by == "kept")
    })
    .await;
}

#[tokio::test]
async fn a_running_workspace_keeps_its_shape_and_a_stopped_one_takes_the_new() {
    let world = World::start(RECORDER).await;
    let person = world.log_in(&world.alice).await;
    let container = container_of(&world.alice);
    person.open("recorder").await;
    let first = world.docker.id(&container);
    std::fs::write(world.home(&world.alice).join("kept"), "kept").unwrap();

    world.end("TERM").await;
    assert!(
        world.docker.runs(&container),
        "a workspace outlives the proxy"
    );
    world.configure("[workspace]\nmemory = \"1g\"");
    world.launch().await;
    person.open("recorder").await;
    assert_eq!(
        world.docker.id(&container),
        first,
        "a running one is left as it is"
    );

    world.docker.run(&["stop", "-t", "1", &container]);
    person.open("recorder").await;
    let second = world.docker.id(&container);
    assert!(second.is_some() && second != first, "made anew");
    let memory = world.docker.look(&container, ".HostConfig.Memory");
    assert_eq!(memory.as_deref(), Some("1073741824"));
    assert_eq!(
        world.docker.shell(&container, "cat ~/kept").unwrap(),
        "kept"
    );

    world.docker.run(&["stop", "-t", "1", &container]);
    person.open("recorder").await;
    assert_eq!(
        world.docker.id(&container),
        second,
        "nothing changed, nothing made"
    );
}

#[tokio::test]
async fn a_killed_proxy_finds_its_workspaces_again() {
    let world = World::start(RECORDER).await;
    let person = world.log_in(&world.alice).await;
    let container = container_of(&world.alice);
    person.open("recorder").await;
    let id = world.docker.id(&container);
    let secret = async || {
        person
            .fetch(&person.path("recorder", "args"))
            .send()
            .await
            .json()
    };
    let before = secret().await;
    world.end("KILL").await;
    world.launch().await;
    let answer = person.visit(&person.path("recorder", "")).send().await;
    assert_eq!(
        answer.status, 200,
        "the session and the app are as they were"
    );
    assert_eq!(world.docker.id(&container), id);
    assert_eq!(
        secret().await,
        before,
        "the same process with the same secret"
    );
    let programs = world.docker.processes(&container, "recorder.py 9000");
    assert_eq!(programs.len(), 1, "{programs:?}");
}
