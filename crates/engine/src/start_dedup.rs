//! Registry of the attempts that this node has started, so that no attempt is started twice.

use longhaul_domain::{AttemptNo, Process, ProcessId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of finished attempts to remember. For an even older record, the attempt directory prevents a second start.
const MAX_FINISHED_ATTEMPTS: usize = 8_192;

/// Identity of one start. It includes a counter, because an attempt that never ran is started again with the same
/// number.
type StartOnce = (ProcessId, AttemptNo, u32);

/// The attempts that this node has started.
///
/// A record may be read twice or arrive late. Without this registry, an outdated record could start an attempt again
/// after its first start has failed and its end was recorded. The command would then run without a record.
#[derive(Debug, Default)]
pub(crate) struct StartDedup {
    known: Mutex<StartHistory>,
}

#[derive(Debug, Default)]
struct StartHistory {
    begun: BTreeSet<StartOnce>,
    over: VecDeque<StartOnce>,
}

impl StartDedup {
    /// Registers a start. Returns false if the attempt was started before.
    pub(crate) fn begin(&self, process: &Process) -> bool {
        self.known().begun.insert(start_of(process))
    }

    /// Returns true if the attempt was started and the start was not postponed.
    pub(crate) fn is_begun(&self, process: &Process) -> bool {
        self.known().begun.contains(&start_of(process))
    }

    /// Removes a start that was postponed, so that it can be tried again.
    pub(crate) fn failed(&self, process: &Process) {
        self.known().begun.remove(&start_of(process));
    }

    /// Records that the end of an attempt is durable. The attempt is remembered until [`MAX_FINISHED_ATTEMPTS`] other
    /// attempts have ended after it.
    pub(crate) fn over(&self, id: ProcessId, attempt: AttemptNo) {
        let mut known = self.known();
        let of_it = (id, attempt, u32::MIN)..=(id, attempt, u32::MAX);
        let over: Vec<StartOnce> = known.begun.range(of_it).copied().collect();
        known.over.extend(over);
        while known.over.len() > MAX_FINISHED_ATTEMPTS {
            if let Some(oldest) = known.over.pop_front() {
                known.begun.remove(&oldest);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, StartHistory> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn start_of(process: &Process) -> StartOnce {
    (process.id, process.attempt, process.never_ran)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};

    #[test]
    fn attempt_starts_once_unless_its_start_was_postponed() {
        let (starts, process) = (StartDedup::default(), waiting(1, command()).process);
        assert!(!starts.is_begun(&process));
        assert!(starts.begin(&process));
        assert!(starts.is_begun(&process) && !starts.begin(&process));
        starts.failed(&process);
        assert!(!starts.is_begun(&process) && starts.begin(&process));
    }

    #[test]
    fn ended_attempt_is_remembered_for_as_many_later_ones_as_promised() {
        let (starts, first) = (StartDedup::default(), waiting(1, command()).process);
        let ends = |number: usize| {
            let attempt = AttemptNo(u32::try_from(number).unwrap());
            starts.begin(&Process { attempt, ..first.clone() });
            starts.over(first.id, attempt);
        };
        (0..MAX_FINISHED_ATTEMPTS).for_each(ends);
        assert!(starts.is_begun(&first));
        ends(MAX_FINISHED_ATTEMPTS);
        assert!(!starts.is_begun(&first));
        assert!(starts.is_begun(&Process { attempt: AttemptNo(1), ..first.clone() }));
    }
}
