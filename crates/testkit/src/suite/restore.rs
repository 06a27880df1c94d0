//! Contract of stores that can lose data: lost records can be restored.

mod rules;

pub use rules::*;

use super::StoreFixture;
use crate::fakes::VirtualClock;
use crate::suite::must;
use longhaul_domain::{Event, Fact};
use longhaul_ports::{Lease, Restore, RestoreOutcome, Store, StoredProcess};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Generates one test for each rule about stores to which lost records can be restored.
///
/// Takes an async function from a [`VirtualClock`](crate::fakes::VirtualClock) to a
/// [`RestoreFixture`](crate::suite::RestoreFixture) around an empty store. The leases of this store last
/// [`LEASE`](crate::suite::store::LEASE), followed by a grace period of [`GRACE`](crate::suite::store::GRACE).
#[macro_export]
macro_rules! restoring_store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            async $open, restore,
            a_lost_record_is_restored_unchanged
            a_repeated_restore_changes_nothing
            a_restored_record_is_replaced_by_a_later_revision
            a_restore_never_replaces_the_same_or_a_later_revision
            a_pruned_process_is_not_restored
            an_old_lease_restores_nothing
            the_store_reports_the_revision_of_each_record
            a_restored_running_process_holds_its_slot_again
            a_restored_waiting_process_keeps_its_position
            a_restored_record_belongs_to_its_former_owner
            a_restored_record_of_an_absent_owner_becomes_due
            an_owner_continues_a_record_that_another_node_restored
            a_process_claimed_after_the_loss_stays_with_its_new_node
            an_ended_record_is_always_restored
            an_ended_record_is_never_replaced_by_a_live_copy
            pending_actions_and_live_stats_are_restored
            a_restored_launch_key_starts_no_second_process
            an_unconfirmed_launch_is_dropped_if_its_key_is_used
            high_water_marks_never_decrease
            a_later_policy_is_restored
            data_loss_leads_to_a_new_incarnation
            a_node_can_register_in_an_emptied_store
        }
    };
}

/// Fixture for one rule: a store whose data the rule can delete.
pub struct RestoreFixture {
    world: StoreFixture,
    restore: Arc<dyn Restore>,
    empty: Box<dyn Fn() + Send + Sync>,
}

/// Opens a fixture with a separate clock.
pub async fn open(open: impl AsyncFnOnce(VirtualClock) -> RestoreFixture) -> RestoreFixture {
    open(VirtualClock::default()).await
}

impl RestoreFixture {
    /// Creates a fixture around a store that uses this clock. `empty` makes the store lose all data.
    pub fn new<S: Store + Restore>(
        store: Arc<S>,
        clock: VirtualClock,
        empty: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { world: StoreFixture::new(store.clone(), clock), restore: store, empty: Box::new(empty) }
    }

    /// Keeps `guard`, such as a server, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl std::any::Any + Send + Sync) -> Self {
        Self { world: self.world.guarded(guard), ..self }
    }

    fn lose_everything(&self) {
        (self.empty)();
    }

    async fn give(&self, by: &Lease, kept: &StoredProcess) -> RestoreOutcome {
        let mut restored = must(self.restore.restore(by, std::slice::from_ref(kept)).await);
        super::some(restored.pop())
    }

    /// Restores a record, checks that the store had lost it, and loads it.
    async fn given(&self, by: &Lease, kept: &StoredProcess) -> StoredProcess {
        let restored = self.give(by, kept).await;
        let there = self.load(kept.process.id).await;
        assert_eq!(restored, RestoreOutcome::Inserted(there.revision));
        there
    }

    /// Returns the latest event in the event log.
    async fn last_event(&self) -> Event {
        let page = must(self.store.read(None, 10_000, false).await);
        super::some(page.events.last().map(|logged| logged.event.clone()))
    }

    async fn told(&self, by: &Lease) {
        let told = self.last_event().await;
        assert_eq!(told, Event { at: self.now(), fact: Fact::Restored { node: by.node.clone() } });
    }
}

impl Deref for RestoreFixture {
    type Target = StoreFixture;

    fn deref(&self) -> &StoreFixture {
        &self.world
    }
}

impl fmt::Debug for RestoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreFixture").field("world", &self.world).finish_non_exhaustive()
    }
}
