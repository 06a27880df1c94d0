//! The temporary directories of the measurements.
//!
//! All directories are removed after the last measurement, because deleted files slow down the measurement that follows
//! (see `machine`).

use crate::Failure;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// Creates a new directory, which exists until `clear` is called.
pub(crate) fn patch(prefix: &str) -> Result<PathBuf, Failure> {
    let home = tempfile::Builder::new().prefix(prefix).disable_cleanup(true).tempdir_in(root()?)?;
    Ok(home.path().to_owned())
}

/// Removes all temporary directories of the measurements.
pub(crate) fn clear() -> Result<(), Failure> {
    match ROOT.get() {
        Some(root) => Ok(std::fs::remove_dir_all(root)?),
        None => Ok(()),
    }
}

fn root() -> Result<&'static Path, Failure> {
    if let Some(root) = ROOT.get() {
        return Ok(root);
    }
    let made = tempfile::Builder::new().prefix("longhaul-bench-").tempdir()?;
    // No other thread can initialize this value at the same time, because only the main thread creates directories.
    Ok(ROOT.get_or_init(|| TempDir::keep(made)))
}
