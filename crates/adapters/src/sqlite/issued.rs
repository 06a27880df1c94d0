//! Which due rows were handed out to an engine and are not to be handed out again yet.

use longhaul_domain::{ProcessId, Revision, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long an engine has a row for itself.
const FOR: Duration = Duration::from_secs(5);

/// The rows that are handed out, and until when.
#[derive(Debug, Default)]
pub(super) struct IssuedRows {
    rows: Mutex<BTreeMap<ProcessId, (Revision, Timestamp)>>,
}

impl IssuedRows {
    /// Takes at most `most` of the candidates that nobody has, for the next five seconds.
    pub(super) fn take(
        &self,
        now: Timestamp,
        candidates: &[(ProcessId, Revision)],
        most: usize,
    ) -> Vec<ProcessId> {
        let mut rows = self.lock();
        rows.retain(|_, (_, until)| *until > now);
        let mut taken = Vec::new();
        for (id, revision) in candidates {
            if taken.len() >= most {
                break;
            }
            let free = rows.get(id).is_none_or(|(known, _)| known != revision);
            if free {
                rows.insert(*id, (*revision, now.plus(FOR)));
                taken.push(*id);
            }
        }
        taken
    }

    /// Until when this row, as it is, is somebody's.
    pub(super) fn until(&self, id: &ProcessId, revision: Revision) -> Option<Timestamp> {
        self.lock().get(id).filter(|(known, _)| *known == revision).map(|(_, until)| *until)
    }

    /// How many are handed out at most.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProcessId, (Revision, Timestamp)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
