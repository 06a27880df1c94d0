//! Contract of stores that wrap another store: every call must reach the inner store, and no call may end in a default
//! method of the port.

use crate::fakes::{CalledMethod, ProbeStore};
use crate::suite::store::{StoreFixture, room, spawned};
use crate::suite::{must, some, soon};
use longhaul_domain::{AttemptNo, LiveStats, PendingAction, Retention};
use longhaul_ports::{
    AttemptKey, IdSource, NodeAdvertisement, OutputTail, PageRequest, ProcessFilter, SortOrder, StoreMethod,
    Writer,
};

/// Methods that cannot fail and therefore have no [`StoreMethod`].
const SURE: [CalledMethod; 5] = [
    CalledMethod::AwaySince,
    CalledMethod::IsAlone,
    CalledMethod::Recall,
    CalledMethod::RecallPage,
    CalledMethod::LeasesEnd,
];

/// Calls each method of the fixture's store, which wraps the probe, and checks that the probe receives each call. If
/// the wrapper does not pass on a method that has a default implementation, the call does not arrive.
///
/// # Panics
/// Panics with the name of a method whose call does not arrive.
pub async fn every_method_reaches_the_inner_store(world: &StoreFixture, probe: &ProbeStore) {
    let store = &world.store;
    let lease = world.node("a").await;
    let submission = world.submission(world.draft()).await;
    let id = submission.process.id;
    must(store.submit(submission).await);
    must(soon(store.wait_for_updates(&lease)).await);
    let claimed = must(store.claim(&lease, &room(&lease)).await);
    let stored = some(claimed.first());
    must(store.commit(world.change(stored, spawned(stored))).await);
    must(store.enqueue_action(&id, world.ids.op(), PendingAction::Pause).await);
    let attempt = AttemptNo(1);
    must(
        store.update_live_stats(&Writer::Owner(lease.clone()), &[(id, attempt, LiveStats::default())]).await,
    );
    must(store.load(&[id]).await);
    must(store.load_each(&[id]).await);
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 10 };
    must(store.list(&ProcessFilter::default(), &page).await);
    must(store.is_durable(&id, attempt).await);
    store.away_since();
    store.is_local_only(&id);
    store.load_cached(&[id]).await;
    store.list_cached(&ProcessFilter::default(), &page).await;
    must(store.claim_due(&lease, 10).await);
    must(store.prune(&Retention { age: None, count: None, before: None }, 0).await);
    must(store.reconcile(&lease).await);
    let (version, policy) = must(store.policy().await);
    must(store.set_policy(version, &policy).await);
    must(store.queues(None).await);
    must(store.label_classes().await);
    must(store.read(None, 10, false).await);
    must(store.end().await);
    must(store.store_tail(&lease, AttemptKey { id, attempt }, &OutputTail::default()).await);
    must(store.load_tail(id).await);
    store.leases_expire();
    must(store.renew_lease(&lease).await);
    must(store.advertise(&lease, &NodeAdvertisement::default()).await);
    must(store.nodes().await);
    must(store.list_nodes().await);
    must(store.drain(&lease.node, false).await);
    must(store.leave(&lease).await);
    must(store.forget(&lease.node).await);
    let heard = probe.heard();
    for method in StoreMethod::ALL.iter().copied().map(CalledMethod::Call).chain(SURE) {
        assert!(heard.contains(&method), "{method:?} does not reach the store inside");
    }
}
