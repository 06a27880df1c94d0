//! Finds the shim program.

use std::io;
use std::path::{Path, PathBuf};

/// File name of the shim program.
const NAME: &str = "longhaul-shim";

/// Returns the path of the shim program. This is the configured program. If none is configured, it is `longhaul-shim`
/// in the directory of this program. If that does not exist, it is this program itself.
pub(crate) fn find(chosen: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(chosen) = chosen {
        return std::path::absolute(chosen);
    }
    let program = std::env::current_exe()?;
    let beside = program.with_file_name(NAME);
    Ok(if beside.is_file() { beside } else { program })
}
