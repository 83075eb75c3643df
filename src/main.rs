//! The `refit` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    refit::cli::main().into()
}
