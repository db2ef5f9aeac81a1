//! The command line: `serve`, and the verbs an operator needs beside it.
//!
//! Imports everything it starts. Promise: exit code 0 if it worked, 1 if it didn't, 2 if the
//! command line or `proxy.toml` is wrong; what is wrong stands on standard error. With `--json`
//! standard output holds the proxy's answer and nothing else.

mod explain;
mod output;
mod ps;
mod show;
mod table;
mod token;
mod verbs;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
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
    Ps(ps::Arguments),
    /// Start a user's workspace, and an app in it if one is named.
    Start {
        /// Whose workspace.
        #[arg(value_parser = username)]
        user: Username,
        /// The app, as in its path: codespace, jupyter.
        #[arg(value_parser = app)]
        app: Option<AppName>,
        #[command(flatten)]
        json: Json,
    },
    /// Stop a user's workspace; files stay.
    Stop(OneUser),
    /// Remove a user's container; files stay.
    Rm(OneUser),
    /// Say why a workspace is alive and when it stops, or why it was stopped.
    Explain(OneUser),
    /// Put the stop of a quiet workspace off.
    Keep {
        /// Whose workspace.
        #[arg(value_parser = username)]
        user: Username,
        /// For how long from now: 2h.
        #[arg(value_parser = time)]
        how_long: Duration,
        #[command(flatten)]
        json: Json,
    },
    /// Show what an app prints in its container.
    Logs(output::Arguments),
    /// End sessions: of a user, or one of them, or the one of a token.
    Revoke(verbs::Revoke),
    /// Sign a session, hand-off or admin token with a configured key.
    Token(token::Arguments),
    /// Find out what is wrong, and what to do about it.
    Doctor(Json),
    /// Print what makes a shell complete these words.
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Json {
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct OneUser {
    /// Whose workspace.
    #[arg(value_parser = username)]
    user: Username,
    #[command(flatten)]
    json: Json,
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
    if let Verb::Completion { shell } = arguments.verb {
        let mut command = Arguments::command();
        clap_complete::generate(shell, &mut command, "vestibule", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    if matches!(arguments.verb, Verb::Check | Verb::Serve) {
        let mut mistakes = serve::check(&config);
        if let Verb::Check = arguments.verb {
            mistakes.extend(serve::lacks(&config));
        }
        for mistake in &mistakes {
            eprintln!("{}: {}", arguments.config.display(), chain(mistake));
        }
        if !mistakes.is_empty() {
            return ExitCode::from(2);
        }
    }
    match run(&arguments, config) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vestibule: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

type BoxError = Box<dyn std::error::Error>;

fn run(arguments: &Arguments, config: Config) -> Result<ExitCode, BoxError> {
    match &arguments.verb {
        Verb::Serve => serve::run(config)?,
        Verb::Check => println!("{}: all is well", arguments.config.display()),
        Verb::Ps(arguments) => ps::run(&config, arguments)?,
        Verb::Start { user, app, json } => verbs::start(&config, user, app.as_ref(), *json)?,
        Verb::Stop(one) => verbs::stop(&config, &one.user, one.json)?,
        Verb::Rm(one) => verbs::remove(&config, &one.user, one.json)?,
        Verb::Explain(one) => verbs::explain(&config, &one.user, one.json)?,
        Verb::Keep {
            user,
            how_long,
            json,
        } => verbs::keep(&config, user, *how_long, *json)?,
        Verb::Logs(arguments) => output::run(&config, arguments)?,
        Verb::Revoke(what) => verbs::revoke(&config, what)?,
        Verb::Token(token) => token::run(token, &config)?,
        Verb::Doctor(json) => return verbs::doctor(config, *json),
        Verb::Completion { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A time as an argument.
fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a time such as 30m or 2h is meant".to_owned())
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
