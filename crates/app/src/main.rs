//! Entry point of the program `longhaul`, the client. The crate `longhaul_cli` contains the implementation.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_cli::main()
}
