//! The image: is it there, and does it have what the apps need? Asked in a container of its own,
//! without a network, which is removed at once.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::{
    config::{Config, TERMINAL},
    engine::{ContainerSpec, Docker, Engine, EngineError},
    secret::random_id,
    workspace::UID,
};

/// Says for each argument whether it is a command here, and who we are.
const ASK: &str = r#"
for program in "$@"; do
  command -v -- "$program" > /dev/null 2>&1 || echo "lacks $program"
done
echo "uid $(id -u)"
"#;
/// Marks the container for whoever finds one that was left; its value is the network's name.
const LABEL: &str = "vestibule.doctor";
/// Enough for a shell.
const MEMORY: u64 = 256 << 20;
/// What to do about one that isn't there.
const MISSING: &str = "build it with workspace-image/build.sh, or have docker load or pull it \
    (Vestibule never pulls), or name another in `workspace.image`";
/// What to do about an image that lacks something.
const BUILD: &str = "build the image with workspace-image/build.sh and name it in \
    `workspace.image`, or take the app away with `enabled = false`";

pub async fn examine(config: &Config, engine: &Docker) -> Finding {
    let image = &config.workspace.image;
    let fail = |seen: String, todo: &str| Finding::fail("image", seen, todo);
    match engine.image_id(image).await {
        Ok(_) => {}
        Err(EngineError::ImageMissing(_)) => {
            return fail(format!("there is no image {image}"), MISSING);
        }
        Err(error) => return fail(error.to_string(), "see the engine's own log"),
    }
    let programs: BTreeSet<&str> = needed(config).map(|(_, program)| program).collect();
    let programs = Vec::from_iter(programs);
    let said = match ask(config, engine, &programs).await {
        Ok(said) => said,
        Err(error) => {
            return fail(
                format!("no command can be run in a container of {image}: {error}"),
                "a workspace's image needs `sh`, and a command of its own that goes on running",
            );
        }
    };
    let lines = said.lines().map(str::trim);
    let lacks: Vec<&str> = lines
        .clone()
        .filter_map(|line| line.strip_prefix("lacks "))
        .collect();
    let uid = lines
        .clone()
        .find_map(|line| line.strip_prefix("uid "))
        .unwrap_or_default();
    if uid.is_empty() {
        let why = said.trim();
        fail(
            format!("{image} has no `sh` and `id` that could be asked: {why}"),
            BUILD,
        )
    } else if !lacks.is_empty() {
        fail(
            format!("{image} lacks {}", apps_of(config, &lacks).join(" and ")),
            BUILD,
        )
    } else if uid != UID.to_string() {
        fail(
            format!("{image} runs as user id {uid}, but users' files belong to {UID}"),
            "give the image a `USER` of id 1000, as workspace-image/Dockerfile does",
        )
    } else {
        Finding::ok(
            "image",
            format!(
                "{image} has {}, and runs as user id {uid}",
                programs.join(" and ")
            ),
        )
    }
}

/// What can be opened, each with its program; the terminal's is that of `shell`'s helper.
fn needed(config: &Config) -> impl Iterator<Item = (&str, &str)> {
    let apps = config.apps.iter();
    let apps = apps.filter_map(|(name, app)| Some((name.as_str(), app.command.first()?.as_str())));
    apps.chain(config.terminal.iter().map(|_| (TERMINAL, "python3")))
}

/// Each lacking program with the apps it is for.
fn apps_of(config: &Config, lacks: &[&str]) -> Vec<String> {
    let of = |program: &&str| {
        let apps = needed(config).filter(|(_, needed)| needed == program);
        let apps: Vec<&str> = apps.map(|(name, _)| name).collect();
        format!("`{program}`, the program of {}", apps.join(" and "))
    };
    lacks.iter().map(of).collect()
}

async fn ask(config: &Config, engine: &Docker, programs: &[&str]) -> Result<String, EngineError> {
    let spec = ContainerSpec {
        name: format!("vestibule-doctor-{}", random_id()),
        image: config.workspace.image.clone(),
        labels: BTreeMap::from([(LABEL.to_owned(), config.workspace.network.clone())]),
        env: Vec::new(),
        mounts: Vec::new(),
        network: "none".to_owned(),
        memory: MEMORY,
        cpu_millis: 1000,
        pids: 64,
        capabilities: Vec::new(),
    };
    let id = engine.create(&spec).await?;
    let words = ["sh", "-c", ASK, "ask"]
        .into_iter()
        .chain(programs.iter().copied());
    let words: Vec<String> = words.map(str::to_owned).collect();
    let asked = async {
        engine.start(&id).await?;
        engine.output(&id, &words).await
    }
    .await;
    engine.remove(&id).await?;
    asked
}
