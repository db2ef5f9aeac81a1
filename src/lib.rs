//! Vestibule: an authenticating front door for browser IDEs.
//!
//! A request flows downhill: `listener` accepts it, `route` says which workspace it is for,
//! `session` who may enter, `workspace` has the app up, `forward` carries it there; `front` is
//! that line, written once. Beside the stream stand `reaper`, `scrape`, `admin` with `doctor`, and
//! `pages`; under all of it `incoming` over `http2`, `engine`, `log`, `metrics`, `config`, `symptoms`,
//! `problem`, `names`, `places`, `secret`, `state_dir`, `tcp` and `text`. `serve` wires everything, `cli` is what an
//! operator types; docs/architecture.md has the order.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod fetch;
pub mod forward;
pub mod front;
pub mod http2;
pub mod incoming;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod names;
pub mod pages;
pub mod places;
pub mod problem;
pub mod reaper;
pub mod route;
pub mod scrape;
pub mod secret;
pub mod serve;
pub mod session;
pub mod shell;
pub mod ssh;
pub mod state_dir;
pub mod symptoms;
pub mod tcp;
pub mod terminal;
pub mod text;
pub mod workspace;
