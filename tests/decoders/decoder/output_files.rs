//! Reads the output files of an attempt with any content. The input contains a two-byte length and the content of each
//! file. A file without content is not created.

use super::{Verdict, scratch};
use longhaul_shim::{OutputReader, ReadChunk};
use std::io;
use std::path::Path;

const FILES: [&str; 7] =
    ["output.log", "output.idx", "output.gap", "output.tail0", "output.tail1", "output.idx0", "output.idx1"];

pub(super) fn take(bytes: &[u8]) -> Verdict {
    scratch::with(|directory| {
        lay_out(directory, bytes).map_err(|error| error.to_string())?;
        let read = || read(directory).map_err(|error| error.to_string());
        let (one, other) = (read(), read());
        assert_eq!(one, other, "two decodings differ");
        one.map(drop)
    })
}

fn lay_out(directory: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    for name in FILES {
        let path = directory.join(name);
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            remove(&path)?;
            continue;
        };
        let (content, after) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
        rest = after;
        if content.is_empty() { remove(&path)? } else { std::fs::write(&path, content)? }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Everything that a reader reports about an output.
#[derive(Debug, PartialEq)]
struct Told {
    length: u64,
    text: Vec<u8>,
    runs: usize,
    lines: u64,
    moment: u64,
    last_time: Option<u64>,
}

/// Reads an output in every possible way. Each read must return, and must stay within the length of the output.
fn read(directory: &Path) -> io::Result<Told> {
    let log = OutputReader::open(directory)?;
    let length = log.length()?;
    let (mut at, mut text, mut buffer) = (0_u64, Vec::new(), [0; 512]);
    loop {
        match log.read_at(at, &mut buffer)? {
            ReadChunk::Bytes(got) => {
                assert!(got > 0 && got <= buffer.len(), "a read returned {got} bytes");
                text.extend_from_slice(&buffer[..got]);
                at = at.saturating_add(got as u64);
            }
            ReadChunk::Gap { resume } => {
                assert!(resume > at, "the gap at {at} ends at {resume}");
                at = resume;
            }
            ReadChunk::End => break,
        }
        assert!(
            text.len() <= 8 * usize::from(u16::MAX),
            "the reads returned more bytes than the files contain"
        );
    }
    let (mut runs, mut end) = (0_usize, 0_u64);
    for run in log.entries(0)? {
        let run = run?;
        assert!(run.range.start >= end && run.range.start < run.range.end && run.range.end <= length);
        end = run.range.end;
        runs += 1;
    }
    let lines = log.offset_of_last_lines(3)?;
    let moment = log.offset_at_time(1_000)?;
    assert!(lines <= length.max(log.gap()?.map_or(0, |gap| gap.end)), "a line starts after the end");
    Ok(Told { length, text, runs, lines, moment, last_time: log.last_time()? })
}
