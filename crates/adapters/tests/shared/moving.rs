//! Helpers that copy all data from one store to another store and compare both stores.

use longhaul_ports::*;

/// A store whose content can be exported and imported.
pub(crate) trait Movable: Store + Migrate {}

impl<T: Store + Migrate> Movable for T {}

pub(crate) async fn copy(from: &dyn Movable, to: &dyn Movable) {
    to.import_processes(&everything(from).await).await.unwrap();
    to.import_events(&from.read(None, 10_000, false).await.unwrap().events).await.unwrap();
    to.import_metadata(&from.store_metadata().await.unwrap()).await.unwrap();
}

pub(crate) async fn assert_same(one: &dyn Movable, other: &dyn Movable) {
    assert_eq!(everything(one).await, everything(other).await);
    assert_eq!(one.read(None, 10_000, false).await.unwrap(), other.read(None, 10_000, false).await.unwrap());
    assert_eq!(one.store_metadata().await.unwrap(), other.store_metadata().await.unwrap());
    assert_eq!(one.queues(None).await.unwrap(), other.queues(None).await.unwrap());
}

pub(crate) async fn everything(store: &dyn Movable) -> Vec<StoredProcess> {
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1_000 };
    store.list(&ProcessFilter::default(), &page).await.unwrap().processes
}
