//! The files of the output log or of the output index: the first file, and the tail files, which exist only if the file
//! system cannot punch holes.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use rustix::{fs::SeekFrom, io::Errno};

use crate::attempt_directory::AttemptDirectory;

/// Length of the header of a tail file in bytes.
pub(super) const TAIL_HEADER: u64 = 16;

const MAGIC: u64 = u64::from_le_bytes(*b"LHTAIL1\0");

/// Names of the files of the output log or of the output index.
pub(super) struct SegmentNames {
    pub(super) head: &'static str,
    pub(super) tails: [&'static str; 2],
}

pub(super) const LOG: SegmentNames =
    SegmentNames { head: "output.log", tails: ["output.tail0", "output.tail1"] };
pub(super) const INDEX: SegmentNames =
    SegmentNames { head: "output.idx", tails: ["output.idx0", "output.idx1"] };

pub(super) fn tail_header(base: u64) -> [u8; 16] {
    (u128::from(base) << 64 | u128::from(MAGIC)).to_le_bytes()
}

/// One output file, and the range of offsets that it contained when it was opened.
struct Segment {
    file: File,
    header: u64,
    base: u64,
    end: u64,
}

/// All files of the output log or of the output index, lowest offsets first.
pub(super) struct Segments {
    list: Vec<Segment>,
}

impl Segments {
    pub(super) fn open(directory: &AttemptDirectory, names: &SegmentNames) -> io::Result<Self> {
        let mut list = Vec::new();
        if let Some(file) = directory.open_file(names.head)? {
            let end = file.metadata()?.len();
            list.push(Segment { file, header: 0, base: 0, end });
        }
        for name in names.tails {
            if let Some(file) = directory.open_file(name)? {
                list.extend(open_tail(file)?);
            }
        }
        list.sort_by_key(|segment| segment.base);
        Ok(Self { list })
    }

    /// Returns the offset after the last byte in the files.
    pub(super) fn length(&self) -> u64 {
        self.list.iter().map(|segment| segment.end).max().unwrap_or(0)
    }

    /// Returns the lowest offset at or after `offset` that one of the files contains. Returns `None` if no file
    /// contains an offset in this range.
    pub(super) fn first_held(&self, offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| offset < segment.end;
        self.list.iter().find(holds).map(|segment| segment.base.max(offset))
    }

    /// Returns the first offset, from `offset` on, at which bytes were written. Skips holes in the files and gaps
    /// between them.
    pub(super) fn next_written(&self, offset: u64) -> Option<u64> {
        let behind = self.list.iter().filter(|segment| offset < segment.end);
        let written = behind.filter_map(|segment| {
            let from = segment.base.max(offset);
            let place = from.saturating_sub(segment.base).saturating_add(segment.header);
            match rustix::fs::seek(&segment.file, SeekFrom::Data(place)) {
                Ok(found) => Some(from.saturating_add(found.saturating_sub(place))),
                Err(Errno::NXIO) => None,
                // If the file system does not support the search for data, assume that the file has no holes.
                Err(_) => Some(from),
            }
        });
        written.min()
    }

    /// Returns true if `offset` is in a hole of one of the files.
    pub(super) fn is_hole(&self, offset: u64) -> bool {
        let holds = |segment: &&Segment| (segment.base..segment.end).contains(&offset);
        self.list.iter().find(holds).is_some_and(|segment| {
            let place = offset.saturating_sub(segment.base).saturating_add(segment.header);
            rustix::fs::seek(&segment.file, SeekFrom::Hole(place)) == Ok(place)
        })
    }

    /// Reads bytes from the file that contains the offset. Returns 0 if no file contains the offset.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let holds = |segment: &&Segment| (segment.base..segment.end).contains(&offset);
        let Some(segment) = self.list.iter().find(holds) else {
            return Ok(0);
        };
        let left = usize::try_from(segment.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let place = offset.saturating_sub(segment.base).saturating_add(segment.header);
        segment.file.read_at(buffer.get_mut(..wanted).unwrap_or(&mut []), place)
    }
}

fn open_tail(file: File) -> io::Result<Option<Segment>> {
    let mut header = [0; 16];
    let length = file.metadata()?.len();
    if length < TAIL_HEADER || file.read_at(&mut header, 0)? < header.len() {
        return Ok(None);
    }
    let both = u128::from_le_bytes(header);
    let base = u64::try_from(both >> 64).unwrap_or(0);
    let end = base.saturating_add(length.saturating_sub(TAIL_HEADER));
    let ours = both & u128::from(u64::MAX) == u128::from(MAGIC);
    Ok(ours.then_some(Segment { file, header: TAIL_HEADER, base, end }))
}
