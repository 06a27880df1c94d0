//! Entry point of the program `longhaul`. The library of this crate contains the implementation.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_shim::run_if_asked();
    longhaul::Longhaul::builder().run()
}
