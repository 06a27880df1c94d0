//! Opens regular files of a state directory.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Opens a regular file for reading. Does not follow a symbolic link, and does not block on a named pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::LOOP | Errno::NXIO) => return Err(no_plain_file()),
        Err(errno) => return Err(errno.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_plain_file()) }
}

fn no_plain_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the path does not lead to a regular file")
}

#[cfg(test)]
pub(super) mod tests {
    use rustix::fs::{CWD, FileType, Mode};
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    /// A kind of file that a test puts in the place of a regular file.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::system) enum SpecialFile {
        Pipe,
        Link,
    }

    impl SpecialFile {
        pub(in crate::system) const ALL: [Self; 2] = [Self::Pipe, Self::Link];

        /// Replaces the regular file at `path` with this kind of file. A link points to a copy of the original file.
        pub(in crate::system) fn put(self, path: &Path) {
            let target = path.with_extension("target");
            fs::copy(path, &target).unwrap();
            fs::remove_file(path).unwrap();
            match self {
                Self::Pipe => {
                    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
                }
                Self::Link => std::os::unix::fs::symlink(target, path).unwrap(),
            }
        }
    }

    /// Returns the result of `work`. Fails the test if `work` blocks.
    pub(in crate::system) fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(work()));
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}
