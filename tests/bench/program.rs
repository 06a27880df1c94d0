//! The `longhaul` program that is measured.

use crate::Failure;
use std::env;
use std::path::PathBuf;

/// Returns the path of the program: the value of `LONGHAUL_BIN`, or `longhaul` next to this program if the variable is
/// not set.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    let path = match env::var_os("LONGHAUL_BIN") {
        Some(path) => PathBuf::from(path),
        None => env::current_exe()?.with_file_name("longhaul"),
    };
    if path.is_file() {
        return Ok(path.canonicalize()?);
    }
    Err(format!(
        "there is no {}: run `cargo build --release -p longhaul`, or name the program in LONGHAUL_BIN",
        path.display()
    )
    .into())
}
