//! Changes of processes, read from the event log.

use crate::error::ToolError;
use longhaul_api::{Api, ProcessChange};
use longhaul_domain::ProcessId;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Time window within which changes are combined.
const WINDOW: Duration = Duration::from_millis(250);

/// Event log reader that combines the changes within a time window.
pub(super) struct ChangeBatcher {
    log: longhaul_api::ChangeStream,
}

/// Processes that changed within a time window.
pub(super) enum ChangedResources {
    These(BTreeSet<ProcessId>),
    /// Some events are missing, so any process may have changed.
    Anything,
}

impl ChangedResources {
    pub(super) fn has(&self, id: ProcessId) -> bool {
        match self {
            Self::These(ids) => ids.contains(&id),
            Self::Anything => true,
        }
    }
}

impl ChangeBatcher {
    pub(super) async fn from_now(api: &Api) -> Result<Self, ToolError> {
        Ok(Self { log: api.changes().await? })
    }

    /// Waits for the next change. Returns it together with the changes in the time window after it. Returns `None` if
    /// the engine has shut down.
    pub(super) async fn next(&mut self, is_wanted: impl Fn(ProcessId) -> bool) -> Option<ChangedResources> {
        let mut ids = BTreeSet::new();
        while ids.is_empty() {
            match self.log.next().await? {
                ProcessChange::Of(id) if is_wanted(id) => drop(ids.insert(id)),
                ProcessChange::Of(_) => {}
                ProcessChange::Anything => return Some(ChangedResources::Anything),
            }
        }
        let window = sleep(WINDOW);
        tokio::pin!(window);
        loop {
            let change = tokio::select! {
                () = &mut window => return Some(ChangedResources::These(ids)),
                change = self.log.next() => change,
            };
            match change {
                Some(ProcessChange::Of(id)) if is_wanted(id) => drop(ids.insert(id)),
                Some(ProcessChange::Of(_)) => {}
                Some(ProcessChange::Anything) => return Some(ChangedResources::Anything),
                None => return Some(ChangedResources::These(ids)),
            }
        }
    }
}
