//! Where the state directories of the measures lie.
//!
//! All of them go together, when everything has been measured: what is deleted between two measures would slow the
//! second (see `machine`).

use crate::Failure;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

static GROUND: OnceLock<PathBuf> = OnceLock::new();

/// Gives a new directory that stays until the ground is cleared.
pub(crate) fn patch(prefix: &str) -> Result<PathBuf, Failure> {
    let home = tempfile::Builder::new().prefix(prefix).disable_cleanup(true).tempdir_in(ground()?)?;
    Ok(home.path().to_owned())
}

/// Removes every patch.
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
    // Only the main thread lays out beds.
    Ok(GROUND.get_or_init(|| TempDir::keep(made)))
}
