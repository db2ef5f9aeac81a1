//! The `vestibule` program: see the library of the same name.

use std::process::ExitCode;

/// An idle WebSocket costs a third less with it than with the C library's (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    vestibule::cli::main()
}
