//! Which limit ended a program.

use std::fmt;

use crate::{
    exit::ProgramEnd,
    launch::{FILE_SIZE, PROCESSOR_TIME, ResourceLimit},
};

/// How many milliseconds of a second of its limit must be seen used of what was signalled, and of what was killed, which
/// others do more often.
///
/// The kernel counts whole ticks for the limit and the time that really passed for what it tells. Where another machine
/// takes its share of the processor, the latter is less by a tenth and more.
const SIGNALLED: u64 = 500;
const KILLED: u64 = 750;
/// What a shell adds to the number of the signal that ended its last command.
const SHELL: i32 = 128;

/// A limit that ended a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExceededLimit {
    /// Its processor time was over.
    Cpu,
    /// The kernel killed it for want of memory: its own limit, or the machine's.
    Memory,
    /// It wrote a file that was larger than allowed.
    FileSize,
}

const WORDS: [(ExceededLimit, &str); 3] =
    [(ExceededLimit::Cpu, "cpu"), (ExceededLimit::Memory, "memory"), (ExceededLimit::FileSize, "file_size")];

impl ExceededLimit {
    /// Returns the word used in the exit record.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(limit, _)| *limit == self).map_or("cpu", |(_, word)| word)
    }

    /// Finds the limit for a word; there is none for a word of a later version.
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, each)| *each == word).map(|(limit, _)| *limit)
    }
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// What is known about an end that a limit may have brought about.
#[derive(Debug, Clone, Copy)]
pub struct EndEvidence<'a> {
    /// How it ended.
    pub ending: ProgramEnd,
    /// The processor time in milliseconds that it used itself if a signal ended it, else with the children that it
    /// waited for; `None` where nobody knows.
    pub cpu_ms: Option<u64>,
    /// Its limits.
    pub limits: &'a [ResourceLimit],
    /// The kernel says that it killed for want of memory.
    pub out_of_memory: bool,
    /// Whoever supervises it has killed it.
    pub killed: bool,
}

impl EndEvidence<'_> {
    /// Names the limit that ended it; `None` where that is not sure.
    ///
    /// A code by which a shell tells the signal that ended its last command counts like that signal. A program that is
    /// refused memory, a file or a process and leaves with a code of its own was not ended by a limit.
    pub fn exceeded(&self) -> Option<ExceededLimit> {
        let (signal, is_told_by_shell) = match self.ending {
            ProgramEnd::Signaled { signal, .. } => (signal, false),
            ProgramEnd::Exited { code } => (code.checked_sub(SHELL)?, true),
            ProgramEnd::SpawnFailed { .. } | ProgramEnd::NeverRan => return None,
        };
        match signal {
            // Nothing else sends this.
            libc::SIGXFSZ if !is_told_by_shell || self.limit(FILE_SIZE).is_some() => {
                Some(ExceededLimit::FileSize)
            }
            libc::SIGXCPU => {
                let limit = self.limit(PROCESSOR_TIME)?;
                self.used(limit.soft, SIGNALLED).unwrap_or(!is_told_by_shell).then_some(ExceededLimit::Cpu)
            }
            libc::SIGKILL if self.killed => None,
            libc::SIGKILL if self.out_of_memory => Some(ExceededLimit::Memory),
            libc::SIGKILL => {
                let limit = self.limit(PROCESSOR_TIME)?;
                self.used(limit.hard, KILLED)?.then_some(ExceededLimit::Cpu)
            }
            _ => None,
        }
    }

    fn used(&self, seconds: u64, millis_of_each: u64) -> Option<bool> {
        self.cpu_ms.map(|used| used >= seconds.saturating_mul(millis_of_each))
    }

    fn limit(&self, resource: u32) -> Option<&ResourceLimit> {
        self.limits.iter().find(|each| each.resource == resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: [ResourceLimit; 2] = [
        ResourceLimit { resource: PROCESSOR_TIME, soft: 1, hard: 6 },
        ResourceLimit { resource: FILE_SIZE, soft: 10, hard: 10 },
    ];

    fn exceeded(ending: ProgramEnd, cpu_ms: Option<u64>) -> Option<ExceededLimit> {
        EndEvidence { ending, cpu_ms, limits: &LIMITS, out_of_memory: false, killed: false }.exceeded()
    }

    fn by(signal: i32) -> ProgramEnd {
        ProgramEnd::Signaled { signal, core: false }
    }

    fn code(code: i32) -> ProgramEnd {
        ProgramEnd::Exited { code }
    }

    #[test]
    fn processor_time_ends_what_used_it_up() {
        let cpu = Some(ExceededLimit::Cpu);
        assert_eq!(exceeded(by(libc::SIGXCPU), Some(880)), cpu);
        assert_eq!(exceeded(by(libc::SIGXCPU), None), cpu);
        assert_eq!(exceeded(code(128 + libc::SIGXCPU), Some(1_200)), cpu);
        assert_eq!(exceeded(by(libc::SIGKILL), Some(6_000)), cpu);
    }

    #[test]
    fn end_that_only_looks_like_a_limit_is_none() {
        for (ending, cpu_ms) in [
            (by(libc::SIGXCPU), Some(400)),
            (code(128 + libc::SIGXCPU), None),
            (by(libc::SIGKILL), Some(4_400)),
            (by(libc::SIGKILL), None),
            (by(libc::SIGTERM), Some(9_000)),
            (code(0), Some(9_000)),
            (code(1), Some(9_000)),
            (ProgramEnd::NeverRan, None),
        ] {
            assert_eq!(exceeded(ending, cpu_ms), None, "{ending:?} {cpu_ms:?}");
        }
        let without = |ending| EndEvidence {
            ending,
            cpu_ms: Some(9_000),
            limits: &[],
            out_of_memory: false,
            killed: false,
        };
        for ending in [by(libc::SIGXCPU), by(libc::SIGKILL), code(128 + libc::SIGXFSZ)] {
            assert_eq!(without(ending).exceeded(), None, "{ending:?}");
        }
    }

    #[test]
    fn file_size_ends_by_its_own_signal() {
        assert_eq!(exceeded(by(libc::SIGXFSZ), None), Some(ExceededLimit::FileSize));
        assert_eq!(exceeded(code(128 + libc::SIGXFSZ), None), Some(ExceededLimit::FileSize));
    }

    #[test]
    fn memory_is_named_only_when_the_kernel_says_so_and_nobody_here_killed() {
        let end = |out_of_memory, killed| {
            let ending = by(libc::SIGKILL);
            EndEvidence { ending, cpu_ms: Some(0), limits: &LIMITS, out_of_memory, killed }.exceeded()
        };
        assert_eq!(end(true, false), Some(ExceededLimit::Memory));
        assert_eq!(end(false, false), None);
        assert_eq!(end(true, true), None);
    }

    #[test]
    fn every_limit_comes_back_from_its_word() {
        for (limit, word) in WORDS {
            assert_eq!(ExceededLimit::from_word(word), Some(limit));
        }
        assert_eq!(ExceededLimit::from_word("gravity"), None);
    }
}
