//! The attempts on this machine that this engine has started or found.

use crate::inbox::last_of;
use longhaul_domain::{AttemptNo, Interruption, Observation, Process, ProcessId, StopCause};
use longhaul_ports::AttemptKey;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The attempts on this machine, regardless of the records of their processes. An attempt is removed when its end is
/// durable.
#[derive(Debug, Default)]
pub(crate) struct LocalAttempts {
    here: Mutex<BTreeMap<AttemptKey, LocalAttempt>>,
    /// True as soon as the attempts of the previous run have been found.
    complete: AtomicBool,
}

#[derive(Debug)]
struct LocalAttempt {
    /// The process at the time when the attempt was started or found; `None` if its record was pruned.
    process: Option<Process>,
    course: AttemptProgress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttemptProgress {
    /// The attempt was started on this machine, or was found alive.
    Lives,
    /// The attempt is being stopped, because the process may run on another node.
    GivenUp,
    /// The end of the attempt was observed.
    Ended,
}

impl LocalAttempts {
    /// Adds an attempt that is being started on this machine or was found alive.
    pub(crate) fn began(&self, process: &Process, key: AttemptKey) {
        let fresh = || LocalAttempt { process: Some(process.clone()), course: AttemptProgress::Lives };
        self.here().entry(key).or_insert_with(fresh);
    }

    /// Returns all attempts that are not being stopped and have not ended.
    pub(crate) fn running(&self) -> Vec<(AttemptKey, Process)> {
        let here = self.here();
        let living = here.iter().filter(|(_, copy)| copy.course == AttemptProgress::Lives);
        living.filter_map(|(key, copy)| Some((*key, copy.process.clone()?))).collect()
    }

    /// Records that all attempts of the previous run have been added.
    pub(crate) fn are_known(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_known(&self, key: AttemptKey) -> bool {
        self.here().contains_key(&key)
    }

    /// Returns true if an earlier attempt of the process may still be running on this machine.
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

    /// Marks an attempt as being stopped. Returns false if it is being stopped already, or has ended.
    pub(crate) fn mark_stopping(&self, key: AttemptKey) -> bool {
        let mut here = self.here();
        let copy = here.entry(key).or_insert(LocalAttempt { process: None, course: AttemptProgress::Lives });
        let is_new = copy.course == AttemptProgress::Lives;
        if is_new {
            copy.course = AttemptProgress::GivenUp;
        }
        is_new
    }

    pub(crate) fn is_stopping(&self, key: AttemptKey) -> bool {
        self.here().get(&key).is_some_and(|copy| copy.course == AttemptProgress::GivenUp)
    }

    /// Returns true if the attempt is known and its end was not observed yet.
    pub(crate) fn is_alive(&self, key: AttemptKey) -> bool {
        self.here().get(&key).is_some_and(|copy| copy.course != AttemptProgress::Ended)
    }

    /// Removes an attempt because its end is durable, or because it never ran on this machine.
    pub(crate) fn is_over(&self, key: AttemptKey) {
        self.here().remove(&key);
    }

    /// Records that an attempt has ended. Returns the observation in the form in which it is to be processed (see
    /// [`counted`]).
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

/// Stop cause of a local attempt whose process may run on another node. No other stop has this cause.
pub(crate) const GIVEN_UP: StopCause = StopCause::Limit;

/// Converts the exit of an attempt that was stopped with [`GIVEN_UP`] into the loss of its node. Other observations
/// are returned unchanged.
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
        | Observation::OutputMatched { .. }
        | Observation::OutcomeRead { .. }
        | Observation::TestsCounted { .. }
        | Observation::TestsReported { .. }
        | Observation::ProgressObserved { .. }) => seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};
    use longhaul_domain::{Exit, ExitStatus, Timestamp};

    fn key(attempt: u32) -> AttemptKey {
        AttemptKey { id: waiting(1, command()).process.id, attempt: AttemptNo(attempt) }
    }

    fn lost(attempt: u32) -> Observation {
        Observation::SupervisorLost { attempt: AttemptNo(attempt), why: Interruption::Reboot }
    }

    /// Returns the attempts of an engine that has found all attempts of its previous run and is running attempt 2.
    fn running() -> LocalAttempts {
        let copies = LocalAttempts::default();
        copies.are_known();
        copies.began(&waiting(1, command()).process, key(2));
        copies
    }

    #[test]
    fn attempt_is_alive_until_its_end_was_observed_and_known_until_the_end_is_durable() {
        let copies = running();
        assert!(copies.is_known(key(2)) && copies.is_alive(key(2)));
        assert!(!copies.is_known(key(1)) && !copies.is_alive(key(1)));
        assert_eq!(copies.running().len(), 1);
        copies.seen(key(2).id, lost(2));
        assert!(copies.is_known(key(2)) && !copies.is_alive(key(2)));
        assert_eq!(copies.running().len(), 0);
        copies.is_over(key(2));
        assert!(!copies.is_known(key(2)));
    }

    #[test]
    fn attempt_is_stopped_once_and_not_after_its_end() {
        let copies = running();
        assert!(!copies.is_stopping(key(2)));
        assert!(copies.mark_stopping(key(2)));
        assert!(copies.is_stopping(key(2)));
        assert!(!copies.mark_stopping(key(2)));
        assert!(copies.is_alive(key(2)), "it was not observed to end");
        assert_eq!(copies.running().len(), 0);
        copies.seen(key(2).id, lost(2));
        assert!(!copies.is_stopping(key(2)));
        assert!(!copies.mark_stopping(key(2)));
    }

    #[test]
    fn only_an_older_attempt_that_has_not_ended_delays_a_start() {
        let copies = running();
        assert!(!copies.may_be_left_before(key(2)));
        assert!(copies.may_be_left_before(key(3)));
        copies.seen(key(2).id, lost(2));
        assert!(!copies.may_be_left_before(key(3)));
        let other = AttemptKey { id: waiting(2, command()).process.id, attempt: AttemptNo(3) };
        assert!(!copies.may_be_left_before(other));
    }

    #[test]
    fn until_earlier_attempts_were_found_only_a_first_attempt_may_start() {
        let copies = LocalAttempts::default();
        assert!(!copies.may_be_left_before(key(1)));
        assert!(copies.may_be_left_before(key(2)));
        copies.are_known();
        assert!(!copies.may_be_left_before(key(2)));
    }

    #[test]
    fn exit_of_an_attempt_that_was_given_up_counts_as_the_loss_of_its_node() {
        let exited = |stopped| Observation::Exited {
            attempt: AttemptNo(2),
            exit: Exit { stopped, ..Exit::of(ExitStatus::Code(1), Timestamp(5)) },
        };
        let gone = Observation::SupervisorLost { attempt: AttemptNo(2), why: Interruption::NodeGone };
        let copies = running();
        assert_eq!(copies.seen(key(2).id, exited(Some(GIVEN_UP))), gone);
        for other in [None, Some(StopCause::User)] {
            assert_eq!(counted(exited(other)), exited(other));
        }
    }
}
