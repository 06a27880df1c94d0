//! A directory for decoders that read files. It is in memory if possible.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: Option<TempDir> = {
        let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
        tempfile::tempdir_in(memory.unwrap_or_else(std::env::temp_dir)).ok()
    };
}

/// Passes the directory of the current thread to `work`. `work` must write all files that it reads.
pub(super) fn with<T>(work: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    DIRECTORY.with(|directory| match directory {
        Some(directory) => work(directory.path()),
        None => Err("no temporary directory can be created".to_owned()),
    })
}
