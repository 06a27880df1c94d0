//! Determines which resource limit ended a program.

use std::fmt;

use crate::{
    exit::ProgramEnd,
    launch::{FILE_SIZE, PROCESSOR_TIME, ResourceLimit},
};

/// Processor time in milliseconds, for each second of the limit, that a program must have used before the limit counts
/// as the cause of its end. `SIGNALLED` applies to a program that SIGXCPU ended. `KILLED` applies to a program that
/// SIGKILL ended, and is higher, because SIGKILL has many other causes.
///
/// Both values are below 1000, because the kernel checks the limit in whole clock ticks, but reports the time that
/// really passed. On a virtual machine that shares its processor, the reported time is lower by a tenth or more.
const SIGNALLED: u64 = 500;
const KILLED: u64 = 750;
/// Number that a shell adds to a signal number to form its exit code, when that signal ended its last command.
const SHELL: i32 = 128;

/// Resource limit that ended a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExceededLimit {
    /// The program used up the processor time that its limit allows.
    Cpu,
    /// The kernel killed the program because memory was exhausted: the memory limit of the program was reached, or the
    /// machine had no free memory.
    Memory,
    /// The program wrote a file that exceeded the size limit.
    FileSize,
}

const WORDS: [(ExceededLimit, &str); 3] =
    [(ExceededLimit::Cpu, "cpu"), (ExceededLimit::Memory, "memory"), (ExceededLimit::FileSize, "file_size")];

impl ExceededLimit {
    /// Returns the name of the limit that the exit record uses.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(limit, _)| *limit == self).map_or("cpu", |(_, word)| word)
    }

    /// Returns the limit with this name, or `None` if only a later version knows the name.
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, each)| *each == word).map(|(limit, _)| *limit)
    }
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// Facts about the end of a program, from which the limit that ended it is determined.
#[derive(Debug, Clone, Copy)]
pub struct EndEvidence<'a> {
    /// How the program ended.
    pub ending: ProgramEnd,
    /// Used processor time in milliseconds, or `None` if it is unknown. If a signal ended the program, this is the time
    /// of the program alone. If the program exited, it includes the children that the program waited for.
    pub cpu_ms: Option<u64>,
    /// Resource limits that were set for the program.
    pub limits: &'a [ResourceLimit],
    /// True if the kernel reported an out-of-memory kill.
    pub out_of_memory: bool,
    /// True if the shim killed the program.
    pub killed: bool,
}

impl EndEvidence<'_> {
    /// Returns the limit that ended the program, or `None` if no limit is proven to be the cause.
    ///
    /// A shell exits with 128 plus the number of the signal that ended its last command. Such an exit code counts like
    /// the signal. A program that is denied memory, a file or a process, and then exits with an exit code of its own,
    /// was not ended by a limit.
    pub fn exceeded(&self) -> Option<ExceededLimit> {
        let (signal, is_told_by_shell) = match self.ending {
            ProgramEnd::Signaled { signal, .. } => (signal, false),
            ProgramEnd::Exited { code } => (code.checked_sub(SHELL)?, true),
            ProgramEnd::SpawnFailed { .. } | ProgramEnd::NeverRan => return None,
        };
        match signal {
            // SIGXFSZ has no cause other than the file-size limit.
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
    fn cpu_limit_counts_as_the_cause_only_if_it_was_used_up() {
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
    fn memory_counts_as_the_cause_only_if_the_kernel_killed_the_command() {
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
