//! A directory for decoders that read files, in memory where there is such a place.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: Option<TempDir> = {
        let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
        tempfile::tempdir_in(memory.unwrap_or_else(std::env::temp_dir)).ok()
    };
}

/// Hands out the directory of this thread; whoever gets it says what is in it first.
pub(super) fn with<T>(work: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    DIRECTORY.with(|directory| match directory {
        Some(directory) => work(directory.path()),
        None => Err("there is no place for files".to_owned()),
    })
}
