//! What the commands wrote.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// An attempt, as commands know themselves: the id of the process, and a number.
pub(crate) type Attempt = (String, u32);

/// What a process says of itself that stands below the command.
const BELOW: &str = "below";

/// Everything that was written, by attempt.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) traces: BTreeMap<Attempt, Trace>,
    pub(crate) lines: usize,
}

/// What one attempt wrote.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Its process ids: one, unless it was begun twice.
    pub(crate) pids: Vec<u32>,
    /// The socket of the manager under which it began.
    pub(crate) socket: String,
    /// The code that it said it would exit with.
    pub(crate) code: Option<i32>,
    /// How many signs were given until its own last one; what comes after is from processes that it left behind.
    own: usize,
    /// Where it wrote in the journal, and when by the clock on the wall, in microseconds.
    pub(crate) signs: Vec<(usize, u64)>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) attempt: Attempt,
    pub(crate) word: String,
    pub(crate) at: u64,
    pub(crate) pid: u32,
    /// Who was the parent of the process when it began: its supervisor.
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

    /// The latest lines.
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
    /// The last sign of the command itself.
    pub(crate) fn last_own(&self) -> Option<(usize, u64)> {
        self.signs.get(..self.own)?.last().copied()
    }

    /// When it began, by the clock on the wall.
    pub(crate) fn began(&self) -> u64 {
        self.signs.first().map_or(0, |sign| sign.1)
    }
}

/// Every whole line.
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
