//! Vestibule: an authenticating front door for browser IDEs.
//!
//! A request flows downhill: `listener` accepts it, `route` says which workspace it is for,
//! `session` who may enter, `workspace` has the app up, `forward` carries it there; `front` is
//! that line, written once. Beside the stream stand `reaper`, `admin` and `pages`; under all of
//! it `engine`, `config` and `names`. `serve` wires everything, `cli` is what an operator types.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod engine;
pub mod forward;
pub mod front;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod names;
pub mod pages;
pub mod reaper;
pub mod route;
pub mod scrape;
pub mod secret;
pub mod serve;
pub mod session;
pub mod workspace;
