//! Access to the files that store data about tasks. Only regular files are accepted.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Maximum size of a file of tasks, in bytes.
const MAX_FILE_LEN: u64 = 16 << 20;

/// Reads a file. Returns `None` if the file does not exist.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path, OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_LEN {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("{} is not a file of longhaul: it is too long", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// Appends to a file durably. Creates the file if it does not exist.
pub(super) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Replaces a file in a state directory durably and atomically.
pub(super) fn replace(state: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = state.join(format!("{name}.new"));
    // Removes a draft that remained after a crash. Also removes a link in its place, which could point to another file.
    match fs::remove_file(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, state.join(name))?;
    File::open(state)?.sync_all()
}

/// Opens a regular file. Links are not followed, and opening a pipe does not block.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags | careful, Mode::RUSR | Mode::WUSR) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::LOOP | Errno::NXIO) => return Err(no_plain_file(path)),
        Err(errno) => return Err(errno.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_plain_file(path)) }
}

fn no_plain_file(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{} is not a regular file", path.display()))
}
