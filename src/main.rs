//! The `vestibule` program: see the library of the same name.

use std::process::ExitCode;

/// Gives memory back after a burst of sockets, which the C library's keeps.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    vestibule::cli::main()
}
