//! Atomic and durable replacement of small files: after a power cut, a file has either its old or its new content.

use longhaul_failpoint::failpoint;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Creates a directory that only its owner can access, and its missing parent directories. Syncs the new directory
/// entry.
///
/// Rejects a symbolic link, because another user could redirect the files through it.
pub(super) fn make_private_directory(path: &Path) -> io::Result<()> {
    if path.is_symlink() {
        let why = format!(
            "{} is a symbolic link; configure the directory that the link points to, or mount the \
                directory at this path",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::NotADirectory, why));
    }
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    failpoint!("file.home.directory")?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        Some(_) | None => Ok(()),
    }
}

/// Replaces a file atomically. The new file is readable by its owner only. `temporary` must be in the same directory,
/// and no other task may use that name.
pub(super) fn replace(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    // A crash may have left the temporary file behind.
    match fs::remove_file(temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let renamed = || {
        failpoint!("file.rename")?;
        fs::rename(temporary, path)
    };
    let written = write_new(temporary, bytes).and_then(|()| renamed());
    if let Err(error) = written {
        drop(fs::remove_file(temporary));
        return Err(error);
    }
    failpoint!("file.directory")?;
    match path.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    failpoint!("file.write")?;
    file.write_all(bytes)?;
    failpoint!("file.sync")?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
