//! Entry point of the program `longhauld`, the manager. The library of this crate contains the implementation.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_shim::run_if_asked();
    longhaul::Longhaul::builder().run_manager()
}
