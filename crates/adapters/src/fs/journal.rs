//! A journal file. It consists of a first line with the kind of the file, the content lines, and a last line with a
//! checksum.

use super::failure::{corrupt, within};
use super::journal_line::{JournalLine, hexadecimal};
use super::{FORMAT, store_dir};
use crate::fingerprint::Fingerprint;
use longhaul_ports::StoreError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// Kind of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JournalKind {
    /// The changes of the commit with this number.
    Commit(u64),
    /// The whole store after the commit with this number, possibly with parts of later commits.
    Checkpoint(u64),
}

#[derive(Serialize, Deserialize)]
struct JournalHeader {
    longhaul: String,
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<u64>,
}

impl From<JournalKind> for JournalHeader {
    fn from(title: JournalKind) -> Self {
        let (commit, checkpoint) = match title {
            JournalKind::Commit(no) => (Some(no), None),
            JournalKind::Checkpoint(no) => (None, Some(no)),
        };
        Self { longhaul: store_dir::KIND.to_owned(), format: FORMAT, commit, checkpoint }
    }
}

#[derive(Serialize, Deserialize)]
struct JournalEnd {
    end: JournalTrailer,
}

#[derive(Serialize, Deserialize)]
struct JournalTrailer {
    lines: u64,
    /// Fingerprint of all bytes before this line, in hexadecimal digits.
    sum: String,
}

/// Writes the lines of a journal file to an output of any type.
pub(super) struct JournalWriter<W> {
    to: W,
    lines: u64,
    sum: Fingerprint,
}

impl<W: Write> JournalWriter<W> {
    pub(super) fn begin(to: W, title: JournalKind) -> io::Result<Self> {
        let mut writer = Self { to, lines: 0, sum: Fingerprint::new() };
        writer.put(&JournalHeader::from(title))?;
        Ok(writer)
    }

    pub(super) fn line(&mut self, line: &JournalLine) -> io::Result<()> {
        self.lines += 1;
        self.put(line)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        let end = JournalTrailer { lines: self.lines, sum: format!("{:016x}", self.sum.value()) };
        self.put(&JournalEnd { end })?;
        Ok(self.to)
    }

    fn put(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(value)?;
        bytes.push(b'\n');
        self.sum.add(&bytes);
        self.to.write_all(&bytes)
    }
}

/// Reads a file and passes its lines to a function. The caller must discard the lines if the file is incomplete.
pub(super) fn read(
    path: &Path,
    title: impl FnOnce(JournalKind) -> Result<(), StoreError>,
    mut line: impl FnMut(JournalLine) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let file = File::open(path).map_err(|error| super::failure::blocked(path, error))?;
    whole(BufReader::new(file), title, &mut line).map_err(within(path))
}

pub(super) fn whole(
    mut from: impl BufRead,
    title: impl FnOnce(JournalKind) -> Result<(), StoreError>,
    take: &mut impl FnMut(JournalLine) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut sum = Fingerprint::new();
    let mut text = String::new();
    let Some(first) = next(&mut from, &mut text)? else {
        return Err(corrupt("the file is empty"));
    };
    let foreign = || corrupt("the first line is not the first line of a store file");
    let first: JournalHeader = serde_json::from_str(first).map_err(|_| foreign())?;
    if first.longhaul != store_dir::KIND {
        return Err(foreign());
    }
    if first.format > FORMAT {
        return Err(StoreError::Format { found: first.format, supported: FORMAT });
    }
    match (first.commit, first.checkpoint) {
        (Some(no), None) => title(JournalKind::Commit(no))?,
        (None, Some(no)) => title(JournalKind::Checkpoint(no))?,
        (Some(_), Some(_)) | (None, None) => return Err(foreign()),
    }
    sum.add(text.as_bytes());
    let mut lines = 0_u64;
    loop {
        let Some(found) = next(&mut from, &mut text)? else {
            return Err(corrupt(format!("the file ends after {lines} lines, without its last line")));
        };
        if found.starts_with("{\"end\":") {
            let last: JournalEnd =
                serde_json::from_str(found).map_err(|_| corrupt("the last line is unreadable"))?;
            if last.end.lines != lines || hexadecimal(&last.end.sum)? != sum.value() {
                return Err(corrupt("the checksum does not match the lines"));
            }
            return match next(&mut from, &mut text)? {
                None => Ok(()),
                Some(_) => Err(corrupt("the file continues after its last line")),
            };
        }
        lines += 1;
        // The parser's message may quote a stored value, so it is not used.
        let line =
            serde_json::from_str(found).map_err(|_| corrupt(format!("line {} is unreadable", lines + 1)))?;
        take(line)?;
        sum.add(text.as_bytes());
    }
}

/// Reads the next line without its line break. Returns `None` at the end of the file. A line without a line break is
/// incomplete.
fn next<'a>(from: &mut impl BufRead, text: &'a mut String) -> Result<Option<&'a str>, StoreError> {
    text.clear();
    match from.read_line(text) {
        Ok(0) => Ok(None),
        Ok(_) => match text.strip_suffix('\n') {
            Some(line) => Ok(Some(line)),
            None => Err(corrupt("the last line is incomplete")),
        },
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(corrupt("the file contains bytes that are not UTF-8 text"))
        }
        Err(error) => Err(StoreError::Unavailable { source: Box::new(error) }),
    }
}
