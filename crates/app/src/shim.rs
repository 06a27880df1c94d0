//! Which program supervises an attempt.

use std::io;
use std::path::{Path, PathBuf};

/// The shim's file name beside this program.
const NAME: &str = "longhaul-shim";

/// The chosen program, else `longhaul-shim` beside this one, else this one itself.
pub(crate) fn find(chosen: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(chosen) = chosen {
        return std::path::absolute(chosen);
    }
    let program = std::env::current_exe()?;
    let beside = program.with_file_name(NAME);
    Ok(if beside.is_file() { beside } else { program })
}
