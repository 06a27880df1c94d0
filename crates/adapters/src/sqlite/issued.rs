//! Due rows that an engine has claimed, so that they must not be claimed again yet.

use longhaul_domain::{ProcessId, Revision, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time for which a due row is reserved for the engine that claimed it.
const CLAIM_DURATION: Duration = Duration::from_secs(5);

/// Claimed due rows, with the time at which each claim expires.
#[derive(Debug, Default)]
pub(super) struct IssuedRows {
    rows: Mutex<BTreeMap<ProcessId, (Revision, Timestamp)>>,
}

impl IssuedRows {
    /// Claims at most `limit` of the candidates that are not claimed yet, for [`CLAIM_DURATION`].
    pub(super) fn take(
        &self,
        now: Timestamp,
        candidates: &[(ProcessId, Revision)],
        limit: usize,
    ) -> Vec<ProcessId> {
        let mut rows = self.lock();
        rows.retain(|_, (_, until)| *until > now);
        let mut taken = Vec::new();
        for (id, revision) in candidates {
            if taken.len() >= limit {
                break;
            }
            let free = rows.get(id).is_none_or(|(known, _)| known != revision);
            if free {
                rows.insert(*id, (*revision, now.plus(CLAIM_DURATION)));
                taken.push(*id);
            }
        }
        taken
    }

    /// Returns the time until which this revision of the row is claimed. Returns `None` if it is not claimed.
    pub(super) fn until(&self, id: &ProcessId, revision: Revision) -> Option<Timestamp> {
        self.lock().get(id).filter(|(known, _)| *known == revision).map(|(_, until)| *until)
    }

    /// Returns an upper bound of the number of claimed rows.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProcessId, (Revision, Timestamp)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
