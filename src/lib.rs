//! Vestibule: an authenticating front door for browser IDEs.
//!
//! A request flows downhill: `listener` accepts it, `route` says which workspace it is for,
//! `session` who may enter, `workspace` has the app up, `forward` carries it there. Beside the
//! stream stand `reaper`, `admin` and `pages`; under all of it `engine`, `config` and `names`.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod config;
pub mod engine;
pub mod forward;
pub mod listener;
pub mod names;
pub mod reaper;
pub mod route;
pub mod secret;
pub mod session;
pub mod workspace;
