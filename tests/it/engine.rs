//! The engine: not asked without need, missed when it is away, found again when it is back.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::world::{
    Docker, Person, SLOW, World, config::RECORDER, docker::container_of, send_signal, tap::Tap,
    until,
};

/// A world that reaches its engine through a tap.
async fn tapped() -> (World, Tap) {
    let docker = Docker::of_this_machine();
    let world = World::prepare(RECORDER, docker.clone());
    let path = world.dir.join("engine.sock");
    world.configure(&format!(
        "[engine]\nsocket = \"{}\"\ntimeout = \"5s\"",
        path.display()
    ));
    let tap = Tap::open(path, docker.socket());
    world.launch().await;
    (world, tap)
}

/// What a start says while the engine can't be used, as soon as it says anything but "wait".
async fn is_told(person: &Person<'_>, statuses: &[u16]) {
    let path = person.path("recorder", "");
    until("the page says why", SLOW, async || {
        let answer = person.visit(&path).send().await;
        let status = answer.status.as_u16();
        assert!(answer.is_page());
        assert!(
            status == 202 || statuses.contains(&status),
            "{status}: {}",
            answer.text()
        );
        status != 202
    })
    .await;
}

#[tokio::test]
async fn bad_paths_and_strangers_never_reach_the_engine() {
    let (world, tap) = tapped().await;
    let person = world.log_in(&world.alice).await;
    person.open("recorder").await;
    let before = tap.asked().len();
    let ghost = world.user("ghost");
    for path in [
        format!("/codespace/{ghost}/"),
        format!("/codespace/{ghost}%00/"),
        format!("/codespace/{}/%2e%2e/{ghost}/", world.alice),
        format!("/nothing/{ghost}/"),
        format!("/codespace/{ghost}%2f/"),
        format!("/codespace/{}/", ghost.to_uppercase()),
    ] {
        let answer = person.visit(&path).send().await;
        assert!([400, 403, 404].contains(&answer.status.as_u16()), "{path}");
        world.get(&path).send().await;
    }
    for path in ["/", "/_vestibule/healthz"] {
        world.get(path).send().await;
    }
    let asked = tap.asked().split_off(before);
    for word in ["POST ", "PUT ", "DELETE ", &container_of(&ghost)] {
        assert!(!asked.contains(word), "{word} in {asked}");
    }
}

#[tokio::test]
async fn while_the_engine_is_away_what_runs_goes_on_and_starts_are_told_to_come_back() {
    let (world, tap) = tapped().await;
    let (alice, bob) = (
        world.log_in(&world.alice).await,
        world.log_in(&world.bob).await,
    );
    alice.open("recorder").await;
    let (mut socket, _) = alice
        .socket(&alice.path("recorder", "ws?head=1"), &[])
        .await
        .unwrap();
    tap.go_away();
    crate::world::socket::text(&mut socket).await;
    is_told(&bob, &[502, 503, 504]).await;
    let told = bob.visit(&bob.path("recorder", "")).send().await;
    assert!(
        told.status == 202 || !told.header("retry-after").is_empty(),
        "{}",
        told.text()
    );
    let running = alice.fetch(&alice.path("recorder", "")).send().await;
    assert_eq!(running.status, 200, "alice works on");
    tap.come_back();
    bob.open_patiently("recorder").await;
    assert_eq!(alice.open("recorder").await.status, 200);
}

#[tokio::test]
async fn a_frozen_engine_holds_up_nobody_who_works() {
    let (world, tap) = tapped().await;
    let (alice, bob) = (
        world.log_in(&world.alice).await,
        world.log_in(&world.bob).await,
    );
    alice.open("recorder").await;
    tap.freeze(true);
    is_told(&bob, &[502, 503, 504]).await;
    for _ in 0..10 {
        let call = alice
            .fetch(&alice.path("recorder", ""))
            .patient(Duration::from_secs(2));
        assert_eq!(call.send().await.status, 200);
    }
    tap.freeze(false);
    bob.open_patiently("recorder").await;
}

/// An engine of our own beside the machine's, so that ending it harms nobody. It makes no rules
/// in the firewall, so it can't isolate containers.
struct OwnEngine {
    child: Child,
    world: World,
    words: Vec<String>,
}

impl OwnEngine {
    async fn start() -> Self {
        let world = World::prepare(RECORDER, Docker::at("/nowhere"));
        let dir = world.dir.join("dockerd").display().to_string();
        let socket = format!("{dir}/docker.sock");
        // The bridge that is there: with `none`, it would remove the other engine's.
        let words = format!(
            "--data-root {dir}/data --exec-root {dir}/run --pidfile {dir}.pid -H unix://{socket} \
             --bridge docker0 --iptables=false --ip-forward=false --ip-masq=false"
        );
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        std::fs::create_dir_all(&dir).unwrap();
        let child = dockerd(&world, &words);
        let own = Self {
            child,
            world,
            words,
        };
        own.until_it_answers().await;
        let copy = format!("docker save vestibule-workspace:slim | docker -H unix://{socket} load");
        assert!(
            Command::new("sh")
                .args(["-c", &copy])
                .status()
                .unwrap()
                .success()
        );
        own.world.configure(&format!(
            "[engine]\nsocket = \"{socket}\"\n[workspace]\nisolation = \"warn\""
        ));
        own.world.launch().await;
        own
    }

    fn docker(&self) -> Docker {
        Docker::at(&format!("{}/dockerd/docker.sock", self.world.dir.display()))
    }

    async fn until_it_answers(&self) {
        until("dockerd answers", SLOW, async || {
            self.docker().try_run(&["info"]).is_ok()
        })
        .await;
    }

    async fn end(&mut self) {
        send_signal(self.child.id(), "TERM");
        until("dockerd ends", SLOW, async || {
            self.child.try_wait().unwrap().is_some()
        })
        .await;
    }
}

fn dockerd(world: &World, words: &[String]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(world.dir.join("dockerd.log"));
    Command::new("dockerd")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let docker = self.docker();
        if let Ok(all) = docker.try_run(&["ps", "-aq"]) {
            for id in all.lines() {
                let _ = docker.try_run(&["rm", "-f", id]);
            }
        }
        let _ = docker.try_run(&["network", "prune", "-f"]);
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            send_signal(self.child.id(), "TERM");
        }
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_restart_of_dockerd_under_an_open_tab_ends_in_a_working_app() {
    if !crate::world::is_root() {
        eprintln!("left out: a dockerd of its own takes root");
        return;
    }
    let mut own = OwnEngine::start().await;
    let container = container_of(&own.world.alice);
    {
        let alice = own.world.log_in(&own.world.alice).await;
        alice.open("codespace").await;
        assert!(own.docker().runs(&container));
    }
    own.end().await;
    {
        let alice = own.world.log_in(&own.world.alice).await;
        let page = alice
            .visit(&alice.path("codespace", ""))
            .patient(SLOW)
            .send()
            .await;
        assert!(
            page.is_page() && page.status.as_u16() >= 202,
            "{}",
            page.status
        );
    }
    own.child = dockerd(&own.world, &own.words);
    own.until_it_answers().await;
    let alice = own.world.log_in(&own.world.alice).await;
    alice.open_patiently("codespace").await;
    assert!(own.docker().runs(&container));
}
