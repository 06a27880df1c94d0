//! Reads the file to which a command writes its progress.

use longhaul_domain::Timestamp;
use longhaul_ports::ProgressPage;
use longhaul_shim::{AttemptDirectory, KEPT_PROGRESS_LEN, PROGRESS, ProgressTrim, trim_progress};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// Maximum number of bytes that one read returns, which is the length to which the file is trimmed. Only the latest
/// progress matters, so earlier bytes are skipped.
const MAX_READ: u64 = KEPT_PROGRESS_LEN;

/// Reads the end of the progress file. Frees the start of the file if it is too large. Returns `None` if the file does
/// not exist.
pub(super) fn read(directory: &AttemptDirectory, from: u64) -> io::Result<Option<ProgressPage>> {
    let Some((file, size, at)) = open(directory)? else { return Ok(None) };
    // If the file is shorter than the known offset, it was emptied.
    let known = if from > size { 0 } else { from };
    let start = known.max(size.saturating_sub(MAX_READ));
    let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(0)];
    let count = rustix::io::pread(&file, &mut bytes, start)?;
    bytes.truncate(count);
    let mut next = start.saturating_add(u64::try_from(count).unwrap_or(0));
    // The shim may have freed the first of these bytes since the size was read. Freed bytes are read as zeros, and
    // lines contain no zeros.
    let freed = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..freed);
    // This step needs no crash point, because a crash before or after it leaves a valid file.
    match trim_progress(&file)? {
        ProgressTrim::Kept => {}
        ProgressTrim::Emptied => next = 0,
    }
    Ok(Some(ProgressPage { bytes, next, skipped: start != from || freed > 0, at }))
}

/// Returns true if there is a progress file.
pub(super) fn exists(directory: &AttemptDirectory) -> io::Result<bool> {
    Ok(open(directory)?.is_some())
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
    use longhaul_shim::MAX_PROGRESS_LEN;
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

    fn occupied(file: &std::fs::File) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512
    }

    #[test]
    fn new_bytes_are_read_once() {
        let (_guard, directory, mut file) = attempt();
        file.write_all(b"one\n").unwrap();
        let page = read(&directory, 0).unwrap().unwrap();
        assert_eq!((page.bytes.as_slice(), page.next, page.skipped), (&b"one\n"[..], 4, false));
        assert!(!has_changed(&directory, 4).unwrap());
        let page = read(&directory, 4).unwrap().unwrap();
        assert_eq!((page.bytes.len(), page.next), (0, 4));
    }

    #[test]
    fn start_of_a_large_file_is_freed_and_no_byte_moves() {
        let (_guard, directory, mut file) = attempt();
        let length = MAX_PROGRESS_LEN + 10;
        file.write_all(&vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
        file.write_all(b"\nlast\n").unwrap();
        let page = read(&directory, 4).unwrap().unwrap();
        assert!(page.skipped && page.bytes.ends_with(b"\nlast\n"));
        assert_eq!((page.bytes.len(), page.next), (64 << 10, length + 6));
        assert!(occupied(&file) <= MAX_PROGRESS_LEN, "{}", occupied(&file));
        file.write_all(b"next\n").unwrap();
        let again = read(&directory, page.next).unwrap().unwrap();
        assert_eq!((again.bytes.as_slice(), again.skipped), (&b"next\n"[..], false));
        let first = read(&directory, 0).unwrap().unwrap();
        assert!(first.skipped && first.bytes.ends_with(b"\nlast\nnext\n"));
        assert!(!first.bytes.contains(&0), "a first read returns no byte that was freed");
    }

    #[test]
    fn no_line_is_lost_while_the_file_is_trimmed() {
        const LINES: usize = 60_000;
        let (_guard, directory, mut file) = attempt();
        let (sender, permits) = std::sync::mpsc::sync_channel(0);
        let writer = std::thread::spawn(move || {
            for line in 0..LINES {
                // The reader must not fall behind by more bytes than one read returns.
                if line % 250 == 0 {
                    permits.recv().unwrap();
                }
                file.write_all(format!("{{\"percent\":1,\"stage\":\"step {line:>40}\"}}\n").as_bytes())
                    .unwrap();
            }
            file
        });
        let (mut from, mut text) = (0, Vec::new());
        while !writer.is_finished() {
            let _ended = sender.try_send(());
            let page = read(&directory, from).unwrap().unwrap();
            assert!(!page.skipped, "from {from}");
            text.extend(page.bytes);
            from = page.next;
        }
        let file = writer.join().unwrap();
        text.extend(read(&directory, from).unwrap().unwrap().bytes);
        let lines = String::from_utf8(text).unwrap();
        assert_eq!(lines.lines().count(), LINES);
        assert!(lines.lines().enumerate().all(|(place, line)| line.contains(&format!("step {place:>40}\""))));
        assert!(occupied(&file) < 2 * MAX_PROGRESS_LEN, "{}", occupied(&file));
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
