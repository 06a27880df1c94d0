//! The exit record: how an attempt ended, stored in the file `exit`.

use crate::{
    limit::ExceededLimit,
    reason::StopReason,
    record::{RecordError, RecordLines, RecordWriter},
};

const FORM: &str = "longhaul-exit";

/// How and when an attempt ended, with its causes and statistics.
///
/// The ending never changes. The file may be replaced one time, by a record that is `settled`. The settled record
/// differs from the first one only in `swept`, `sweeping`, `unverified`, `output_open` and the three counts of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRecord {
    /// How the program ended.
    pub ending: ProgramEnd,
    /// Time when the program ended, in milliseconds of steady time.
    pub ended_at: u64,
    /// True if the exact time of the end is unknown: the program ended at `ended_at` or earlier.
    pub undated: bool,
    /// Wall-clock time when the program ended, in milliseconds since 1970; for display only.
    pub wall: i64,
    /// Run time of the program in milliseconds, without suspended and paused time.
    pub run_ms: u64,
    /// Reason why the program was stopped; `None` if it was not stopped.
    pub stopped: Option<StopReason>,
    /// Number of the last signal that was sent to stop the process tree; `None` if no signal was sent.
    pub escalated: Option<i32>,
    /// Number of processes that had to be killed, without the program itself.
    pub swept: u64,
    /// Number of descendants that were still alive when the program ended by itself; 0 if the program was stopped.
    pub leftovers: u64,
    /// True if a process still held an output pipe open when the shim stopped reading output.
    pub output_open: bool,
    /// Number of output bytes that were stored.
    pub output_bytes: u64,
    /// Number of output bytes that could not be stored.
    pub dropped_bytes: u64,
    /// Number of failed attempts to write output to disk.
    pub write_errors: u64,
    /// User-mode processor time of the program and of the children that it waited for, in milliseconds.
    pub utime_ms: u64,
    /// Kernel-mode processor time of the program and of the children that it waited for, in milliseconds.
    pub stime_ms: u64,
    /// Largest resident set size of the program or of a child that it waited for, in kilobytes.
    pub max_rss_kb: u64,
    /// Resource limit that ended the program; `None` if no limit is proven to be the cause.
    pub limit: Option<ExceededLimit>,
    /// True if the program was paused when it ended.
    pub paused: bool,
    /// True while the shim is stopping leftovers. Processes of the tree may then still be alive.
    pub sweeping: bool,
    /// True if the shim could not verify that the process tree is empty, so that one of its processes may be alive.
    pub unverified: bool,
    /// True if the record is final: the shim has no descendants left to kill, and has stopped reading output.
    pub settled: bool,
}

/// How the program of an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramEnd {
    /// The program exited with a code.
    Exited {
        /// Exit code, 0 to 255.
        code: i32,
    },
    /// A signal ended the program.
    Signaled {
        /// Number of the signal that ended the program.
        signal: i32,
        /// True if the kernel wrote a core file.
        core: bool,
    },
    /// The program could not be started, so none of its instructions ran.
    SpawnFailed {
        /// Step of the start that failed.
        stage: SpawnStage,
        /// Error number of the operating system.
        errno: i32,
    },
    /// The gate that the child waits at never opened, so no instruction of the program ran.
    NeverRan,
}

/// Step at which the start of a program failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnStage {
    /// Creation of the child process.
    Fork,
    /// Setting of a resource limit.
    Limit,
    /// Change to the working directory.
    Directory,
    /// Opening of the standard input.
    Stdin,
    /// Connection of the standard output and the standard error.
    Output,
    /// Execution of the program.
    Exec,
    /// A start step that this version does not know.
    Other,
}

const STAGES: [(SpawnStage, &str); 7] = [
    (SpawnStage::Other, "other"),
    (SpawnStage::Fork, "fork"),
    (SpawnStage::Limit, "limit"),
    (SpawnStage::Directory, "directory"),
    (SpawnStage::Stdin, "stdin"),
    (SpawnStage::Output, "output"),
    (SpawnStage::Exec, "exec"),
];

impl SpawnStage {
    /// Returns the name of the start step that the exit record uses.
    pub fn word(self) -> &'static str {
        STAGES.iter().find(|(stage, _)| *stage == self).map_or("other", |(_, word)| word)
    }

    /// Returns the start step with this name, or `Other` if only a later version knows the name.
    pub fn from_word(word: &str) -> Self {
        STAGES.iter().find(|(_, each)| *each == word).map_or(Self::Other, |(stage, _)| *stage)
    }

    /// Returns the index of the start step in the table `STAGES`. The child uses this index to report the step that
    /// failed.
    pub(crate) fn code(self) -> u8 {
        let place = STAGES.iter().position(|(stage, _)| *stage == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(0)
    }

    pub(crate) fn from_code(code: u8) -> Self {
        STAGES.get(usize::from(code)).map_or(Self::Other, |(stage, _)| *stage)
    }
}

impl ExitRecord {
    /// Creates the exit record of an attempt whose program never ran, because its gate never opened.
    pub fn never_ran(ended_at: u64, wall: i64) -> Self {
        Self {
            ending: ProgramEnd::NeverRan,
            ended_at,
            undated: false,
            wall,
            run_ms: 0,
            stopped: None,
            escalated: None,
            swept: 0,
            leftovers: 0,
            output_open: false,
            output_bytes: 0,
            dropped_bytes: 0,
            write_errors: 0,
            utime_ms: 0,
            stime_ms: 0,
            max_rss_kb: 0,
            limit: None,
            paused: false,
            sweeping: false,
            unverified: false,
            settled: true,
        }
    }

    /// Encodes the exit record as the content of its file.
    pub fn encode(&self) -> Vec<u8> {
        let mut record = RecordWriter::new(FORM);
        match self.ending {
            ProgramEnd::Exited { code } => record.text("kind", "exited").text("code", code),
            ProgramEnd::Signaled { signal, core } => {
                record.text("kind", "signaled").text("signal", signal).text("core", u8::from(core))
            }
            ProgramEnd::SpawnFailed { stage, errno } => {
                record.text("kind", "spawn_failed").text("stage", stage.word()).text("errno", errno)
            }
            ProgramEnd::NeverRan => record.text("kind", "never_ran"),
        };
        record
            .text("ended_at", self.ended_at)
            .some("undated", self.undated.then_some(1))
            .text("wall", self.wall)
            .text("run_ms", self.run_ms)
            .some("stopped", self.stopped)
            .some("escalated", self.escalated)
            .text("swept", self.swept)
            .text("leftovers", self.leftovers)
            .text("pipe_held", u8::from(self.output_open))
            .text("output_bytes", self.output_bytes)
            .text("dropped_bytes", self.dropped_bytes)
            .text("write_errors", self.write_errors)
            .text("utime_ms", self.utime_ms)
            .text("stime_ms", self.stime_ms)
            .text("max_rss_kb", self.max_rss_kb)
            .some("limit", self.limit)
            .text("paused", u8::from(self.paused))
            .some("sweeping", self.sweeping.then_some(1))
            .some("unverified", self.unverified.then_some(1))
            .text("settled", u8::from(self.settled))
            .finish()
    }

    /// Decodes the content of an exit record file.
    ///
    /// # Errors
    /// Returns [`RecordError`] if the content is truncated, changed or too long.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let lines = RecordLines::read(FORM, bytes)?;
        Ok(Self {
            ending: decode_ending(&lines)?,
            ended_at: lines.needed("ended_at")?,
            undated: lines.flag("undated")?,
            wall: lines.needed("wall")?,
            run_ms: lines.number("run_ms")?,
            stopped: lines.text("stopped")?.map(StopReason::from_word),
            escalated: lines.parsed("escalated")?,
            swept: lines.number("swept")?,
            leftovers: lines.number("leftovers")?,
            output_open: lines.flag("pipe_held")?,
            output_bytes: lines.number("output_bytes")?,
            dropped_bytes: lines.number("dropped_bytes")?,
            write_errors: lines.number("write_errors")?,
            utime_ms: lines.number("utime_ms")?,
            stime_ms: lines.number("stime_ms")?,
            max_rss_kb: lines.number("max_rss_kb")?,
            // Ignore a limit that only a later version knows; the rest of the record is valid without it.
            limit: lines.text("limit")?.and_then(ExceededLimit::from_word),
            paused: lines.flag("paused")?,
            sweeping: lines.flag("sweeping")?,
            unverified: lines.flag("unverified")?,
            settled: lines.flag("settled")?,
        })
    }
}

fn decode_ending(lines: &RecordLines) -> Result<ProgramEnd, RecordError> {
    let kind: String = lines.needed("kind")?;
    match kind.as_str() {
        "exited" => Ok(ProgramEnd::Exited { code: lines.needed("code")? }),
        "signaled" => Ok(ProgramEnd::Signaled { signal: lines.needed("signal")?, core: lines.flag("core")? }),
        "spawn_failed" => {
            let stage: String = lines.needed("stage")?;
            Ok(ProgramEnd::SpawnFailed {
                stage: SpawnStage::from_word(&stage),
                errno: lines.needed("errno")?,
            })
        }
        "never_ran" => Ok(ProgramEnd::NeverRan),
        _ => Err(RecordError::BadValue { key: "kind" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<ExitRecord> {
        let endings = [
            ProgramEnd::Exited { code: 37 },
            ProgramEnd::Signaled { signal: 11, core: true },
            ProgramEnd::SpawnFailed { stage: SpawnStage::Directory, errno: 2 },
            ProgramEnd::NeverRan,
        ];
        let with = |ending| ExitRecord {
            ending,
            stopped: Some(StopReason::Timeout),
            escalated: Some(9),
            swept: 4,
            output_open: true,
            limit: Some(ExceededLimit::FileSize),
            output_bytes: u64::MAX,
            undated: true,
            sweeping: true,
            unverified: true,
            settled: false,
            ..ExitRecord::never_ran(5, -6)
        };
        endings.into_iter().map(with).chain([ExitRecord::never_ran(0, 0)]).collect()
    }

    #[test]
    fn every_ending_comes_back_as_it_was_written() {
        for record in samples() {
            assert_eq!(ExitRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn exit_record_cut_at_any_byte_is_refused() {
        for record in samples() {
            let bytes = record.encode();
            for cut in 0..bytes.len() {
                assert!(ExitRecord::decode(&bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn unknown_key_is_ignored() {
        let mut record = RecordWriter::new(FORM);
        let bytes = record.text("kind", "never_ran").text("moon", "full").text("ended_at", 5).text("wall", 6);
        assert_eq!(ExitRecord::decode(&bytes.finish()).map(|record| record.ending), Ok(ProgramEnd::NeverRan));
    }

    #[test]
    fn limit_of_a_later_version_and_none_of_an_earlier_one_are_no_error() {
        for limit in [None, Some("gravity")] {
            let mut record = RecordWriter::new(FORM);
            record.text("kind", "exited").text("code", 1).text("ended_at", 5).text("wall", 6);
            let decoded = ExitRecord::decode(&record.some("limit", limit).finish()).unwrap();
            assert_eq!((decoded.ending, decoded.limit), (ProgramEnd::Exited { code: 1 }, None));
        }
    }

    #[test]
    fn exit_without_a_code_is_refused_and_never_a_zero() {
        let mut record = RecordWriter::new(FORM);
        let bytes = record.text("kind", "exited").text("ended_at", 5).text("wall", 6).finish();
        assert_eq!(ExitRecord::decode(&bytes), Err(RecordError::Missing { key: "code" }));
    }

    #[test]
    fn every_stage_comes_back_from_its_word_and_its_code() {
        for (stage, word) in STAGES {
            assert_eq!(SpawnStage::from_word(word), stage);
            assert_eq!(SpawnStage::from_code(stage.code()), stage);
        }
    }
}
