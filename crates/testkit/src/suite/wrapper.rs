//! What every store promises that wraps another one: no call ends in a default of the port.

use crate::fakes::{Heard, ProbeStore};
use crate::suite::store::{StoreWorld, room, spawned};
use crate::suite::{must, some, soon};
use longhaul_domain::{AttemptNo, Retention, Vitals, Wish};
use longhaul_ports::{
    AttemptKey, Author, Filter, IdSource, KeptTail, NodeOffer, Order, PageAsk, StoreMethod,
};

/// Methods that cannot fail, and so are no [`StoreMethod`].
const SURE: [Heard; 5] =
    [Heard::AwaySince, Heard::IsAlone, Heard::Recall, Heard::RecallPage, Heard::LeasesEnd];

/// Calls each method of the store of this world, which wraps the probe, and fails unless the probe hears of the method of
/// the same name. One with a default that the wrapper does not pass on never arrives.
///
/// # Panics
/// With the name of a method that does not arrive.
pub async fn every_method_reaches_the_store_inside(world: &StoreWorld, probe: &ProbeStore) {
    let store = &world.store;
    let lease = world.node("a").await;
    let submission = world.submission(world.draft()).await;
    let id = submission.process.id;
    must(store.submit(submission).await);
    must(soon(store.called(&lease)).await);
    let claimed = must(store.claim(&lease, &room(&lease)).await);
    let stored = some(claimed.first());
    must(store.commit(world.change(stored, spawned(stored))).await);
    must(store.wish(&id, world.ids.op(), Wish::Pause).await);
    let attempt = AttemptNo(1);
    must(store.touch(&Author::Owner(lease.clone()), &[(id, attempt, Vitals::default())]).await);
    must(store.load(&[id]).await);
    must(store.load_each(&[id]).await);
    let page = PageAsk { order: Order::OldestFirst, after: None, most: 10 };
    must(store.list(&Filter::default(), &page).await);
    must(store.is_kept(&id, attempt).await);
    store.away_since();
    store.is_alone(&id);
    store.recall(&[id]).await;
    store.recall_page(&Filter::default(), &page).await;
    must(store.attention(&lease, 10).await);
    must(store.sweep(&Retention { age: None, count: None, before: None }, 0).await);
    must(store.reconcile(&lease).await);
    let (version, policy) = must(store.policy().await);
    must(store.set_policy(version, &policy).await);
    must(store.queues(None).await);
    must(store.label_classes().await);
    must(store.read(None, 10, false).await);
    must(store.end().await);
    must(store.keep_tail(&lease, AttemptKey { id, attempt }, &KeptTail::default()).await);
    must(store.kept_tail(id).await);
    store.leases_end();
    must(store.beat(&lease).await);
    must(store.announce(&lease, &NodeOffer::default()).await);
    must(store.nodes().await);
    must(store.known_nodes().await);
    must(store.drain(&lease.node, false).await);
    must(store.leave(&lease).await);
    must(store.forget(&lease.node).await);
    let heard = probe.heard();
    for method in StoreMethod::ALL.iter().copied().map(Heard::Call).chain(SURE) {
        assert!(heard.contains(&method), "{method:?} does not reach the store inside");
    }
}
