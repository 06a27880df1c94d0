//! The ends that were seen and cannot be recorded yet.

use crate::engine::EngineShared;
use longhaul_domain::{AttemptNo, Input, Observation, ProcessId};
use longhaul_ports::StoredProcess;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The processes whose end was seen and cannot be recorded yet: their records still tell of a life.
#[derive(Debug, Default)]
pub(crate) struct UncommittedExits {
    ended: Mutex<HashMap<ProcessId, (AttemptNo, Observation)>>,
}

impl UncommittedExits {
    /// True if it was not noted before. What is seen after the end of an attempt does not change how it ended.
    pub(crate) fn note(&self, id: ProcessId, attempt: AttemptNo, seen: &Observation) -> bool {
        let mut ended = self.ended();
        let is_news = ended.get(&id).is_none_or(|(known, _)| *known < attempt);
        if is_news {
            ended.insert(id, (attempt, seen.clone()));
        }
        is_news
    }

    /// The end of an attempt is recorded. That of a later one may not be.
    pub(crate) fn recorded(&self, id: ProcessId, attempt: AttemptNo) {
        let mut ended = self.ended();
        if ended.get(&id).is_some_and(|(known, _)| *known <= attempt) {
            ended.remove(&id);
        }
    }

    pub(crate) fn has(&self, id: ProcessId) -> bool {
        self.ended().contains_key(&id)
    }

    fn of(&self, id: ProcessId) -> Option<(AttemptNo, Observation)> {
        self.ended().get(&id).cloned()
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<ProcessId, (AttemptNo, Observation)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineShared {
    /// The record as it will be once the end that was seen here is recorded: to be shown, and for nothing else. One that
    /// is to be tried again is left as it is, since nobody has decided yet when.
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
