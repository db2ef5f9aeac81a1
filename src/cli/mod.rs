//! The command line: `serve`, and the verbs an operator needs beside it.
//!
//! Imports everything it starts. Promise: exit code 0 if it worked, 1 if it didn't, 2 if the
//! command line or `proxy.toml` is wrong; what is wrong stands on standard error.

mod table;
mod token;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use http::Method;

use crate::{
    admin,
    config::Config,
    names::{AppName, NameError, Username},
    serve,
};

/// An authenticating front door for browser IDEs.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        default_value = "proxy.toml",
        env = "VESTIBULE_CONFIG"
    )]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the proxy until SIGTERM or Ctrl-C.
    Serve,
    /// Say everything that is wrong with the configuration.
    Check,
    /// List the workspaces.
    Ps {
        /// As JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Start a user's workspace, and an app in it if one is named.
    Start {
        /// Whose workspace.
        #[arg(value_parser = username)]
        user: Username,
        /// The app, as in its path: codespace, jupyter.
        #[arg(value_parser = app)]
        app: Option<AppName>,
    },
    /// Stop a user's workspace; files stay.
    Stop(User),
    /// Remove a user's container; files stay.
    Rm(User),
    /// Sign a session or hand-off token with a configured key, for trying out.
    Token(token::Arguments),
}

#[derive(Debug, clap::Args)]
struct User {
    /// Whose workspace.
    #[arg(value_parser = username)]
    user: Username,
}

fn app(text: &str) -> Result<AppName, NameError> {
    AppName::parse(text)
}

fn username(text: &str) -> Result<Username, NameError> {
    Username::parse(text)
}

/// Runs what the arguments of the process ask for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    if matches!(arguments.verb, Verb::Check | Verb::Serve) {
        let mistakes = serve::check(&config);
        for mistake in &mistakes {
            eprintln!("{}: {}", arguments.config.display(), chain(mistake));
        }
        if !mistakes.is_empty() {
            return ExitCode::from(2);
        }
    }
    match run(&arguments, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vestibule: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

type BoxError = Box<dyn std::error::Error>;

fn run(arguments: &Arguments, config: Config) -> Result<(), BoxError> {
    match &arguments.verb {
        Verb::Serve => Ok(serve::run(config)?),
        Verb::Check => {
            println!("{}: all is well", arguments.config.display());
            Ok(())
        }
        Verb::Ps { json } => {
            let workspaces = ask(&config, Method::GET, "/workspaces")?;
            if *json {
                println!("{workspaces:#}");
            } else {
                print!("{}", table::workspaces(&workspaces));
            }
            Ok(())
        }
        Verb::Start { user, app } => {
            let app = app
                .as_ref()
                .map(|app| format!("/{app}"))
                .unwrap_or_default();
            act(
                &config,
                Method::POST,
                user,
                &format!("/start{app}"),
                "running",
            )
        }
        Verb::Stop(User { user }) => act(&config, Method::POST, user, "/stop", "stopped"),
        Verb::Rm(User { user }) => act(&config, Method::DELETE, user, "", "removed"),
        Verb::Token(token) => {
            println!("{}", token::sign(token, &config)?);
            Ok(())
        }
    }
}

fn act(
    config: &Config,
    method: Method,
    user: &Username,
    verb: &str,
    done: &str,
) -> Result<(), BoxError> {
    ask(config, method, &format!("/workspaces/{user}{verb}"))?;
    println!("the workspace of {user} is {done}");
    Ok(())
}

fn ask(config: &Config, method: Method, path: &str) -> Result<serde_json::Value, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let socket = admin::socket_path(&config.state_dir);
    Ok(runtime.block_on(admin::call(&socket, method, path))?)
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    })
}
