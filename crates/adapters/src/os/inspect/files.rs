//! Identifies the files behind descriptors of other processes.

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};
use rustix::path::Arg;
use std::os::fd::AsFd;

/// A pipe or FIFO, identified by device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PipeId {
    device: (u32, u32),
    pub(super) inode: u64,
}

/// Kind of file behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenFile {
    /// The side of a terminal from which programs read the text that a user types.
    Terminal,
    /// A pipe or FIFO.
    Pipe(PipeId),
    /// Any other file, or one that cannot be inspected.
    Other,
}

impl OpenFile {
    /// Determines the file behind a descriptor of a process.
    pub(super) fn of(pid: u32, fd: u64) -> Self {
        Self::at(CWD, format!("/proc/{pid}/fd/{fd}"))
    }

    pub(super) fn is_terminal(self) -> bool {
        match self {
            Self::Terminal => true,
            Self::Pipe(_) | Self::Other => false,
        }
    }

    /// Determines the file behind a descriptor from the name of the descriptor in a directory of `/proc`.
    pub(super) fn at(directory: impl AsFd, name: impl Arg) -> Self {
        // Use only cached attributes, so that no request to a network file server is needed.
        let wanted = StatxFlags::TYPE | StatxFlags::INO;
        let Ok(found) = statx(directory, name, AtFlags::STATX_DONT_SYNC, wanted) else {
            return Self::Other;
        };
        let kind = FileType::from_raw_mode(u32::from(found.stx_mode));
        if kind == FileType::Fifo {
            let device = (found.stx_dev_major, found.stx_dev_minor);
            Self::Pipe(PipeId { device, inode: found.stx_ino })
        } else if kind == FileType::CharacterDevice && is_terminal(found.stx_rdev_major, found.stx_rdev_minor)
        {
            Self::Terminal
        } else {
            Self::Other
        }
    }
}

/// Returns true for the device numbers of a terminal: a console, a serial line or a pseudo-terminal. The controlling
/// side of a pseudo-terminal (`/dev/ptmx`) does not count.
const fn is_terminal(major: u32, minor: u32) -> bool {
    matches!((major, minor), (4 | 136..=143, _) | (5, 0 | 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    fn opened(fd: &impl std::os::fd::AsFd) -> OpenFile {
        OpenFile::of(std::process::id(), u64::try_from(fd.as_fd().as_raw_fd()).unwrap())
    }

    #[test]
    fn both_ends_of_a_pipe_are_the_same_pipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(matches!(opened(&reader), OpenFile::Pipe(_)));
        assert_eq!(opened(&writer), opened(&reader));
        let (other, _end) = std::io::pipe().unwrap();
        assert_ne!(opened(&other), opened(&reader));
    }

    #[test]
    fn sides_of_a_terminal_are_distinguished() {
        assert!(is_terminal(136, 3) && is_terminal(4, 1) && is_terminal(5, 0));
        assert!(!is_terminal(5, 2) && !is_terminal(1, 3) && !is_terminal(2, 0));
    }

    #[test]
    fn files_and_descriptors_that_are_not_there_are_nothing_special() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(opened(&null), OpenFile::Other);
        assert_eq!(OpenFile::of(std::process::id(), 1 << 20), OpenFile::Other);
    }
}
