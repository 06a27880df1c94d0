//! Reads the output of an attempt, even while the output is still being written.

use std::{
    io::{self, Read as _},
    ops::Range,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::Path,
};

use super::{
    entry::{ENTRY_LEN, IndexEntry, StreamId},
    gap::{GAP_FILE, GAP_FILE_LEN, OutputGap},
    loss::{self, LOST, Loss},
    segments::{INDEX, LOG, SegmentNames, Segments},
};
use crate::attempt_directory::AttemptDirectory;

const BLOCK: usize = 64 << 10;

/// Maximum number of bytes, counted from the end of the output, that are searched for lines. A damaged file may have a
/// length far beyond its content; this maximum then bounds the search.
pub const LOOKBACK_BYTES: u64 = 256 << 20;

/// Maximum number of successive invalid index entries that the reader skips. After more of them, it ignores the rest of
/// the index.
const MAX_INVALID_ENTRIES: usize = 4_096;

/// Reader of the output of one attempt. The offset of a byte never changes.
#[derive(Debug)]
pub struct OutputReader {
    directory: AttemptDirectory,
}

/// Result of reading output at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadChunk {
    /// Number of bytes that were read, at least one.
    Bytes(usize),
    /// The bytes at this offset were dropped; the output continues at `resume`.
    Gap {
        /// First offset after the gap.
        resume: u64,
    },
    /// No byte has been written at this offset yet.
    End,
}

/// Sequence of output bytes of one stream that arrived at about the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRun {
    /// Range of the offsets of the bytes.
    pub range: Range<u64>,
    /// Stream that the bytes came from.
    pub stream: StreamId,
    /// Time when the first of the bytes was read, in milliseconds of steady time.
    pub time: u64,
}

impl OutputReader {
    /// Opens the output in an attempt directory. The directory need not contain output yet.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: AttemptDirectory::open(directory)? })
    }

    /// Opens the output in an attempt directory that is already open.
    pub fn open_at(directory: OwnedFd) -> Self {
        Self { directory: AttemptDirectory::from(directory) }
    }

    /// Returns the offset after the last byte of the output. Dropped bytes count too.
    pub fn length(&self) -> io::Result<u64> {
        Ok(Segments::open(&self.directory, &LOG)?.length())
    }

    /// Returns the range of output offsets that was dropped, or `None` if no output was dropped.
    pub fn gap(&self) -> io::Result<Option<Range<u64>>> {
        let gap = self.read_gap()?;
        Ok((!gap.log.is_empty()).then_some(gap.log))
    }

    /// Returns the losses (ranges of output that could not be stored), sorted by offset.
    pub fn losses(&self) -> io::Result<Vec<Loss>> {
        let Some(file) = self.directory.open_file(LOST)? else {
            return Ok(Vec::new());
        };
        let length = self.length()?;
        let mut bytes = Vec::new();
        file.take(loss::MAX_LOSSES.saturating_mul(loss::LENGTH)).read_to_end(&mut bytes)?;
        let (entries, _torn) = bytes.as_chunks();
        // Skip invalid loss entries instead of stopping at them, because valid entries may follow.
        let entries = entries.iter().filter_map(|entry| Loss::decode(*entry));
        let mut losses: Vec<Loss> = entries.filter(|loss| loss.offset <= length).collect();
        losses.sort_by_key(|loss| loss.offset);
        Ok(losses)
    }

    /// Reads bytes at an offset. A read never crosses a gap, and never returns the zeros of a dropped range.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<ReadChunk> {
        let before = self.read_gap()?;
        if before.log.contains(&offset) {
            return Ok(ReadChunk::Gap { resume: before.log.end });
        }
        let segments = Segments::open(&self.directory, &LOG)?;
        let Some(held) = segments.first_held(offset) else {
            return Ok(ReadChunk::End);
        };
        if held > offset {
            return Ok(ReadChunk::Gap { resume: held });
        }
        let got = segments.read_at(offset, buffer)?;
        // The bytes may have been dropped during this read. In that case the buffer contains zeros.
        let after = self.read_gap()?;
        if after.log.contains(&offset) {
            return Ok(ReadChunk::Gap { resume: after.log.end });
        }
        let got = if after.log.start > offset && !after.log.is_empty() {
            let until_gap = after.log.start.saturating_sub(offset);
            got.min(usize::try_from(until_gap).unwrap_or(usize::MAX))
        } else {
            got
        };
        Ok(if got == 0 { ReadChunk::End } else { ReadChunk::Bytes(got) })
    }

    /// Returns an iterator over the runs of the output. The first returned run contains the offset `from`.
    ///
    /// Bytes without an index entry, such as bytes that are just being written, are in no run. The iterator skips
    /// invalid entries.
    pub fn entries(&self, from: u64) -> io::Result<OutputEntries> {
        let index = VisibleIndex::open(self)?;
        let next = index.first_where(|entry| entry.end > from)?;
        let end = match next.checked_sub(1) {
            Some(before) => index.entry(before)?.map_or(0, |entry| entry.end),
            None => 0,
        };
        Ok(OutputEntries { index, next, end })
    }

    /// Returns the offset at which the last `lines` lines of the output start. The search stops at a gap, and after
    /// [`LOOKBACK_BYTES`].
    pub fn offset_of_last_lines(&self, lines: u64) -> io::Result<u64> {
        let length = self.length()?;
        let floor = self.floor()?;
        let mut buffer = vec![0; BLOCK];
        let mut end = length;
        let mut found = 0_u64;
        if lines == 0 {
            return Ok(length);
        }
        while end > floor {
            let begin = end.saturating_sub(BLOCK as u64).max(floor);
            let wanted = usize::try_from(end.saturating_sub(begin)).unwrap_or(BLOCK);
            let block = buffer.get_mut(..wanted).unwrap_or(&mut []);
            if !self.fill(begin, block)? {
                // The block was dropped since the search started.
                return Ok(end);
            }
            // First check with a fast search whether the block contains a newline. This saves time if lines are long.
            let lines_in_block = if block.contains(&b'\n') { &*block } else { &[] };
            for (place, byte) in lines_in_block.iter().enumerate().rev() {
                let behind = begin.saturating_add(place as u64).saturating_add(1);
                // A newline at the end of the output ends the last line, and does not start another line.
                if *byte == b'\n' && behind != length {
                    found = found.saturating_add(1);
                    if found == lines {
                        return Ok(behind);
                    }
                }
            }
            end = begin;
        }
        Ok(floor)
    }

    /// Returns the offset of the first output byte that was read at or after a time. Returns the length of the output
    /// if no byte was read at or after this time. The time is in milliseconds of steady time.
    pub fn offset_at_time(&self, time: u64) -> io::Result<u64> {
        let index = VisibleIndex::open(self)?;
        let next = index.first_where(|entry| entry.time >= time)?;
        if next >= index.count() {
            return self.length();
        }
        match next.checked_sub(1) {
            Some(before) => Ok(index.entry(before)?.map_or(0, |entry| entry.end)),
            None => Ok(0),
        }
    }

    /// Returns the start time of the last run in the index, in milliseconds of steady time, or `None` if the index
    /// contains no run.
    pub fn last_time(&self) -> io::Result<Option<u64>> {
        let index = VisibleIndex::open(self)?;
        for number in (0..index.count()).rev().take(MAX_INVALID_ENTRIES) {
            if let Some(entry) = index.entry(number)? {
                return Ok(Some(entry.time));
            }
        }
        Ok(None)
    }

    /// Returns the lowest output offset that is searched for lines. This is the end of the last gap or
    /// [`LOOKBACK_BYTES`] before the end of the output, whichever is higher.
    ///
    /// # Errors
    /// Returns the error of reading the files.
    pub fn floor(&self) -> io::Result<u64> {
        let behind_gap = self.gap()?.map_or(0, |gap| gap.end);
        Ok(behind_gap.max(self.length()?.saturating_sub(LOOKBACK_BYTES)))
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(offset.saturating_add(done as u64), rest)? {
                ReadChunk::Bytes(got) => done = done.saturating_add(got),
                ReadChunk::Gap { .. } | ReadChunk::End => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Reads the dropped ranges of the log and the index. An impossible range is invalid data, and counts as empty.
    fn read_gap(&self) -> io::Result<OutputGap> {
        let Some(file) = self.directory.open_file(GAP_FILE)? else {
            return Ok(OutputGap::default());
        };
        let mut bytes = [0; GAP_FILE_LEN];
        let got = file.read_at(&mut bytes, 0)?;
        if got < GAP_FILE_LEN {
            return Ok(OutputGap::default());
        }
        let gap = OutputGap::decode(&bytes);
        Ok(OutputGap { log: self.within(&LOG, gap.log)?, index: self.within(&INDEX, gap.index)? })
    }

    /// Limits a dropped range to the length of the files.
    ///
    /// A range that reaches beyond the files is cut at their end if the files have a hole at the start of the range: in
    /// that case a power cut has removed the bytes after the hole. If there is no hole, the range is invalid data and
    /// becomes empty, so that it does not hide existing bytes.
    fn within(&self, names: &SegmentNames, range: Range<u64>) -> io::Result<Range<u64>> {
        if range.is_empty() || range.end <= self.directory.length_of(names.head)? {
            return Ok(range);
        }
        let segments = Segments::open(&self.directory, names)?;
        let length = segments.length();
        if range.end <= length {
            return Ok(range);
        }
        Ok(if segments.is_hole(range.start) { range.start..length } else { 0..0 })
    }
}

/// Iterator over the runs of an output, oldest first.
pub struct OutputEntries {
    index: VisibleIndex,
    next: u64,
    end: u64,
}

impl Iterator for OutputEntries {
    type Item = io::Result<OutputRun>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.index.count() {
            let entry = match self.index.entry(self.next) {
                Ok(entry) => entry,
                Err(error) => {
                    self.next = u64::MAX;
                    return Some(Err(error));
                }
            };
            self.next = self.next.saturating_add(1);
            let Some(entry) = entry else {
                self.next = self.index.next_written(self.next);
                continue;
            };
            if entry.end <= self.end || entry.end > self.index.log_length {
                continue;
            }
            let gap = &self.index.gap.log;
            let start = if gap.contains(&self.end) { gap.end } else { self.end };
            self.end = entry.end;
            if start < entry.end {
                return Some(Ok(OutputRun {
                    range: start..entry.end,
                    stream: entry.stream,
                    time: entry.time,
                }));
            }
        }
        None
    }
}

impl std::fmt::Debug for OutputEntries {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Entries").field("next", &self.next).finish_non_exhaustive()
    }
}

/// The output index without its dropped range. The entries are numbered as if the dropped entries did
/// not exist.
struct VisibleIndex {
    segments: Segments,
    gap: OutputGap,
    length: u64,
    log_length: u64,
}

impl VisibleIndex {
    fn open(log: &OutputReader) -> io::Result<Self> {
        let segments = Segments::open(&log.directory, &INDEX)?;
        let (gap, log_length) = (log.read_gap()?, log.length()?);
        let length = segments.length() / ENTRY_LEN * ENTRY_LEN;
        Ok(Self { segments, gap, length, log_length })
    }

    fn count(&self) -> u64 {
        let dropped = self.gap.index.end.saturating_sub(self.gap.index.start);
        self.length.saturating_sub(dropped) / ENTRY_LEN
    }

    fn entry(&self, number: u64) -> io::Result<Option<IndexEntry>> {
        let mut bytes = [0; 16];
        let got = self.segments.read_at(self.place(number), &mut bytes)?;
        Ok(if got == bytes.len() { IndexEntry::decode(bytes) } else { None })
    }

    /// Returns the byte offset of an entry in the index. Dropped entries before it count too.
    fn place(&self, number: u64) -> u64 {
        let at = number.saturating_mul(ENTRY_LEN);
        let gap = &self.gap.index;
        if at < gap.start { at } else { at.saturating_add(gap.end.saturating_sub(gap.start)) }
    }

    /// Returns the number of the first index entry, from `number` on, that is not completely in a hole of the index
    /// files. If there is none, returns a number after the last entry.
    ///
    /// Skips a hole in one step, because a damaged file may contain more empty entries than a reader can visit one by
    /// one.
    fn next_written(&self, number: u64) -> u64 {
        let (at, gap) = (self.place(number), &self.gap.index);
        let Some(written) = self.segments.next_written(at) else {
            return u64::MAX;
        };
        if at < gap.start && gap.start <= written {
            return (gap.start / ENTRY_LEN).saturating_add(written.saturating_sub(gap.end) / ENTRY_LEN);
        }
        number.saturating_add(written.saturating_sub(at) / ENTRY_LEN)
    }

    /// Returns the first valid index entry from `number` on and before `end`. Returns `None` if there is none or if too
    /// many successive entries are invalid.
    fn sensible(&self, mut number: u64, end: u64) -> io::Result<Option<(u64, IndexEntry)>> {
        for _ in 0..MAX_INVALID_ENTRIES {
            if number >= end {
                break;
            }
            if let Some(entry) = self.entry(number)? {
                return Ok(Some((number, entry)));
            }
            number = self.next_written(number.saturating_add(1));
        }
        Ok(None)
    }

    /// Returns the number of the first index entry for which `holds` is true, by binary search. If `holds` is true for
    /// an entry, it must be true for all later entries.
    fn first_where(&self, holds: impl Fn(IndexEntry) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            match self.sensible(middle, high)? {
                Some((found, entry)) if !holds(entry) => low = found.saturating_add(1),
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }
}
