//! The journal: a file in which the commands of a run record what they do.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// An attempt as its command identifies it: the process id and the attempt number.
pub(crate) type Attempt = (String, u32);

/// Last word of a journal line that was written by a descendant of the command.
const BELOW: &str = "below";

/// All lines of the journal, grouped by attempt.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) traces: BTreeMap<Attempt, Trace>,
    pub(crate) lines: usize,
}

/// The journal lines of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Pids of the commands that ran this attempt. There is more than one only if the attempt was wrongly started
    /// twice.
    pub(crate) pids: Vec<u32>,
    /// The socket of the manager that started the attempt.
    pub(crate) socket: String,
    /// The exit code that the command wrote to the journal before it exited.
    pub(crate) code: Option<i32>,
    /// Number of lines up to the last line that the command itself wrote. Later lines come from processes that were
    /// still running when the command exited.
    own: usize,
    /// For each line, its number in the journal and its wall-clock time in microseconds.
    pub(crate) signs: Vec<(usize, u64)>,
}

/// One line of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) attempt: Attempt,
    pub(crate) word: String,
    pub(crate) at: u64,
    pub(crate) pid: u32,
    /// Pid of the parent that the command had when it started, which is its shim.
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

    /// Returns the lines in the last `bytes` bytes of the journal.
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
    /// Returns the last line that the command itself wrote.
    pub(crate) fn last_own(&self) -> Option<(usize, u64)> {
        self.signs.get(..self.own)?.last().copied()
    }

    /// Returns the wall-clock time at which the attempt started, in microseconds.
    pub(crate) fn began(&self) -> u64 {
        self.signs.first().map_or(0, |sign| sign.1)
    }
}

/// Parses every complete line of the journal.
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
