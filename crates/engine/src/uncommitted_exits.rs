//! Observed ends of attempts that cannot be committed yet.

use crate::engine::{Engine, EngineShared};
use longhaul_domain::{AttemptNo, Input, Observation, ProcessId, Timestamp};
use longhaul_ports::StoredProcess;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Processes whose end was observed but is not committed yet. Their records still show them as live.
#[derive(Debug, Default)]
pub(crate) struct UncommittedExits {
    ended: Mutex<HashMap<ProcessId, (AttemptNo, Observation)>>,
}

impl UncommittedExits {
    /// Adds the end of an attempt. Returns false if an end of this attempt or of a later one is already known, because
    /// only the first end counts.
    pub(crate) fn note(&self, id: ProcessId, attempt: AttemptNo, seen: &Observation) -> bool {
        let mut ended = self.ended();
        let is_news = ended.get(&id).is_none_or(|(known, _)| *known < attempt);
        if is_news {
            ended.insert(id, (attempt, seen.clone()));
        }
        is_news
    }

    /// Removes the end of an attempt after it was committed. The end of a later attempt remains.
    pub(crate) fn recorded(&self, id: ProcessId, attempt: AttemptNo) {
        let mut ended = self.ended();
        if ended.get(&id).is_some_and(|(known, _)| *known <= attempt) {
            ended.remove(&id);
        }
    }

    pub(crate) fn has(&self, id: ProcessId) -> bool {
        self.ended().contains_key(&id)
    }

    /// Returns the number of exits that happened more than `deadline` ago.
    fn count_overdue(&self, now: Timestamp, deadline: Duration) -> usize {
        let is_overdue = |seen: &Observation| matches!(seen, Observation::Exited { exit, .. } if exit.at.plus(deadline) < now);
        self.ended().values().filter(|(_, seen)| is_overdue(seen)).count()
    }

    fn of(&self, id: ProcessId) -> Option<(AttemptNo, Observation)> {
        self.ended().get(&id).cloned()
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<ProcessId, (AttemptNo, Observation)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Returns the number of exits that happened more than `deadline` ago and are not in the store yet, because the
    /// store does not accept them.
    #[must_use]
    pub fn unrecorded_exits(&self, deadline: Duration) -> u64 {
        let overdue = self.core.unrecorded.count_overdue(self.now(), deadline);
        u64::try_from(overdue).unwrap_or(u64::MAX)
    }
}

impl EngineShared {
    /// Returns the record as it will be after the observed end has been committed; for display only. A process that
    /// will be retried is returned unchanged, because the time of the retry is not decided yet.
    pub(crate) fn with_unrecorded(&self, mut stored: StoredProcess) -> StoredProcess {
        let process = &stored.process;
        let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.here());
        let Some((attempt, seen)) = self.unrecorded.of(process.id).filter(|_| is_mine) else {
            return stored;
        };
        if attempt != process.attempt {
            return stored;
        }
        let step = process.decide(&self.context(), &stored.live_stats, &Input::Observation(seen));
        let mut shown = process.clone();
        shown.evolve(&step.map(|step| step.events).unwrap_or_default());
        if shown.status().is_ended() {
            stored.process = shown;
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};

    fn never_ran(attempt: u32) -> Observation {
        Observation::NeverRan { attempt: AttemptNo(attempt) }
    }

    #[test]
    fn end_of_the_latest_attempt_is_kept_and_of_each_attempt_the_first_one() {
        let (exits, id) = (UncommittedExits::default(), waiting(1, command()).process.id);
        assert!(!exits.has(id));
        assert!(exits.note(id, AttemptNo(2), &never_ran(2)));
        assert!(!exits.note(id, AttemptNo(2), &never_ran(7)), "the first end counts");
        assert!(!exits.note(id, AttemptNo(1), &never_ran(1)));
        assert_eq!(exits.of(id), Some((AttemptNo(2), never_ran(2))));
        assert!(exits.note(id, AttemptNo(3), &never_ran(3)));
        exits.recorded(id, AttemptNo(2));
        assert_eq!(exits.of(id), Some((AttemptNo(3), never_ran(3))), "only an older attempt was recorded");
        exits.recorded(id, AttemptNo(3));
        assert!(!exits.has(id));
    }
}
