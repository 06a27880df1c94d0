//! What changes of processes, as the log tells it.

use crate::refusal::Refusal;
use longhaul_api::{Api, Change};
use longhaul_domain::ProcessId;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Changes that come within this time are told once.
const WINDOW: Duration = Duration::from_millis(250);

/// Gathers what changes within a window.
pub(super) struct Changes {
    log: longhaul_api::Changes,
}

/// What changed within a window.
pub(super) enum Changed {
    These(BTreeSet<ProcessId>),
    /// Events were missed: anything may have.
    Anything,
}

impl Changed {
    pub(super) fn has(&self, id: ProcessId) -> bool {
        match self {
            Self::These(ids) => ids.contains(&id),
            Self::Anything => true,
        }
    }
}

impl Changes {
    pub(super) async fn from_now(api: &Api) -> Result<Self, Refusal> {
        Ok(Self { log: api.changes().await? })
    }

    /// What changes next, with what changes right after it; none when the engine has ended.
    pub(super) async fn next(&mut self, is_wanted: impl Fn(ProcessId) -> bool) -> Option<Changed> {
        let mut ids = BTreeSet::new();
        while ids.is_empty() {
            match self.log.next().await? {
                Change::Of(id) if is_wanted(id) => drop(ids.insert(id)),
                Change::Of(_) => {}
                Change::Anything => return Some(Changed::Anything),
            }
        }
        let window = sleep(WINDOW);
        tokio::pin!(window);
        loop {
            let change = tokio::select! {
                () = &mut window => return Some(Changed::These(ids)),
                change = self.log.next() => change,
            };
            match change {
                Some(Change::Of(id)) if is_wanted(id) => drop(ids.insert(id)),
                Some(Change::Of(_)) => {}
                Some(Change::Anything) => return Some(Changed::Anything),
                None => return Some(Changed::These(ids)),
            }
        }
    }
}
