//! Reads files with environment variables. Such a file may be a pipe: `--env-file <(decrypt secrets)`.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Maximum size of the file, in bytes. A larger file would not fit into a request.
const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Time limit within which the writer of a pipe must write all data and close the pipe.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a file to its end. Fails if a pipe is not closed within [`READ_TIMEOUT`].
pub(super) fn read(path: &Path) -> io::Result<String> {
    read_within(path, READ_TIMEOUT)
}

fn read_within(path: &Path, time_limit: Duration) -> io::Result<String> {
    // Without `NONBLOCK`, opening a named pipe would block until a writer opens the pipe.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let until = Instant::now() + time_limit;
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        wait_for_input(&file, until)?;
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(part.get(..read).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() > MAX_FILE_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "the file has more than 1 MiB"));
        }
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn wait_for_input(file: &File, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&left)) {
            Ok(0) => {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "the end of the file was not written in time",
                ));
            }
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn endless_file_and_pipe_without_a_writer_cause_an_error() {
        let top = tempfile::tempdir().unwrap();
        let pipe = top.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        assert_eq!(read_within(&pipe, Duration::from_millis(50)).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&top.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read(top.path()).is_err());
    }

    #[test]
    fn pipe_of_another_program_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let late = std::thread::spawn(move || {
            for line in ["A=1\n", "B=2\n"] {
                writer.write_all(line.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(read(Path::new(&path)).unwrap(), "A=1\nB=2\n");
        late.join().unwrap();
    }
}
