//! Reads the output of an attempt while it is still being written.

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

/// Lines are looked for in so many of the last bytes: a file that only claims to be long must keep nobody busy.
pub const LOOKBACK_BYTES: u64 = 256 << 20;

/// So many entries of an index may make no sense before those that stand behind them count for nothing.
const MAX_INVALID_ENTRIES: usize = 4_096;

/// The output of one attempt, of which every byte has one offset for ever.
#[derive(Debug)]
pub struct OutputReader {
    directory: AttemptDirectory,
}

/// What reading at an offset found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadChunk {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The bytes there were given back; there are some again from `resume` on.
    Gap {
        /// The first offset behind the gap.
        resume: u64,
    },
    /// Nothing was written there yet.
    End,
}

/// Neighbouring bytes of one stream that came at about one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRun {
    /// The offsets of the bytes.
    pub range: Range<u64>,
    /// Where they came from.
    pub stream: StreamId,
    /// When the first of them was read, in steady milliseconds.
    pub time: u64,
}

impl OutputReader {
    /// Opens the output in an attempt directory, even before there is any.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: AttemptDirectory::open(directory)? })
    }

    /// Opens the output in an attempt directory that is open already.
    pub fn open_at(directory: OwnedFd) -> Self {
        Self { directory: AttemptDirectory::from(directory) }
    }

    /// Returns the offset behind the last byte, given back or not.
    pub fn length(&self) -> io::Result<u64> {
        Ok(Segments::open(&self.directory, &LOG)?.length())
    }

    /// Returns the offsets that were given back, if any.
    pub fn gap(&self) -> io::Result<Option<Range<u64>>> {
        let gap = self.read_gap()?;
        Ok((!gap.log.is_empty()).then_some(gap.log))
    }

    /// Returns where output could not be stored, by offset.
    pub fn losses(&self) -> io::Result<Vec<Loss>> {
        let Some(file) = self.directory.open_file(LOST)? else {
            return Ok(Vec::new());
        };
        let length = self.length()?;
        let mut bytes = Vec::new();
        file.take(loss::MAX_LOSSES.saturating_mul(loss::LENGTH)).read_to_end(&mut bytes)?;
        let (entries, _torn) = bytes.as_chunks();
        // What makes no sense must not hide what does.
        let entries = entries.iter().filter_map(|entry| Loss::decode(*entry));
        let mut losses: Vec<Loss> = entries.filter(|loss| loss.offset <= length).collect();
        losses.sort_by_key(|loss| loss.offset);
        Ok(losses)
    }

    /// Reads bytes from an offset on, never across a gap and never zeros out of one.
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
        // What was read may have been given back in the middle of it.
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

    /// Walks the runs from the one that holds an offset on.
    ///
    /// Bytes that no entry describes, such as those just being written, are in no run; entries that make no sense
    /// are skipped.
    pub fn entries(&self, from: u64) -> io::Result<OutputEntries> {
        let index = VisibleIndex::open(self)?;
        let next = index.first_where(|entry| entry.end > from)?;
        let end = match next.checked_sub(1) {
            Some(before) => index.entry(before)?.map_or(0, |entry| entry.end),
            None => 0,
        };
        Ok(OutputEntries { index, next, end })
    }

    /// Finds where the last `lines` lines begin, not looking back beyond a gap, nor over more than [`LOOKBACK_BYTES`] bytes.
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
                // It was given back meanwhile.
                return Ok(end);
            }
            // Most of a long line is passed by at the speed of a search.
            let lines_in_block = if block.contains(&b'\n') { &*block } else { &[] };
            for (place, byte) in lines_in_block.iter().enumerate().rev() {
                let behind = begin.saturating_add(place as u64).saturating_add(1);
                // The newline that ends the last line begins no other one.
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

    /// Finds the first byte that was read at or after a time, in steady milliseconds; the length if none was.
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

    /// Returns when the last bytes that an entry describes began to be read, in steady milliseconds; `None` if there are
    /// none.
    pub fn last_time(&self) -> io::Result<Option<u64>> {
        let index = VisibleIndex::open(self)?;
        for number in (0..index.count()).rev().take(MAX_INVALID_ENTRIES) {
            if let Some(entry) = index.entry(number)? {
                return Ok(Some(entry.time));
            }
        }
        Ok(None)
    }

    /// How far back lines are looked for: to the last gap, and no further than [`LOOKBACK_BYTES`] bytes.
    ///
    /// # Errors
    /// If the files cannot be read.
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

    /// Reads what was given back; a range that cannot be so is garbage and counts as nothing.
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

    /// Keeps a range inside the files. One that reaches beyond them tells of bytes that a power cut took, if the files
    /// have a hole there; else it is garbage, which must not hide what is there.
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

/// The runs of an output, oldest first.
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

/// The entries that were not given back, counted as if there were no gap.
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

    /// Returns where an entry stands in the index as it was before its middle was given back.
    fn place(&self, number: u64) -> u64 {
        let at = number.saturating_mul(ENTRY_LEN);
        let gap = &self.gap.index;
        if at < gap.start { at } else { at.saturating_add(gap.end.saturating_sub(gap.start)) }
    }

    /// Returns the first entry from this one on of which something was written, or a number past all of them.
    ///
    /// What a damaged file says may lead past more nothing than anybody could read.
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

    /// Finds the first entry from this one on that makes sense, unless too many do not.
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

    /// Finds by halving the first entry for which something holds that holds for all later ones too.
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
