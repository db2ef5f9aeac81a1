//! The `vestibule` program: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::main()
}
