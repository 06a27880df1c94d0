//! Updates of resources, for those who listen.

use crate::refusal::Refusal;
use crate::resource;
use longhaul_api::{Api, Fault};
use longhaul_domain::{Fact, ProcessId};
use longhaul_engine::ports::{Cursor, Logged};
use longhaul_engine::{Notice, Subscription};
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Changes that come within this time are told once.
const WINDOW: Duration = Duration::from_millis(250);
/// So many events are held for a listener before it has to take stock anew.
const CAPACITY: usize = 256;

/// What the client of one connection listens to, in the older era. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    wanted: Arc<Mutex<Wanted>>,
}

#[derive(Debug, Default)]
struct Wanted {
    uris: BTreeMap<ProcessId, String>,
    is_followed: bool,
}

impl Listening {
    /// Tells of each change of these resources until the subscription ends.
    pub(crate) async fn follow(
        &self,
        api: &Api,
        uris: Vec<String>,
        context: &SubscriptionContext,
    ) -> Result<(), Refusal> {
        let uris: BTreeMap<ProcessId, String> =
            uris.into_iter().filter_map(|uri| Some((resource::process(&uri)?, uri))).collect();
        let mut changes = Changes::from_now(api).await?;
        loop {
            let changed = tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = changes.next(api, |id| uris.contains_key(&id)) => changed,
            };
            let Some(changed) = changed else { return Ok(()) };
            for uri in uris.iter().filter(|(id, _)| changed.has(**id)).map(|(_, uri)| uri) {
                if context.sink().notify_resource_updated(uri.clone()).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Tells of each change of a resource from now on.
    pub(crate) async fn add(&self, api: &Api, uri: String, peer: &Peer<RoleServer>) -> Result<(), Refusal> {
        let Some(id) = resource::process(&uri) else { return Ok(()) };
        let is_first = {
            let mut wanted = self.lock();
            wanted.uris.insert(id, uri);
            !std::mem::replace(&mut wanted.is_followed, true)
        };
        if is_first {
            let changes = Changes::from_now(api).await.inspect_err(|_| self.lock().is_followed = false)?;
            tokio::spawn(self.clone().tell(api.clone(), changes, peer.clone()));
        }
        Ok(())
    }

    /// Tells of a resource no more.
    pub(crate) fn remove(&self, uri: &str) {
        if let Some(id) = resource::process(uri) {
            self.lock().uris.remove(&id);
        }
    }

    async fn tell(self, api: Api, mut changes: Changes, peer: Peer<RoleServer>) {
        while let Some(changed) = changes.next(&api, |id| self.lock().uris.contains_key(&id)).await {
            let uris: Vec<String> = {
                let wanted = self.lock();
                wanted.uris.iter().filter(|(id, _)| changed.has(**id)).map(|(_, uri)| uri.clone()).collect()
            };
            for uri in uris {
                let update = ResourceUpdatedNotificationParam::new(uri);
                if peer.is_transport_closed() || peer.notify_resource_updated(update).await.is_err() {
                    return;
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the log, and gathers what changes within a window.
struct Changes {
    log: Subscription,
}

/// What changed within a window.
enum Changed {
    These(BTreeSet<ProcessId>),
    /// Events were missed: anything may have.
    Anything,
}

impl Changed {
    fn has(&self, id: ProcessId) -> bool {
        match self {
            Self::These(ids) => ids.contains(&id),
            Self::Anything => true,
        }
    }
}

impl Changes {
    async fn from_now(api: &Api) -> Result<Self, Refusal> {
        Self::from(api, None).await
    }

    async fn from(api: &Api, place: Option<Cursor>) -> Result<Self, Refusal> {
        let log = api.engine.subscribe(place, CAPACITY).await.map_err(Fault::from)?;
        Ok(Self { log })
    }

    /// What changes next, with what changes right after it; none when the engine has ended.
    async fn next(&mut self, api: &Api, is_wanted: impl Fn(ProcessId) -> bool) -> Option<Changed> {
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
