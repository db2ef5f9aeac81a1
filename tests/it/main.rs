//! Vestibule on real parts: the binary itself, Docker, both IDEs, Django, Chromium.
//!
//! `world` is the harness; every other module tells stories about one room of the house, each
//! through the proxy as a browser, a program or an attacker meets it. Nothing here waits for a
//! length of time: it waits for a condition, with a deadline.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should stop right there"
)]

mod world;

mod admin;
mod audit;
mod browser;
mod bulk;
mod command_line;
mod doctor;
mod ends;
mod engine;
mod failures;
mod faults;
mod front;
mod handoff;
mod headers;
mod home;
mod http1;
mod idle;
mod jwks;
mod metrics;
mod routing;
mod sessions;
mod sockets;
mod ssh;
mod starts;
mod streams;
mod tenants;
mod terminal;
mod traces;
