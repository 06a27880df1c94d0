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
            what_was_lost_is_given_back_as_it_was
            giving_back_twice_is_giving_back_once
            what_was_given_back_gives_way_to_a_later_revision
            what_moved_on_gives_way_to_nothing_earlier
            what_was_let_go_of_is_not_brought_back
            an_old_lease_gives_nothing_back
            footings_tell_how_far_each_has_come
            what_holds_a_slot_holds_it_again
            a_waiter_that_was_given_back_keeps_its_turn
            what_another_node_owned_is_its_own_if_it_is_there
            what_nobody_claims_as_its_own_is_due_at_last
            its_owner_takes_up_what_another_node_gave_back
            what_another_node_took_up_stays_with_it
            an_end_is_taken_back_from_whoever_knows_it
            an_end_gives_way_to_nothing_that_lives
            open_orders_and_vitals_come_along
            a_launch_key_is_taken_again
            a_launch_in_doubt_gives_way_to_whoever_has_its_key
            marks_only_rise
            a_later_policy_comes_back
            another_founding_is_another_history
            an_emptied_store_is_founded_by_whoever_joins
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
