//! The identity of a file, independent of its path.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// Device and inode number of a file. They show whether two processes run the same executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Returns the identity of the file at a path, or `None` if the file cannot be inspected.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Returns the identity of the executable of a process, or `None` if it cannot be read.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        Self::of(Path::new(&format!("/proc/{pid}/exe")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_executes_this_file() {
        let exe = std::env::current_exe().unwrap();
        assert!(FileIdentity::of(&exe).is_some());
        assert_eq!(FileIdentity::of(&exe), FileIdentity::of_process(std::process::id()));
        assert_ne!(FileIdentity::of(&exe), FileIdentity::of(Path::new("/")));
    }
}
