//! The ends that were seen and cannot be recorded yet.

use crate::engine::Core;
use crate::lanes::last_of;
use longhaul_domain::{Input, Observation, ProcessId};
use longhaul_ports::Stored;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The processes whose end was seen and cannot be recorded yet: their records still tell of a life.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded {
    ended: Mutex<HashMap<ProcessId, Observation>>,
}

impl Unrecorded {
    /// True if it was not noted before.
    pub(crate) fn note(&self, id: ProcessId, seen: &Observation) -> bool {
        self.ended().insert(id, seen.clone()).is_none()
    }

    pub(crate) fn recorded(&self, id: ProcessId) {
        self.ended().remove(&id);
    }

    pub(crate) fn has(&self, id: ProcessId) -> bool {
        self.ended().contains_key(&id)
    }

    fn of(&self, id: ProcessId) -> Option<Observation> {
        self.ended().get(&id).cloned()
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<ProcessId, Observation>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The record as it will be once the end that was seen here is recorded: to be shown, and for nothing else. One that
    /// is to be tried again is left as it is, since nobody has decided yet when.
    pub(crate) fn with_unrecorded(&self, mut stored: Stored) -> Stored {
        let process = &stored.process;
        let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.here());
        let Some(seen) = self.unrecorded.of(process.id).filter(|_| is_mine) else { return stored };
        if last_of(&seen) != Some(process.attempt) {
            return stored;
        }
        let step = process.decide(&self.context(), &stored.vitals, &Input::Observation(seen));
        let mut shown = process.clone();
        shown.evolve(&step.map(|step| step.events).unwrap_or_default());
        if shown.status().is_ended() {
            stored.process = shown;
        }
        stored
    }
}
