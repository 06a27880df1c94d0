//! The temporary directories of the measurements.
//!
//! All directories are removed after the last measurement, because deleted files slow down the measurement that follows
//! (see `machine`).

use crate::Failure;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

static GROUND: OnceLock<PathBuf> = OnceLock::new();

/// Creates a new directory, which exists until `clear` is called.
pub(crate) fn patch(prefix: &str) -> Result<PathBuf, Failure> {
    let home = tempfile::Builder::new().prefix(prefix).disable_cleanup(true).tempdir_in(ground()?)?;
    Ok(home.path().to_owned())
}

/// Removes all temporary directories of the measurements.
pub(crate) fn clear() -> Result<(), Failure> {
    match GROUND.get() {
        Some(ground) => Ok(std::fs::remove_dir_all(ground)?),
        None => Ok(()),
    }
}

fn ground() -> Result<&'static Path, Failure> {
    if let Some(ground) = GROUND.get() {
        return Ok(ground);
    }
    let made = tempfile::Builder::new().prefix("longhaul-bench-").tempdir()?;
    // No other thread can initialize this value at the same time, because only the main thread creates directories.
    Ok(GROUND.get_or_init(|| TempDir::keep(made)))
}
