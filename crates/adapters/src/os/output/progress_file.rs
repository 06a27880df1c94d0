//! Reads the file to which a command writes its progress.

use longhaul_domain::Timestamp;
use longhaul_ports::ProgressPage;
use longhaul_shim::{AttemptDirectory, MAX_PROGRESS_LEN, PROGRESS};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// Maximum number of bytes that one read returns. Only the latest progress matters, so earlier bytes are skipped.
const MAX_READ: u64 = 64 << 10;

/// Reads the end of the progress file. Empties the file if it is too large. Returns `None` if there is no such file.
pub(super) fn read(directory: &AttemptDirectory, from: u64) -> io::Result<Option<ProgressPage>> {
    let Some((file, size, at)) = open(directory)? else { return Ok(None) };
    // If the file is shorter than the known offset, the shim or an earlier read has emptied it.
    let known = if from > size { 0 } else { from };
    let start = known.max(size.saturating_sub(MAX_READ));
    let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(0)];
    let count = rustix::io::pread(&file, &mut bytes, start)?;
    bytes.truncate(count);
    let mut next = start.saturating_add(u64::try_from(count).unwrap_or(0));
    if next > MAX_PROGRESS_LEN {
        // This step needs no crash point, because a crash before or after it leaves a valid file. Lines that the
        // command writes between the read and this step are lost, but a later line replaces them.
        rustix::fs::ftruncate(&file, 0)?;
        next = 0;
    }
    Ok(Some(ProgressPage { bytes, next, skipped: start != from, at }))
}

/// Returns true if the size of the file differs from the offset of a reader.
pub(super) fn has_changed(directory: &AttemptDirectory, from: u64) -> io::Result<bool> {
    Ok(open(directory)?.is_none_or(|(_, size, _)| size != from))
}

/// Opens the file, and returns it with its size and the time of its last change. The command may have replaced the file
/// by another kind of file, so a link is not followed, and a named pipe does not block.
fn open(directory: &AttemptDirectory) -> io::Result<Option<(OwnedFd, u64, Timestamp)>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory.as_fd(), PROGRESS, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let status = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let millis = status
        .st_mtime
        .saturating_mul(1_000)
        .saturating_add(i64::try_from(status.st_mtime_nsec / 1_000_000).unwrap_or(0));
    Ok(Some((file, u64::try_from(status.st_size).unwrap_or(0), Timestamp(millis))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn attempt() -> (tempfile::TempDir, AttemptDirectory, std::fs::File) {
        let directory = tempfile::tempdir().unwrap();
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(directory.path().join(PROGRESS))
            .unwrap();
        let opened = AttemptDirectory::open(directory.path()).unwrap();
        (directory, opened, file)
    }

    #[test]
    fn new_bytes_are_read_once_and_a_large_file_is_emptied() {
        let (_guard, directory, mut file) = attempt();
        file.write_all(b"one\n").unwrap();
        let page = read(&directory, 0).unwrap().unwrap();
        assert_eq!((page.bytes.as_slice(), page.next, page.skipped), (&b"one\n"[..], 4, false));
        assert!(!has_changed(&directory, 4).unwrap());
        let page = read(&directory, 4).unwrap().unwrap();
        assert_eq!((page.bytes.len(), page.next), (0, 4));
        let length = usize::try_from(MAX_PROGRESS_LEN).unwrap() + 10;
        file.write_all(&vec![b'x'; length]).unwrap();
        file.write_all(b"\nlast\n").unwrap();
        let page = read(&directory, 4).unwrap().unwrap();
        assert!(page.skipped && page.bytes.ends_with(b"\nlast\n"));
        assert_eq!((page.bytes.len(), page.next), (64 << 10, 0));
        assert_eq!(file.metadata().unwrap().len(), 0);
        file.write_all(b"next\n").unwrap();
        assert_eq!(
            read(&directory, 0).unwrap().unwrap().bytes,
            b"next\n",
            "the writer appends after the new end"
        );
    }

    #[test]
    fn file_that_was_emptied_is_read_from_its_start() {
        let (_guard, directory, mut file) = attempt();
        file.write_all(b"new\n").unwrap();
        let page = read(&directory, 900).unwrap().unwrap();
        assert_eq!((page.bytes.as_slice(), page.skipped), (&b"new\n"[..], true));
        assert!(has_changed(&directory, 900).unwrap());
    }

    #[test]
    fn nothing_but_a_regular_file_is_read() {
        let (guard, directory, _file) = attempt();
        let path = guard.path().join(PROGRESS);
        std::fs::remove_file(&path).unwrap();
        assert!(read(&directory, 0).unwrap().is_none());
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(read(&directory, 0).unwrap().is_none());
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        assert!(read(&directory, 0).unwrap().is_none());
    }
}
