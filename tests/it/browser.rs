//! The main job as a person does it: Django, Chromium, both IDEs.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    starts::ides,
    world::{World, docker::container_of, site::PASSWORD},
};

/// Runs one scenario of tests/browser for alice, and shows what it says if it fails.
fn play(world: &World, scenario: &str) {
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
    let output = Command::new("node")
        .arg(folder.join(scenario))
        .env("ORIGIN", &world.origin)
        .env("SITE", format!("http://{}", world.site))
        .env("USERNAME", &world.alice)
        .env("PASSWORD", PASSWORD)
        .env("PIN", &world.tls.pin)
        .env("STILL", &still)
        .env("SHOTS", &shots)
        .env("SESSION", world.dir.join("browser.json"))
        .env("HOME_ON_HOST", world.home(&world.alice))
        .env("CONTAINER", container_of(&world.alice))
        .stdin(Stdio::null())
        .output()
        .unwrap();
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
async fn temp_site() {
    let world = World::start("[workspace]\npatience = \"20s\"").await;
    world.open_the_site().await;
    play(&world, "site.mjs");
}
