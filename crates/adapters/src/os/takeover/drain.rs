//! Reads the output of a command without a shim, and writes it to the output log of the attempt.

use crate::os::pidfd;
use longhaul_shim::{AttemptDirectory, IndexEntry, OutputBound, StreamId, leave_headroom};
use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use tokio::net::unix::pipe::Receiver;

const BLOCK: usize = 64 << 10;
const ENTRY_LEN: u64 = 16;
const LOG: &str = "output.log";
const INDEX: &str = "output.idx";
const WRITABLE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Two reads of one stream share an index entry if they are at most this many milliseconds apart.
const MERGE_MS: u64 = 1;
/// Files of a rotated log. Only the shim that wrote them can continue them.
const TURNED: [&str; 2] = ["output.tail0", "output.tail1"];

/// The read ends of both output pipes, and the log that the output is written to.
///
/// The command is never blocked: output that cannot be stored is still read, and counted as dropped.
#[derive(Debug)]
pub(super) struct OutputDrain {
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    log: Option<DrainLog>,
    dropped: u64,
    buffer: Vec<u8>,
}

/// Read end of a pipe, and the watch that reports when it is readable.
#[derive(Debug)]
struct Pipe {
    fd: OwnedFd,
    news: Receiver,
}

/// The log and its index. New bytes are appended to both.
#[derive(Debug)]
struct DrainLog {
    bytes: File,
    index: IndexFile,
    length: u64,
    index_length: u64,
    /// Number of bytes that can still be stored.
    room: u64,
    last: Option<IndexEntry>,
    anchor_ms: i64,
}

/// The index file. It is created when its first entry is written.
#[derive(Debug)]
struct IndexFile {
    directory: OwnedFd,
    file: Option<File>,
}

impl OutputDrain {
    /// Opens the log at its end. From now on, the log may grow by the unused part of the head limit plus the whole tail
    /// limit.
    pub(super) fn new(
        directory: &AttemptDirectory,
        pipes: [Option<OwnedFd>; 2],
        bound: OutputBound,
        anchor_ms: i64,
    ) -> Self {
        let log = DrainLog::open(directory, bound, anchor_ms)
            .inspect_err(|error| {
                tracing::warn!(%error, "could not store the output of a command after the loss of \
                    its supervisor")
            })
            .ok();
        let [stdout, stderr] =
            pipes.map(|pipe| pipe.and_then(|fd| Some(Pipe { news: pidfd::watch(&fd).ok()?, fd })));
        Self { stdout, stderr, log, dropped: 0, buffer: Vec::new() }
    }

    /// Returns a drain that reads and stores no output.
    pub(super) const fn nowhere() -> Self {
        Self { stdout: None, stderr: None, log: None, dropped: 0, buffer: Vec::new() }
    }

    /// Waits for output and stores at most one block of each stream. Never completes if both pipes are closed.
    pub(super) async fn step(&mut self) {
        tokio::select! {
            () = readable(self.stdout.as_ref()) => {}
            () = readable(self.stderr.as_ref()) => {}
        }
        // Read both streams, so that heavy output on one stream does not delay the other stream.
        self.take(StreamId::Stdout);
        self.take(StreamId::Stderr);
    }

    /// Stores all output that was written before this call.
    pub(super) fn finish(&mut self) {
        for stream in [StreamId::Stdout, StreamId::Stderr] {
            while self.take(stream) {}
        }
    }

    /// Returns the length of the stored output in bytes.
    pub(super) fn length(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.length)
    }

    /// Returns the number of bytes that were not stored.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Reads one block and stores as many of its bytes as the limit allows. Returns false if no output is available
    /// now.
    fn take(&mut self, stream: StreamId) -> bool {
        let pipe = match stream {
            StreamId::Stdout => &mut self.stdout,
            StreamId::Stderr => &mut self.stderr,
        };
        let Some(open) = pipe else {
            return false;
        };
        self.buffer.resize(BLOCK, 0);
        match rustix::io::read(&open.fd, &mut self.buffer) {
            Ok(got) if got > 0 => {
                let bytes = self.buffer.get(..got).unwrap_or(&[]);
                let kept = self.log.as_mut().map_or(0, |log| log.append(bytes, stream));
                let lost = u64::try_from(got.saturating_sub(kept)).unwrap_or(u64::MAX);
                self.dropped = self.dropped.saturating_add(lost);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                // Clears the readiness that tokio has stored, so that the next wait blocks until new output arrives.
                let _empty: io::Result<()> = open.news.try_io(|| Err(io::ErrorKind::WouldBlock.into()));
                false
            }
            Ok(_) | Err(_) => {
                *pipe = None;
                false
            }
        }
    }
}

impl DrainLog {
    fn open(directory: &AttemptDirectory, bound: OutputBound, anchor_ms: i64) -> io::Result<Self> {
        if TURNED.iter().any(|name| statat(directory, *name, AtFlags::SYMLINK_NOFOLLOW).is_ok()) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let bytes = File::from(openat(directory, LOG, WRITABLE, Mode::empty())?);
        let index = IndexFile::open(directory)?;
        let (length, index_length) = (bytes.metadata()?.len(), index.length()? / ENTRY_LEN * ENTRY_LEN);
        let room = bound.head.saturating_sub(length).saturating_add(bound.tail);
        let mut log = Self { bytes, index, length, index_length, room, last: None, anchor_ms };
        if let Err(error) = log.describe_rest() {
            // The error is harmless, because the next index entry will include these bytes.
            tracing::debug!(%error, "could not write the index of an output log");
        }
        Ok(log)
    }

    /// Adds an index entry for the bytes that the shim wrote without an entry before it was killed. It is unknown which
    /// stream they belong to.
    fn describe_rest(&mut self) -> io::Result<()> {
        let mut entry = [0; 16];
        let described = match self.index_length.checked_sub(ENTRY_LEN) {
            Some(at) => {
                self.index.file()?.read_exact_at(&mut entry, at)?;
                IndexEntry::decode(entry).map_or(0, |entry| entry.end)
            }
            None => 0,
        };
        if described < self.length { self.describe(StreamId::Stdout) } else { Ok(()) }
    }

    /// Appends bytes to the log. Returns the number of stored bytes.
    fn append(&mut self, bytes: &[u8], stream: StreamId) -> usize {
        let room = usize::try_from(self.room).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or(&[]);
        let stored =
            || leave_headroom(&self.bytes).and_then(|()| self.bytes.write_all_at(bytes, self.length));
        if bytes.is_empty() || stored().is_err() {
            return 0;
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(count);
        self.room = self.room.saturating_sub(count);
        if let Err(error) = self.describe(stream) {
            tracing::debug!(%error, "could not write the index of an output log");
        }
        bytes.len()
    }

    fn describe(&mut self, stream: StreamId) -> io::Result<()> {
        let time = self.now_ms();
        let entry = match self.last {
            Some(last) if last.stream == stream && time.saturating_sub(last.time) <= MERGE_MS => {
                self.index_length = self.index_length.saturating_sub(ENTRY_LEN);
                IndexEntry { end: self.length, ..last }
            }
            Some(_) | None => IndexEntry { end: self.length, stream, time },
        };
        self.last = None;
        self.index.file()?.write_all_at(&entry.encode(), self.index_length)?;
        self.index_length = self.index_length.saturating_add(ENTRY_LEN);
        self.last = Some(entry);
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        let boot = clock_gettime(ClockId::Boottime);
        let boot_ms = boot.tv_sec.saturating_mul(1_000).saturating_add(boot.tv_nsec / 1_000_000);
        u64::try_from(self.anchor_ms.saturating_add(boot_ms)).unwrap_or(0)
    }
}

impl IndexFile {
    fn open(directory: &AttemptDirectory) -> io::Result<Self> {
        let file = match openat(directory, INDEX, WRITABLE, Mode::empty()) {
            Ok(file) => Some(File::from(file)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { directory: directory.as_fd().try_clone_to_owned()?, file })
    }

    fn length(&self) -> io::Result<u64> {
        self.file.as_ref().map_or(Ok(0), |file| Ok(file.metadata()?.len()))
    }

    /// Returns the index file. Creates it if it does not exist. While this program holds the lock on the attempt, no
    /// other process writes the file.
    fn file(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let flags = WRITABLE | OFlags::CREATE | OFlags::EXCL;
                openat(&self.directory, INDEX, flags, Mode::RUSR | Mode::WUSR)?.into()
            }
        };
        Ok(self.file.insert(file))
    }
}

async fn readable(pipe: Option<&Pipe>) {
    let ready = match pipe {
        Some(pipe) => pipe.news.readable().await.is_ok(),
        None => false,
    };
    if !ready {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_shim::{OutputReader, OutputRun};
    use std::io::Write as _;
    use std::path::Path;

    const fn bound(head: u64, tail: u64) -> OutputBound {
        OutputBound { head, tail, rotate: false }
    }

    fn started(path: &Path, bound: OutputBound) -> (OutputDrain, [std::io::PipeWriter; 2]) {
        let directory = AttemptDirectory::open(path).unwrap();
        let (stdout, stdout_in) = std::io::pipe().unwrap();
        let (stderr, stderr_in) = std::io::pipe().unwrap();
        let pipes = [stdout.into(), stderr.into()].map(|fd: OwnedFd| {
            rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK).unwrap();
            Some(fd)
        });
        (OutputDrain::new(&directory, pipes, bound, 0), [stdout_in, stderr_in])
    }

    fn runs(path: &Path) -> Vec<OutputRun> {
        OutputReader::open(path).unwrap().entries(0).unwrap().map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn output_continues_after_the_existing_output_and_every_byte_has_an_index_entry() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("output.log"), "before").unwrap();
        let (mut drain, [mut stdout, mut stderr]) = started(dir.path(), bound(0, 100));
        stdout.write_all(b"one").unwrap();
        while drain.length() < 9 {
            drain.step().await;
        }
        stderr.write_all(b"two").unwrap();
        while drain.length() < 12 {
            drain.step().await;
        }
        assert_eq!(std::fs::read(dir.path().join("output.log")).unwrap(), b"beforeonetwo");
        assert_eq!((drain.length(), drain.dropped()), (12, 0));
        let runs = runs(dir.path());
        assert_eq!(runs.first().unwrap().range.start, 0);
        let last = runs.last().unwrap();
        assert_eq!((last.range.clone(), last.stream), (9..12, StreamId::Stderr));
    }

    #[tokio::test]
    async fn an_index_that_cannot_be_made_is_tried_again_and_loses_no_output() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("output.log"), "").unwrap();
        let directory = AttemptDirectory::open(dir.path()).unwrap();
        let mut log = DrainLog::open(&directory, bound(0, 100), 0).unwrap();
        assert!(!dir.path().join("output.idx").exists());
        std::fs::create_dir(dir.path().join("output.idx")).unwrap();
        assert_eq!(log.append(b"one", StreamId::Stdout), 3);
        std::fs::remove_dir(dir.path().join("output.idx")).unwrap();
        assert_eq!(log.append(b"two", StreamId::Stderr), 3);
        let runs = runs(dir.path());
        assert_eq!((runs.len(), runs.first().unwrap().range.clone()), (1, 0..6));
    }

    #[tokio::test]
    async fn output_that_does_not_fit_is_counted_and_blocks_no_writer() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("output.log"), "").unwrap();
        std::fs::write(dir.path().join("output.idx"), "").unwrap();
        let (mut drain, [mut stdout, _stderr]) = started(dir.path(), bound(0, 4));
        stdout.write_all(b"123456").unwrap();
        drain.finish();
        stdout.write_all(b"789").unwrap();
        drain.finish();
        assert_eq!((drain.length(), drain.dropped()), (4, 5));
    }

    #[tokio::test]
    async fn the_rest_of_the_head_is_stored_in_addition_to_the_tail() {
        for (before, kept) in [("123", 5 - 3 + 4), ("123456789", 4)] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("output.log"), before).unwrap();
            let (mut drain, [mut stdout, _stderr]) = started(dir.path(), bound(5, 4));
            stdout.write_all(b"abcdefghijk").unwrap();
            drain.finish();
            let length = u64::try_from(before.len()).unwrap();
            assert_eq!((drain.length(), drain.dropped()), (length + kept, 11 - kept));
        }
    }
}
