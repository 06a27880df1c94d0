//! The program `longhaul`; see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_shim::run_if_asked();
    longhaul::Longhaul::builder().run()
}
