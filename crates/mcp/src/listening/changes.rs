//! What changes of processes, as the log tells it.

use crate::refusal::Refusal;
use longhaul_api::{Api, Fault};
use longhaul_domain::{Fact, ProcessId};
use longhaul_engine::ports::{Cursor, Logged};
use longhaul_engine::{Notice, Subscription};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Changes that come within this time are told once.
const WINDOW: Duration = Duration::from_millis(250);
/// So many events are held for a listener before it has to take stock anew.
const CAPACITY: usize = 256;

/// Follows the log, and gathers what changes within a window.
pub(super) struct Changes {
    log: Subscription,
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
        Self::from(api, None).await
    }

    async fn from(api: &Api, place: Option<Cursor>) -> Result<Self, Refusal> {
        let log = api.engine.subscribe(place, CAPACITY).await.map_err(Fault::from)?;
        Ok(Self { log })
    }

    /// What changes next, with what changes right after it; none when the engine has ended.
    pub(super) async fn next(&mut self, api: &Api, is_wanted: impl Fn(ProcessId) -> bool) -> Option<Changed> {
        let mut ids = BTreeSet::new();
        loop {
            match self.log.next().await? {
                Notice::Event(event) => {
                    if is_change(&event) && is_wanted(event.id) {
                        ids.insert(event.id);
                        break;
                    }
                }
                Notice::Resync { from } => return self.anew(api, from).await,
            }
        }
        let window = sleep(WINDOW);
        tokio::pin!(window);
        loop {
            let notice = tokio::select! {
                () = &mut window => return Some(Changed::These(ids)),
                notice = self.log.next() => notice,
            };
            match notice {
                Some(Notice::Event(event)) => {
                    if is_change(&event) && is_wanted(event.id) {
                        ids.insert(event.id);
                    }
                }
                Some(Notice::Resync { from }) => return self.anew(api, from).await,
                None => return Some(Changed::These(ids)),
            }
        }
    }

    async fn anew(&mut self, api: &Api, from: Cursor) -> Option<Changed> {
        *self = Self::from(api, Some(from)).await.ok()?;
        Some(Changed::Anything)
    }
}

/// Whether an event is a change of state; what a worker says it does is none.
const fn is_change(event: &Logged) -> bool {
    !matches!(event.event.fact, Fact::StageChanged { .. })
}
