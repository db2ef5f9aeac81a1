//! `vestibule logs`: what apps print in their container.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    BoxError, Json, show,
    verbs::{ask_on, runtime, workspace},
};
use crate::{
    config::Config,
    names::{AppName, Username},
};

/// How often a log that is followed is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whose workspace.
    #[arg(value_parser = super::username)]
    user: Username,
    /// Which app; all that run, if none is named.
    #[arg(value_parser = super::app)]
    app: Option<AppName>,
    /// Go on with what it prints from now on, until Ctrl-C.
    #[arg(long, short, requires = "app", conflicts_with = "json")]
    follow: bool,
    /// How many lines to begin with.
    #[arg(long, short = 'n', default_value_t = 100)]
    lines: u32,
    #[command(flatten)]
    json: Json,
}

pub fn run(config: &Config, arguments: &Arguments) -> Result<(), BoxError> {
    runtime()?.block_on(print(config, arguments))
}

async fn print(config: &Config, arguments: &Arguments) -> Result<(), BoxError> {
    let path = workspace(&arguments.user);
    let get = async |path: &str| ask_on(config, Method::GET, path, &Value::Null).await;
    let apps = if let Some(app) = &arguments.app {
        vec![app.to_string()]
    } else {
        let status = get(&path).await?;
        let apps = status["apps"].as_array().into_iter().flatten();
        apps.filter_map(|app| Some(app.as_str()?.to_owned()))
            .collect()
    };
    if apps.is_empty() {
        let user = &arguments.user;
        return Err(format!(
            "no app runs in the workspace of {user}; what one printed is there while its \
             container runs: name the app"
        )
        .into());
    }
    let mut printed = Vec::new();
    for app in &apps {
        let query = format!("lines={}", arguments.lines);
        printed.push(get(&format!("{path}/logs/{app}?{query}")).await?);
    }
    if arguments.json.json {
        println!("{:#}", json!(printed));
        return Ok(());
    }
    for piece in &printed {
        if apps.len() > 1 {
            println!("==> {} <==", piece["app"].as_str().unwrap_or_default());
        }
        tell(piece)?;
    }
    let (Some(app), Some(mut piece), true) = (&arguments.app, printed.pop(), arguments.follow)
    else {
        return Ok(());
    };
    loop {
        sleep(PAUSE).await;
        let next = piece["next"].as_u64().unwrap_or_default();
        piece = get(&format!("{path}/logs/{app}?after={next}")).await?;
        tell(&piece)?;
    }
}

fn tell(piece: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(show::harmless(piece["text"].as_str().unwrap_or_default()).as_bytes())?;
    out.flush()
}
