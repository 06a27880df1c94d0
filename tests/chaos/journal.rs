//! The journal to which the commands write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// An attempt as its command knows it: process id and attempt number.
pub(crate) type Attempt = (String, u32);

/// First word of a line of a descendant of the command.
const BELOW: &str = "below";

/// All lines of the journal, by attempt.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) traces: BTreeMap<Attempt, Trace>,
    pub(crate) lines: usize,
}

/// The lines of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Process ids of the commands: one, unless the attempt was started twice.
    pub(crate) pids: Vec<u32>,
    /// The socket of the manager that started the attempt.
    pub(crate) socket: String,
    /// The exit code that the command announced.
    pub(crate) code: Option<i32>,
    /// Number of lines up to the last line of the command itself; later lines are from processes that it left behind.
    own: usize,
    /// The line number in the journal and the wall clock time of each line, in microseconds.
    pub(crate) signs: Vec<(usize, u64)>,
}

/// One line of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) attempt: Attempt,
    pub(crate) word: String,
    pub(crate) at: u64,
    pub(crate) pid: u32,
    /// Parent of the command when it started: its shim.
    pub(crate) parent: u32,
    pub(crate) rest: String,
}

impl Journal {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        let mut journal = Self::default();
        for (place, line) in lines(&text).into_iter().enumerate() {
            let trace = journal.traces.entry(line.attempt).or_default();
            trace.signs.push((place, line.at));
            if line.rest != BELOW {
                trace.own = trace.signs.len();
            }
            match line.word.as_str() {
                "start" => {
                    trace.pids.push(line.pid);
                    trace.socket = line.rest;
                }
                "end" => trace.code = line.rest.parse().ok(),
                _ => {}
            }
            journal.lines = place + 1;
        }
        journal
    }

    /// Returns the last lines.
    pub(crate) fn tail(path: &Path, bytes: u64) -> Vec<Line> {
        let Ok(mut file) = File::open(path) else { return Vec::new() };
        let length = file.metadata().map(|known| known.len()).unwrap_or_default();
        let mut text = Vec::new();
        if file.seek(SeekFrom::Start(length.saturating_sub(bytes))).is_err()
            || file.read_to_end(&mut text).is_err()
        {
            return Vec::new();
        }
        lines(&text)
    }
}

impl Trace {
    /// Returns the last line of the command itself.
    pub(crate) fn last_own(&self) -> Option<(usize, u64)> {
        self.signs.get(..self.own)?.last().copied()
    }

    /// Returns the wall clock time of the start.
    pub(crate) fn began(&self) -> u64 {
        self.signs.first().map_or(0, |sign| sign.1)
    }
}

/// Parses every complete line.
fn lines(text: &[u8]) -> Vec<Line> {
    String::from_utf8_lossy(text).lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split(' ').collect();
    let [id, number, word, at, pid, parent, rest] = words.as_slice() else { return None };
    Some(Line {
        attempt: ((*id).to_owned(), number.parse().ok()?),
        word: (*word).to_owned(),
        at: at.parse().ok()?,
        pid: pid.parse().ok()?,
        parent: parent.parse().ok()?,
        rest: (*rest).to_owned(),
    })
}
