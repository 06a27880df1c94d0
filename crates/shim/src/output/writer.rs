//! Copies bytes from the output pipes to the log, and limits the size of the log.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt as _,
    },
};

use longhaul_failpoint::failpoint;
use rustix::{fs::FallocateFlags, io::Errno, pipe::SpliceFlags};

use super::{
    entry::{ENTRY_LEN, IndexEntry, StreamId},
    gap::{GAP_FILE, OutputGap},
    headroom::leave_headroom,
    index::IndexWriter,
    loss::{self, LOST, Loss},
    offset::FileOffset,
    segments::{INDEX, LOG},
};
use crate::{attempt_directory::AttemptDirectory, clock, launch::OutputBound};

const STEP: u64 = 1 << 20;
const BLOCK: u64 = 4 << 10;
const MIN_TAIL_BYTES: u64 = 64 << 10;
const COPY: usize = 64 << 10;
const MERGE_MS: u64 = 1;

/// Result of one step of copying output from a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PumpStep {
    /// Number of bytes that were removed from the pipe, whether they were stored or not.
    Bytes(usize),
    /// The pipe is empty.
    Nothing,
    /// All writers have closed the pipe.
    Ended,
}

/// Writer of an attempt's output. Each attempt has exactly one writer.
pub(crate) struct OutputWriter {
    directory: AttemptDirectory,
    log: FileOffset,
    index: IndexWriter,
    bounding: MiddleTrim,
    head: u64,
    tail: u64,
    anchor_ms: u64,
    length: u64,
    index_length: u64,
    gap: OutputGap,
    gap_file: Option<std::fs::File>,
    run: Option<OpenRun>,
    trash: OwnedFd,
    moving: CopyMode,
    lost: Option<OpenLoss>,
    lost_file: Option<std::fs::File>,
    dropped: u64,
    write_errors: u64,
}

/// Method of dropping the middle part of the output.
enum MiddleTrim {
    /// Punches holes into the files.
    Punch,
    /// Writes to two tail files in turn. `present` is the number of the current tail file.
    Rotate { present: Option<usize> },
}

/// Method of copying bytes from a pipe to a file.
enum CopyMode {
    Splice,
    Copy(Box<[u8; COPY]>),
}

/// Last entry of the index, which may still grow. `dirty` is true if the index file does not contain its latest state
/// yet.
struct OpenRun {
    entry: IndexEntry,
    at: u64,
    dirty: bool,
}

/// Last loss entry, which may still grow. `dirty` is true if the file does not contain its latest state yet.
struct OpenLoss {
    loss: Loss,
    place: u64,
    dirty: bool,
}

impl OutputWriter {
    /// Creates the output log. The index is created later, because many attempts never need one. Bytes that cannot be
    /// stored are moved to `trash`, which is the null device.
    pub(crate) fn create(
        directory: OwnedFd,
        bound: OutputBound,
        anchor_ms: u64,
        trash: OwnedFd,
    ) -> io::Result<Self> {
        let directory = AttemptDirectory::from(directory);
        failpoint!("shim.output.create")?;
        let log = FileOffset::first(directory.create(LOG.head)?);
        let punches = !bound.rotate && punch(&log.file, 0, BLOCK).is_ok();
        Ok(Self {
            directory,
            log,
            index: IndexWriter::Absent,
            bounding: if punches { MiddleTrim::Punch } else { MiddleTrim::Rotate { present: None } },
            head: bound.head.next_multiple_of(BLOCK),
            tail: bound.tail.next_multiple_of(BLOCK),
            anchor_ms,
            length: 0,
            index_length: 0,
            gap: OutputGap::default(),
            gap_file: None,
            run: None,
            trash,
            moving: CopyMode::Splice,
            lost: None,
            lost_file: None,
            dropped: 0,
            write_errors: 0,
        })
    }

    /// Copies the bytes that one system call can move from the pipe to the log. Never blocks. If the bytes cannot be
    /// stored, they are discarded, so that the command can continue to write.
    pub(crate) fn take(&mut self, pipe: impl AsFd, stream: StreamId) -> PumpStep {
        let moved = match leave_headroom(&self.log.file).and_then(|()| self.make_room()) {
            Ok(room) => self.store(pipe.as_fd(), room),
            Err(error) => Err(error),
        };
        match moved {
            Ok(0) => PumpStep::Ended,
            Ok(bytes) => {
                self.extend_run(bytes, stream);
                PumpStep::Bytes(bytes)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                PumpStep::Nothing
            }
            Err(_) => {
                self.write_errors = self.write_errors.saturating_add(1);
                self.discard(pipe)
            }
        }
    }

    /// Writes the latest index entry and the latest loss entry to disk, so that readers can find all output up to now.
    pub(crate) fn flush(&mut self) {
        self.flush_loss();
        if let Some(run) = &mut self.run
            && run.dirty
        {
            match self.index.write(&self.directory, run.at, &run.entry.encode()) {
                Ok(()) => run.dirty = false,
                Err(_) => self.write_errors = self.write_errors.saturating_add(1),
            }
        }
    }

    fn flush_loss(&mut self) {
        let Some(open) = self.lost.as_mut().filter(|open| open.dirty) else {
            return;
        };
        if self.lost_file.is_none() {
            self.lost_file = self.directory.create(LOST).ok().map(Into::into);
        }
        // Ignore errors when writing the losses: the exit record still reports the number of lost bytes.
        let at = open.place.saturating_mul(loss::LENGTH);
        let written = self.lost_file.as_ref().map(|file| file.write_all_at(&open.loss.encode(), at));
        open.dirty = written.is_none_or(|written| written.is_err());
    }

    /// Records bytes that could not be stored, as a loss at the current end of the log.
    fn lose(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.dropped = self.dropped.saturating_add(bytes);
        let offset = self.length;
        if self.lost.as_ref().is_some_and(|open| open.loss.offset != offset) {
            self.flush_loss();
        }
        match &mut self.lost {
            // Add the new bytes to the current loss if its entry is not written yet, or if the maximum number of
            // entries is reached. In this way every lost byte is counted.
            Some(open)
                if open.loss.offset == offset
                    || open.dirty
                    || open.place.saturating_add(1) >= loss::MAX_LOSSES =>
            {
                open.loss.bytes = open.loss.bytes.saturating_add(bytes);
                open.dirty = true;
            }
            before => {
                let place = before.as_ref().map_or(0, |open| open.place.saturating_add(1));
                *before = Some(OpenLoss { loss: Loss { offset, bytes }, place, dirty: true });
            }
        }
    }

    /// Returns the number of output bytes that were stored.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of output bytes that could not be stored.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the number of failed attempts to store output or index entries.
    pub(crate) fn write_errors(&self) -> u64 {
        self.write_errors
    }

    /// Drops old output if the size limit requires it. Returns the number of bytes that may be stored next.
    fn make_room(&mut self) -> io::Result<u64> {
        match self.bounding {
            MiddleTrim::Punch => self.room_by_holes(),
            MiddleTrim::Rotate { present } => self.room_by_turns(present),
        }
    }

    fn room_by_holes(&mut self) -> io::Result<u64> {
        let limit = self.tail.saturating_add(STEP);
        let kept = |writer: &Self| writer.length.saturating_sub(writer.gap.log.end.max(writer.head));
        if kept(self) >= limit {
            let end = self.gap.log.end.max(self.head).saturating_add(STEP);
            self.drop_until(end)?;
        }
        let entries = self.index_length.saturating_sub(self.gap.index.end);
        if entries > self.index_limit().saturating_add(BLOCK) && self.length > self.head {
            self.drop_for_the_index()?;
        }
        let before_head_ends = self.head.saturating_sub(self.length);
        let room = before_head_ends.saturating_add(limit.saturating_sub(kept(self)));
        Ok(room.min(STEP))
    }

    /// Returns the maximum length of the index in bytes. The index needs a separate maximum: for a program that writes
    /// single bytes, the index grows faster than the log.
    fn index_limit(&self) -> u64 {
        (self.tail / 4).max(STEP)
    }

    fn drop_for_the_index(&mut self) -> io::Result<()> {
        self.flush();
        let at = self.index_length.saturating_sub(self.index_limit()) / ENTRY_LEN * ENTRY_LEN;
        let mut bytes = [0; 16];
        let index = self.index.file().ok_or(io::ErrorKind::UnexpectedEof)?;
        index.read_exact_at(&mut bytes, at)?;
        let end = IndexEntry::decode(bytes).map_or(0, |entry| entry.end / BLOCK * BLOCK);
        if end > self.gap.log.end.max(self.head) { self.drop_until(end) } else { Ok(()) }
    }

    /// Drops all output bytes between the head, which is never deleted, and the offset `end`.
    fn drop_until(&mut self, end: u64) -> io::Result<()> {
        self.flush();
        let mut gap = self.gap.clone();
        if gap.log.is_empty() {
            let first = self.first_entry_behind(0, self.head)?;
            gap = OutputGap { log: self.head..self.head, index: first..first };
        }
        let before = gap.clone();
        gap.log.end = end;
        gap.index.end = self.first_entry_behind(gap.index.end, end)?;
        failpoint!("shim.output.gap")?;
        // Write the gap file before punching the holes, so that readers never return the zeros of a hole.
        self.write_gap(&gap)?;
        failpoint!("shim.output.punch")?;
        punch(&self.log.file, before.log.end, end.saturating_sub(before.log.end))?;
        let from = before.index.end / BLOCK * BLOCK;
        let from = from.max(gap.index.start.next_multiple_of(BLOCK));
        let until = gap.index.end / BLOCK * BLOCK;
        if let Some(index) = self.index.file().filter(|_| until > from) {
            punch(index, from, until.saturating_sub(from))?;
        }
        Ok(())
    }

    fn write_gap(&mut self, gap: &OutputGap) -> io::Result<()> {
        if self.gap_file.is_none() {
            self.gap_file = Some(self.directory.create(GAP_FILE)?.into());
        }
        if let Some(file) = &self.gap_file {
            file.write_all_at(&gap.encode(), 0)?;
        }
        self.gap = gap.clone();
        Ok(())
    }

    /// Searches the index from position `at` on for the first entry of log bytes after `offset`. Returns the position
    /// of the entry.
    fn first_entry_behind(&self, at: u64, offset: u64) -> io::Result<u64> {
        let mut block = [0; 4 << 10];
        let mut at = at;
        while let Some(index) = self.index.file().filter(|_| at < self.index_length) {
            let got = index.read_at(&mut block, at)?;
            let (entries, _) = block.get(..got).unwrap_or(&[]).as_chunks::<16>();
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if IndexEntry::decode(*entry).is_some_and(|entry| entry.end > offset) {
                    return Ok(at);
                }
                at = at.saturating_add(ENTRY_LEN);
            }
        }
        Ok(self.index_length)
    }

    fn room_by_turns(&mut self, present: Option<usize>) -> io::Result<u64> {
        if self.length < self.head {
            return Ok(self.head.saturating_sub(self.length).min(STEP));
        }
        let limit = (self.tail / 2).max(MIN_TAIL_BYTES);
        let used = self.length.saturating_sub(self.log.base);
        let entries = self.index_length.saturating_sub(self.index.base());
        if present.is_none() || used >= limit || entries >= self.index_limit() {
            self.turn(present)?;
            return Ok(limit.min(STEP));
        }
        Ok(limit.saturating_sub(used).min(STEP))
    }

    /// Starts a new tail file, which replaces the older one of the two.
    fn turn(&mut self, present: Option<usize>) -> io::Result<()> {
        self.flush();
        self.run = None;
        let next = match present {
            Some(0) => 1,
            Some(_) | None => 0,
        };
        if present.is_some() {
            let mut gap = self.gap.clone();
            gap.log.end = self.log.base;
            gap.index.end = self.index.base();
            self.write_gap(&gap)?;
        } else {
            // No byte has been dropped yet, but the gap will start at this offset.
            self.gap =
                OutputGap { log: self.length..self.length, index: self.index_length..self.index_length };
        }
        let [log_first, log_second] = LOG.tails;
        let [index_first, index_second] = INDEX.tails;
        let (log, index) = if next == 0 { (log_first, index_first) } else { (log_second, index_second) };
        self.index = IndexWriter::Present(FileOffset::tail(&self.directory, index, self.index_length)?);
        self.log = FileOffset::tail(&self.directory, log, self.length)?;
        self.bounding = MiddleTrim::Rotate { present: Some(next) };
        Ok(())
    }

    fn store(&mut self, pipe: std::os::fd::BorrowedFd<'_>, room: u64) -> io::Result<usize> {
        let room = usize::try_from(room).unwrap_or(COPY);
        let mut place = self.log.position(self.length);
        if let CopyMode::Splice = self.moving {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            match rustix::pipe::splice(pipe, None, &self.log.file, Some(&mut place), room, flags) {
                // Some file systems do not support splice from a pipe to a file. Copy with read and write on such a
                // file system.
                Err(Errno::INVAL) => self.moving = CopyMode::Copy(Box::new([0; COPY])),
                done => return Ok(done?),
            }
        }
        let CopyMode::Copy(buffer) = &mut self.moving else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let wanted = room.min(COPY);
        let got = rustix::io::read(pipe, buffer.get_mut(..wanted).unwrap_or(&mut []))?;
        let written = self.log.file.write_all_at(buffer.get(..got).unwrap_or(&[]), place);
        if written.is_err() {
            // Count the bytes as lost, because they were already removed from the pipe. `discard` counts only the bytes
            // that are still in the pipe.
            self.lose(got);
        }
        written.map(|()| got)
    }

    fn extend_run(&mut self, bytes: usize, stream: StreamId) {
        self.length = self.length.saturating_add(bytes as u64);
        let time = self.anchor_ms.saturating_add(clock::boot_ms());
        match &mut self.run {
            Some(run) if run.entry.stream == stream && time.saturating_sub(run.entry.time) <= MERGE_MS => {
                run.entry.end = self.length;
                run.dirty = true;
            }
            Some(_) | None => {
                self.flush();
                let entry = IndexEntry { end: self.length, stream, time };
                self.run = Some(OpenRun { entry, at: self.index_length, dirty: true });
                self.index_length = self.index_length.saturating_add(ENTRY_LEN);
            }
        }
    }

    fn discard(&mut self, pipe: impl AsFd) -> PumpStep {
        let flags = SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(pipe, None, &self.trash, None, COPY, flags) {
            Ok(0) => PumpStep::Ended,
            Ok(bytes) => {
                self.lose(bytes);
                PumpStep::Bytes(bytes)
            }
            Err(Errno::AGAIN | Errno::INTR) => PumpStep::Nothing,
            Err(_) => PumpStep::Ended,
        }
    }
}

/// Frees a range of a file without changing its size. The range is read as zeros afterwards.
pub(crate) fn punch(file: impl AsFd, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, offset, length)?)
}
