//! What a file is known by, whatever it is called.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// A file by its identity, to recognise the programs that processes execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Identifies the file at a path; none if there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Identifies the program that a process executes; none if that cannot be told.
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
