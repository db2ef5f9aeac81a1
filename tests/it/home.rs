//! The home page: what it tells, how it keeps up, and what it costs.

use std::{fs, time::Duration};

use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::world::{Docker, Person, SLOW, World, config::RECORDER, tap::Tap, until, within};

/// The stream of a home page's changes.
struct Changes(Incoming, String);

impl Changes {
    async fn of(person: &Person<'_>) -> Self {
        let answer = person.fetch("/_vestibule/live").open().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self(answer.into_body(), String::new())
    }

    /// Waits until the page would show `text`.
    async fn show(&mut self, text: &str) {
        let shown = async {
            while !self.1.contains(text) {
                let frame = self.0.frame().await.expect("more to come").unwrap();
                let data = frame.into_data().unwrap();
                let data = String::from_utf8(data.to_vec()).unwrap();
                let mut events = data.lines().filter_map(|line| line.strip_prefix("data: "));
                if let Some(last) = events.next_back() {
                    self.1 = serde_json::from_str(last).unwrap();
                }
            }
        };
        let shown = tokio::time::timeout(SLOW, shown).await;
        assert!(shown.is_ok(), "no {text} in {}", self.1);
    }

    /// Waits for the end of the stream.
    async fn end(mut self) {
        while self.0.frame().await.is_some_and(|frame| frame.is_ok()) {}
    }
}

#[tokio::test]
async fn the_home_page_tells_state_use_and_image_and_hears_of_changes() {
    let holds = "[idle]\nholds = [\"connected\", \"input\"]\nlongest_keep = \"8h\"";
    let world = World::start(&format!("{RECORDER}\n{holds}")).await;
    let alice = world.log_in(&world.alice).await;
    let page = alice.visit("/").send().await;
    assert!(
        page.is_page() && page.text().contains(">new<"),
        "{}",
        page.text()
    );
    let mut changes = Changes::of(&alice).await;
    alice.open("recorder").await;
    changes.show(">running<").await;
    changes.show("<span class=\"label\">CPU</span>").await;
    changes.show("<span class=\"label\">Memory</span>").await;
    changes.show("<dt>Image</dt><dd>2.").await;
    changes.show("<dt>Stops</dt><dd>In 30 minutes").await;
    fs::write(world.home(&world.alice).join("big"), vec![7; 3 << 20]).unwrap();

    let (socket, _) = alice
        .socket(&alice.path("recorder", "ws"), &[])
        .await
        .unwrap();
    changes.show("<dt>Stops</dt><dd>Not as things stand").await;
    changes
        .show("<dt>Last connected</dt><dd>Now (1 open)")
        .await;
    drop(socket);
    changes.show("<dt>Stops</dt><dd>In 30 minutes").await;

    let page = alice.visit("/").send().await.text();
    for told in [
        ">running<",
        "Memory",
        "Files",
        "/_vestibule/stop",
        "/_vestibule/keep?for=28800s",
        "<dt>Last used</dt>",
        "data-events=\"/_vestibule/live\"",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    let stop = alice.call(Method::POST, "/_vestibule/stop");
    let stop = stop.header("origin", world.origin.clone()).send().await;
    assert_eq!(stop.status, 303);
    changes.show(">stopped<").await;
    assert!(!changes.1.contains("Memory"), "{}", changes.1);
    assert!(changes.1.contains("Files"), "{}", changes.1);
    changes.show("<dt>Last stop</dt>").await;
    changes.show("Its user stopped it").await;
}

#[tokio::test]
async fn changes_are_told_to_their_owner_alone_and_end_with_the_proxy() {
    let world = World::start("").await;
    assert_eq!(
        world.get("/_vestibule/live").fetch().send().await.status,
        401
    );
    let alice = world.log_in(&world.alice).await;
    let elsewhere = alice.call(Method::GET, "/_vestibule/live");
    let elsewhere = elsewhere.header("sec-fetch-site", "cross-site");
    assert_eq!(elsewhere.send().await.status, 403);
    let mut changes = Changes::of(&alice).await;
    changes.show(">new<").await;
    let ended = async { tokio::join!(changes.end(), world.end("TERM")) };
    // Well before the time that requests have to end by themselves.
    within("it ends at once", Duration::from_secs(8), ended).await;
}

#[tokio::test]
async fn the_engine_is_asked_for_figures_while_somebody_looks_once_for_all_who_do() {
    let docker = Docker::of_this_machine();
    let world = World::prepare(RECORDER, docker.clone());
    let path = world.dir.join("engine.sock");
    world.configure(&format!("[engine]\nsocket = \"{}\"", path.display()));
    let tap = Tap::open(path, docker.socket());
    world.launch().await;
    let asked = || tap.asked().matches("/stats?").count();
    let alice = world.log_in(&world.alice).await;
    alice.open("recorder").await;
    assert_eq!(asked(), 0, "nobody looks");
    let began = tokio::time::Instant::now();
    let mut pages = Vec::new();
    for _ in 0..4 {
        let mut page = Changes::of(&alice).await;
        page.show("<span class=\"label\">CPU</span>").await;
        pages.push(page);
    }
    // One at the first look, and one every three seconds, whoever looks.
    let most = 2 + began.elapsed().as_secs() / 3;
    assert!(
        asked() as u64 <= most,
        "{} in {:?}",
        asked(),
        began.elapsed()
    );
    drop(pages);
    let mut before = asked();
    let mut quiet = tokio::time::Instant::now();
    until("nobody is asked any more", SLOW, async || {
        if asked() != before {
            (before, quiet) = (asked(), tokio::time::Instant::now());
        }
        quiet.elapsed() > Duration::from_secs(7)
    })
    .await;
}
