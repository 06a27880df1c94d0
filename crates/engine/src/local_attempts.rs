//! The attempts on this machine, as far as this engine has begun or found them.

use crate::inbox::last_of;
use longhaul_domain::{AttemptNo, Interruption, Observation, Process, ProcessId, StopCause};
use longhaul_ports::AttemptKey;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The attempts on this machine, until their ends are durable: whatever a record says, they are here.
#[derive(Debug, Default)]
pub(crate) struct LocalAttempts {
    here: Mutex<BTreeMap<AttemptKey, LocalAttempt>>,
    /// What outlived an earlier life of this engine was looked for.
    complete: AtomicBool,
}

#[derive(Debug)]
struct LocalAttempt {
    /// Its record when it was begun or found; none if that was let go.
    process: Option<Process>,
    course: AttemptProgress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttemptProgress {
    /// It was begun, or found alive.
    Lives,
    /// It is being stopped, because it may run elsewhere.
    GivenUp,
    /// Its end was seen.
    Ended,
}

impl LocalAttempts {
    /// The attempt of a record is begun here, or was found alive.
    pub(crate) fn began(&self, process: &Process, key: AttemptKey) {
        let fresh = || LocalAttempt { process: Some(process.clone()), course: AttemptProgress::Lives };
        self.here().entry(key).or_insert_with(fresh);
    }

    /// Everything that is not being stopped and has not ended.
    pub(crate) fn living(&self) -> Vec<(AttemptKey, Process)> {
        let here = self.here();
        let living = here.iter().filter(|(_, copy)| copy.course == AttemptProgress::Lives);
        living.filter_map(|(key, copy)| Some((*key, copy.process.clone()?))).collect()
    }

    /// Everything that outlived an earlier life of this engine is in here from now on.
    pub(crate) fn are_known(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_known(&self, key: AttemptKey) -> bool {
        self.here().contains_key(&key)
    }

    /// Whether an older attempt of a process may not be over here.
    pub(crate) fn may_be_left_before(&self, key: AttemptKey) -> bool {
        if key.attempt <= AttemptNo(1) {
            return false;
        }
        if !self.complete.load(Ordering::Relaxed) {
            return true;
        }
        let first = AttemptKey { attempt: AttemptNo(0), ..key };
        self.here().range(first..key).any(|(_, copy)| copy.course != AttemptProgress::Ended)
    }

    /// Notes that it is being stopped; false if it is so already, or has ended.
    pub(crate) fn give_up(&self, key: AttemptKey) -> bool {
        let mut here = self.here();
        let copy = here.entry(key).or_insert(LocalAttempt { process: None, course: AttemptProgress::Lives });
        let is_new = copy.course == AttemptProgress::Lives;
        if is_new {
            copy.course = AttemptProgress::GivenUp;
        }
        is_new
    }

    pub(crate) fn is_given_up(&self, key: AttemptKey) -> bool {
        self.here().get(&key).is_some_and(|copy| copy.course == AttemptProgress::GivenUp)
    }

    /// Whether its end was not seen yet.
    pub(crate) fn is_alive(&self, key: AttemptKey) -> bool {
        self.here().get(&key).is_some_and(|copy| copy.course != AttemptProgress::Ended)
    }

    /// Its end is durable, or there never was anything of it here.
    pub(crate) fn is_over(&self, key: AttemptKey) {
        self.here().remove(&key);
    }

    /// Takes in what was seen, and answers what it counts as.
    pub(crate) fn seen(&self, id: ProcessId, seen: Observation) -> Observation {
        let Some(attempt) = last_of(&seen) else { return seen };
        if let Some(copy) = self.here().get_mut(&AttemptKey { id, attempt }) {
            copy.course = AttemptProgress::Ended;
        }
        counted(seen)
    }

    fn here(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, LocalAttempt>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an attempt is stopped that may run elsewhere: nothing else is stopped for it.
pub(crate) const GIVEN_UP: StopCause = StopCause::Limit;

/// The end of an attempt that was given up is the loss of its node. What ended by itself ended so.
pub(crate) fn counted(seen: Observation) -> Observation {
    match seen {
        Observation::Exited { attempt, exit } if exit.stopped == Some(GIVEN_UP) => {
            Observation::SupervisorLost { attempt, why: Interruption::NodeGone }
        }
        seen @ (Observation::Exited { .. }
        | Observation::Claimed { .. }
        | Observation::OwnerLost
        | Observation::ActionRequested(_)
        | Observation::Spawned { .. }
        | Observation::SpawnFailed { .. }
        | Observation::NeverRan { .. }
        | Observation::AlreadyRan { .. }
        | Observation::SupervisorLost { .. }
        | Observation::NodeLost { .. }
        | Observation::HeartbeatMissed { .. }
        | Observation::DescendantsEnded
        | Observation::PauseFailed { .. }
        | Observation::ConditionObserved { .. }
        | Observation::OutputMatched { .. }) => seen,
    }
}
