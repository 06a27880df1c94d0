//! Which attempts were told to start, so that none is told twice.

use longhaul_domain::{AttemptNo, Process, ProcessId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many attempts that are over are remembered. A record that is older than all of them meets what its attempt left.
const MAX_FINISHED_ATTEMPTS: usize = 8_192;

/// One start: an attempt that turned out never to have run is started once more under the same number.
type StartOnce = (ProcessId, AttemptNo, u32);

/// The starts of this node.
///
/// A record may be read twice, or told late: without this a second start of it could come after the first has failed
/// and its end is on record, and something would run of which no record says so.
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
    /// Whether this start is the first of its kind, and may go ahead.
    pub(crate) fn begin(&self, process: &Process) -> bool {
        self.known().begun.insert(start_of(process))
    }

    /// Whether this start went ahead, and was not put off.
    pub(crate) fn is_begun(&self, process: &Process) -> bool {
        self.known().begun.contains(&start_of(process))
    }

    /// A start that came to nothing for now may be tried again.
    pub(crate) fn failed(&self, process: &Process) {
        self.known().begun.remove(&start_of(process));
    }

    /// An attempt is over, and its end durable: it is remembered for a while.
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
