//! Checks that the contract suites can fail: if a store breaks a promise, the corresponding rule fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use async_trait::async_trait;
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    QueueHold, Retention, Revision, SlotKey,
};
use longhaul_ports::{
    AttemptKey, Change, ClaimCapacity, EventCursor, EventLog, EventPage, ForgetOutcome, IdSource, KnownNode,
    Lease, Listing, Maintenance, Membership, NodeAdvertisement, NodeDescriptor, NodeUpdates, OutputTail,
    OutputTails, PageRequest, PlacementClass, ProcessFilter, ProcessStore, PrunedBatch, QueueState, Queues,
    SortOrder, Store, StoreCall, StoreDecorator, StoreError, StoreRejection, StoredProcess, Submission,
    SubmitOutcome, Writer,
};
use longhaul_testkit::fakes::{Fault, FaultyStore, SequentialIds, VirtualClock};
use longhaul_testkit::model;
use longhaul_testkit::suite::{ConnectionCut, StoreFixture, agreement, hold, store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Fault of a store, named after the promise that the store breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    IgnoresExpected,
    IgnoresOps,
    IgnoresOwners,
    IgnoresRoom,
    IgnoresClaimFor,
    LoadsInItsOwnOrder,
    ListsOldestFirst,
    HidesGaps,
    SwallowsNews,
    NeverParks,
    SweepsTheWrongOnes,
    ForgetsVitals,
    ForgetsMarks,
    ForgetsMoves,
    ForgetsHolds,
    HidesHolders,
    HidesTotals,
    AttendsToNobody,
    LooksAtParentsOnly,
    NeverOpensAgain,
    LetsAnyLeaseWrite,
    EndsAboveLife,
    OverlooksWishes,
    CallsNobody,
    ForgetsTheSwept,
    ClaimsForAnyLease,
    RefusesNewerLimits,
    SeesPinnedWaitersOnly,
    ClaimsWhatIsHeld,
    RefusesWhatIsDelayed,
    LetsDelayedStarve,
    LetsAnyLeaseLeave,
    FencesWhoLeft,
    JoinsSilently,
    ListsWithoutBound,
    ForgetsVitalsAtCommits,
    HandsOutOnce,
    ForgetsAnswers,
    MixesQueuesUp,
    ForgetsHomes,
}

#[derive(Debug)]
struct BrokenStore {
    inner: MemoryStore,
    broken: Broken,
    ids: SequentialIds,
    swept: Mutex<Vec<ProcessId>>,
    handed: Mutex<Vec<ProcessId>>,
    left: Mutex<Vec<Lease>>,
}

impl BrokenStore {
    async fn present(&self, id: ProcessId) -> Option<StoredProcess> {
        self.inner.load(&[id]).await.ok()?.pop().flatten()
    }

    fn gone(&self) -> MutexGuard<'_, Vec<ProcessId>> {
        locked(&self.swept)
    }

    /// Submits a process. Applies the configured fault if it concerns submissions or claims.
    async fn submit_wrongly(&self, mut new: Submission) -> Result<SubmitOutcome, StoreError> {
        let is_delayed = new.process.due().is_some();
        let (version, policy) = self.inner.policy().await?;
        if self.broken == Broken::RefusesNewerLimits && new.limits.policy > version {
            return Err(StoreError::Refused(StoreRejection::StalePolicy { found: version }));
        }
        if self.broken == Broken::RefusesWhatIsDelayed && is_delayed && new.fail_if_queued {
            return Err(StoreError::Refused(StoreRejection::NoSlot { key: None, holders: Vec::new() }));
        }
        if self.broken == Broken::LetsDelayedStarve && is_delayed {
            new.limits.slots = None;
        }
        let mut answer = self.inner.submit(new.clone()).await;
        while let (Broken::ClaimsForAnyLease, Err(StoreError::Fenced { .. }), Some(claimant)) =
            (self.broken, &answer, &mut new.claim_for)
        {
            claimant.lease.epoch = claimant.lease.epoch.next();
            if claimant.lease.epoch.0 > 9 {
                break;
            }
            answer = self.inner.submit(new.clone()).await;
        }
        let (Some(claimant), Ok(SubmitOutcome::Waiting(stored))) = (&new.claim_for, &answer) else {
            return answer;
        };
        let class = PlacementClass::of(&new.process.spec.placement);
        if self.broken == Broken::SeesPinnedWaitersOnly && matches!(class, PlacementClass::Node(_)) {
            let room = ClaimCapacity { roots: 1000, batch: 1, classes: vec![class] };
            let claimed = self.inner.claim(&claimant.lease, &room).await?;
            return Ok(claimed
                .into_iter()
                .next()
                .map_or_else(|| SubmitOutcome::Waiting(stored.clone()), SubmitOutcome::Claimed));
        }
        if self.broken == Broken::ClaimsWhatIsHeld
            && stored.process.spec.key.as_ref().is_some_and(|key| policy.held.contains_key(key))
        {
            return Ok(SubmitOutcome::Claimed(stored.clone()));
        }
        answer
    }
}

fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl ProcessStore for BrokenStore {
    async fn submit(&self, mut new: Submission) -> Result<SubmitOutcome, StoreError> {
        if self.broken == Broken::IgnoresClaimFor {
            new.claim_for = None;
        }
        if self.broken == Broken::ForgetsTheSwept && self.gone().contains(&new.process.id) {
            new.process.id = self.ids.process();
        }
        let ancestors = new.process.lineage.ancestors.clone();
        if self.broken == Broken::NeverOpensAgain {
            for ancestor in ancestors {
                if self.present(ancestor).await.is_none_or(|stored| stored.process.status().is_ended()) {
                    return Err(StoreError::Refused(StoreRejection::AncestorClosing { ancestor }));
                }
            }
            return self.inner.submit(new).await;
        }
        let answer = self.submit_wrongly(new.clone()).await;
        match answer {
            Err(StoreError::Refused(StoreRejection::AncestorClosing { ancestor }))
                if self.broken == Broken::LooksAtParentsOnly && ancestors.last() != Some(&ancestor) =>
            {
                new.process.lineage.ancestors.retain(|above| *above != ancestor);
                self.inner.submit(new).await
            }
            answer => answer,
        }
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let mut room = room.clone();
        if self.broken == Broken::IgnoresRoom {
            room.roots = u32::MAX;
        }
        self.inner.claim(by, &room).await
    }

    async fn commit(&self, mut change: Change) -> Result<Revision, StoreError> {
        let present = self.present(change.next.id).await;
        if let Some(present) = present {
            if self.broken == Broken::IgnoresExpected {
                change.expected = present.revision;
                change.author = present.owner.clone().map_or(Writer::Anyone, Writer::Owner);
            }
            if self.broken == Broken::LetsAnyLeaseWrite && present.owner.is_none() {
                change.author = Writer::Anyone;
            }
            if self.broken == Broken::IgnoresOwners {
                change.author = present.owner.map_or(Writer::Anyone, Writer::Owner);
            }
        }
        if self.broken == Broken::IgnoresOps {
            change.op = self.ids.op();
        }
        if self.broken == Broken::EndsAboveLife {
            change.require_no_live_descendants = false;
        }
        if self.broken == Broken::ForgetsMarks {
            change.next.cascade = None;
        }
        if self.broken == Broken::ForgetsAnswers && self.gone().contains(&change.next.id) {
            return Err(StoreError::Missing { id: change.next.id });
        }
        if self.broken == Broken::ForgetsVitalsAtCommits {
            let forgotten = [(change.next.id, change.next.attempt, LiveStats::default())];
            self.inner.update_live_stats(&change.author, &forgotten).await?;
        }
        if self.broken == Broken::ForgetsMoves {
            change.next.priority = change.next.spec.priority;
        }
        self.inner.commit(change).await
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let op = if self.broken == Broken::IgnoresOps { self.ids.op() } else { op };
        if self.broken == Broken::CallsNobody
            && self.present(*id).await.is_some_and(|stored| stored.owner.is_none())
        {
            return Ok(ActionSeq(1));
        }
        self.inner.enqueue_action(id, op, action).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if self.broken == Broken::ForgetsVitals {
            return Ok(live_stats.iter().map(|_| Ok(())).collect());
        }
        self.inner.update_live_stats(by, live_stats).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let mut loaded = self.inner.load(ids).await?;
        if self.broken == Broken::LoadsInItsOwnOrder {
            loaded.reverse();
        }
        Ok(loaded)
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        let mut page = page.clone();
        if self.broken == Broken::ListsWithoutBound && page.limit > 1_000 {
            let first = self.inner.list(filter, &page).await?;
            let Some(next) = first.next else { return Ok(first) };
            let rest = self.inner.list(filter, &PageRequest { after: Some(next), ..page }).await?;
            return Ok(Listing {
                processes: [first.processes, rest.processes].concat(),
                next: rest.next,
                damaged: rest.damaged,
            });
        }
        if self.broken == Broken::ListsOldestFirst {
            page.order = SortOrder::OldestFirst;
        }
        self.inner.list(filter, &page).await
    }
}

#[async_trait]
impl Maintenance for BrokenStore {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        if self.broken == Broken::AttendsToNobody {
            return Ok(Vec::new());
        }
        let mut due = self.inner.claim_due(by, limit).await?;
        if self.broken == Broken::HandsOutOnce {
            let mut handed = locked(&self.handed);
            due.retain(|stored| !handed.contains(&stored.process.id));
            handed.extend(due.iter().map(|stored| stored.process.id));
        }
        if self.broken == Broken::OverlooksWishes {
            due.retain(|stored| stored.pending_actions.is_empty());
        }
        Ok(due)
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let rule = if self.broken == Broken::SweepsTheWrongOnes {
            Retention { age: Some(Duration::ZERO), count: None, before: None }
        } else {
            *rule
        };
        let mut swept = self.inner.prune(&rule, limit).await?;
        self.gone().extend(&swept.ids);
        if self.broken == Broken::HidesTotals {
            swept.total = swept.ids.len() as u64;
        }
        Ok(swept)
    }
}

#[async_trait]
impl Queues for BrokenStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.inner.policy().await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let mut policy = policy.clone();
        if self.broken == Broken::ForgetsHolds {
            policy.held.values_mut().for_each(|hold| *hold = QueueHold::default());
        }
        self.inner.set_policy(expected, &policy).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        let mut queues = self.inner.queues(only).await?;
        if self.broken == Broken::HidesHolders {
            queues.iter_mut().for_each(|queue| queue.holders.truncate(2));
        }
        if self.broken == Broken::MixesQueuesUp {
            queues.reverse();
        }
        Ok(queues)
    }
}

#[async_trait]
impl EventLog for BrokenStore {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        let wait = wait && self.broken != Broken::NeverParks;
        let mut page = self.inner.read(after, limit, wait).await?;
        if self.broken == Broken::HidesGaps {
            page.gap = false;
        }
        Ok(page)
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.inner.end().await
    }
}

#[async_trait]
impl OutputTails for BrokenStore {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        self.inner.store_tail(by, key, tail).await
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.inner.load_tail(id).await
    }
}

#[async_trait]
impl Membership for BrokenStore {
    fn leases_expire(&self) -> bool {
        self.inner.leases_expire()
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let mut me = me.clone();
        if self.broken == Broken::ForgetsHomes {
            me.home = None;
        }
        let lease = self.inner.register(&me).await?;
        if self.broken == Broken::JoinsSilently {
            tokio::time::timeout(Duration::from_millis(5), self.inner.wait_for_updates(&lease)).await.ok();
        }
        Ok(lease)
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        if self.broken == Broken::FencesWhoLeft && locked(&self.left).contains(by) {
            return Err(StoreError::Fenced { node: by.node.clone(), epoch: by.epoch });
        }
        if self.broken == Broken::SwallowsNews {
            tokio::time::timeout(Duration::from_millis(5), self.inner.wait_for_updates(by)).await.ok();
        }
        self.inner.renew_lease(by).await
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        if self.broken == Broken::NeverParks {
            return self.inner.renew_lease(by).await;
        }
        self.inner.wait_for_updates(by).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        locked(&self.left).push(by.clone());
        if self.broken == Broken::LetsAnyLeaseLeave {
            self.inner.leave(&Lease { epoch: by.epoch.next(), ..by.clone() }).await?;
        }
        self.inner.leave(by).await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.inner.nodes().await
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        self.inner.advertise(by, offer).await
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.inner.list_nodes().await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.inner.drain(node, drain).await
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        self.inner.forget(node).await
    }
}

fn world(broken: Broken) -> StoreFixture {
    opened(broken, VirtualClock::default())
}

fn opened(broken: Broken, clock: VirtualClock) -> StoreFixture {
    let inner = MemoryStore::new(Arc::new(clock.clone()));
    let store = BrokenStore {
        inner,
        broken,
        ids: SequentialIds::seeded(77),
        swept: Mutex::default(),
        handed: Mutex::default(),
        left: Mutex::default(),
    };
    StoreFixture::new(Arc::new(store), clock)
}

fn holds(broken: Broken, rule: impl AsyncFnOnce(&StoreFixture)) -> bool {
    let world = world(broken);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    runtime.is_ok_and(|runtime| catch_unwind(AssertUnwindSafe(|| runtime.block_on(rule(&world)))).is_ok())
}

macro_rules! controls {
    ($($control:ident: $broken:ident fails $rule:ident;)+) => { $(
        #[test]
        fn $control() {
            assert!(holds(Broken::Nothing, store::$rule), "the rule holds for a right store");
            assert!(!holds(Broken::$broken, store::$rule), "the rule fails for a broken store");
        }
    )+ };
}

controls! {
    a_store_that_ignores_the_expected_revision_fails: IgnoresExpected fails a_conflict_writes_nothing;
    a_store_that_lets_two_changes_win_fails: IgnoresExpected fails one_of_many_concurrent_commits_is_written;
    a_store_that_ignores_ops_fails: IgnoresOps fails a_repeated_operation_gets_the_same_answer;
    a_store_that_counts_wishes_twice_fails: IgnoresOps fails a_repeated_pending_action_gets_the_same_number;
    a_store_that_lets_anyone_write_fails: IgnoresOwners fails only_the_owner_writes_an_owned_process;
    a_store_that_overfills_a_node_fails: IgnoresRoom fails roots_are_claimed_up_to_the_root_limit;
    a_store_that_makes_everyone_wait_fails: IgnoresClaimFor fails an_immediate_claim_succeeds_with_a_free_slot;
    a_store_that_mixes_records_up_fails: LoadsInItsOwnOrder fails records_are_loaded_in_the_requested_order;
    a_store_that_turns_pages_the_wrong_way_fails: ListsOldestFirst fails pages_list_the_newest_process_first;
    a_store_that_hides_gaps_fails: HidesGaps fails a_trimmed_log_reports_the_gap;
    a_store_that_swallows_news_fails: SwallowsNews fails a_change_between_two_waits_is_not_lost;
    a_store_that_never_parks_fails: NeverParks fails a_waiting_read_returns_with_the_next_event;
    a_store_that_calls_for_nothing_fails: NeverParks fails a_received_notification_is_not_repeated;
    a_store_that_sweeps_too_much_fails: SweepsTheWrongOnes fails a_prune_deletes_the_oldest_records_first;
    a_store_that_forgets_who_was_told_to_end_fails: ForgetsMarks fails a_terminated_tree_gets_no_children;
    a_store_that_loses_a_cascade_fails: ForgetsMarks fails an_unfinished_cascade_is_handed_out_until_it_is_finished;
    a_store_that_attends_to_nobody_fails: AttendsToNobody fails a_process_that_waits_for_its_children_is_handed_out;
    a_store_that_forgets_a_move_fails: ForgetsMoves fails a_moved_process_takes_its_new_position;
    a_store_that_lets_a_moved_key_wait_fails: ForgetsMoves fails a_changed_priority_counts_across_keys;
    a_store_that_forgets_a_move_by_and_by_fails: ForgetsMoves fails a_changed_priority_is_kept_for_later_attempts;
    a_store_that_forgets_who_held_a_queue_fails: ForgetsHolds fails a_hold_is_stored_with_its_time_and_author;
    a_store_that_loses_holders_fails: HidesHolders fails slots_are_correct_after_every_change;
    a_store_that_does_not_count_its_sweeps_fails: HidesTotals fails a_prune_returns_the_total_number_of_pruned_records;
    a_store_that_looks_at_parents_only_fails: LooksAtParentsOnly fails an_ending_ancestor_closes_the_whole_tree;
    a_store_that_opens_a_tree_too_early_fails: LooksAtParentsOnly fails a_terminated_tree_stays_closed_until_all_descendants_have_ended;
    a_store_that_closes_a_tree_for_ever_fails: NeverOpensAgain fails children_of_an_ended_process_can_still_get_children;
    a_store_that_lets_any_lease_write_fails: LetsAnyLeaseWrite fails an_old_lease_writes_no_process_without_an_owner;
    a_store_that_ends_parents_above_life_fails: EndsAboveLife fails a_change_that_requires_no_descendants_is_refused_while_a_descendant_is_live;
    a_store_that_lets_a_child_join_an_end_fails: EndsAboveLife fails a_child_joins_before_the_end_of_its_parent_or_not_at_all;
    a_store_that_overlooks_wishes_fails: OverlooksWishes fails a_pending_action_without_owner_is_handed_out;
    a_store_that_calls_nobody_for_wishes_fails: CallsNobody fails a_pending_action_without_owner_notifies_every_node;
    a_store_that_forgets_whom_it_swept_fails: ForgetsTheSwept fails a_repeated_submission_is_recognized_after_a_prune;
    a_store_that_forgets_vitals_fails: ForgetsVitals fails only_the_latest_live_stats_are_stored;
    a_store_that_claims_for_any_lease_fails: ClaimsForAnyLease fails an_immediate_claim_needs_the_newest_lease;
    a_store_that_refuses_newer_limits_fails: RefusesNewerLimits fails a_submission_with_limits_of_a_newer_policy_is_accepted;
    a_store_that_overtakes_shared_waiters_fails: SeesPinnedWaitersOnly fails an_immediate_claim_does_not_overtake_a_process_that_this_node_may_run;
    a_store_that_claims_what_is_held_fails: ClaimsWhatIsHeld fails an_immediate_claim_takes_no_slot_of_a_held_key;
    a_store_that_refuses_what_is_delayed_fails: RefusesWhatIsDelayed fails a_launch_that_must_not_wait_is_refused_without_a_free_slot;
    a_store_that_lets_delayed_work_starve_fails: LetsDelayedStarve fails delayed_work_whose_ancestors_hold_all_slots_is_refused;
    a_store_that_lets_any_lease_leave_fails: LetsAnyLeaseLeave fails a_leave_under_an_old_lease_does_not_affect_the_newer_registration;
    a_store_that_fences_who_left_fails: FencesWhoLeft fails a_node_that_leaves_keeps_its_lease;
    a_store_that_joins_silently_fails: JoinsSilently fails a_registered_node_is_notified_of_existing_work;
    a_store_that_lists_without_bound_fails: ListsWithoutBound fails a_page_contains_one_to_a_thousand_records;
    a_store_that_forgets_vitals_at_commits_fails: ForgetsVitalsAtCommits fails live_stats_survive_a_commit;
    a_store_that_takes_vitals_of_the_ended_fails: ForgetsVitals fails live_stats_of_an_ended_process_are_a_conflict;
    a_store_that_keeps_a_hand_out_fails: HandsOutOnce fails a_commit_ends_the_reservation_of_a_due_process;
    a_store_that_forgets_answers_fails: ForgetsAnswers fails an_answer_survives_the_pruning_of_its_record;
    a_store_that_mixes_queues_up_fails: MixesQueuesUp fails queues_are_sorted_by_key;
    a_store_that_forgets_homes_fails: ForgetsHomes fails a_node_that_owns_processes_belongs_to_its_state_directory;
    a_store_that_forgets_who_left_work_behind_fails: ForgetsHomes fails a_node_that_left_with_unfinished_processes_belongs_to_its_state_directory;
}

/// Generates tests that check that the model detects a faulty store. Only faults that nearly every random script
/// reveals are listed.
macro_rules! model_controls {
    ($($control:ident: $broken:ident;)+) => { $(
        #[test]
        fn $control() {
            let holds = |broken| {
                let open = async |clock| opened(broken, clock);
                catch_unwind(AssertUnwindSafe(|| model::holds_in(open, SCRIPTS))).is_ok()
            };
            assert!(!holds(Broken::$broken), "the model sees no difference");
        }
    )+ };
}

/// Maximum number of scripts that are run before a store counts as correct.
const SCRIPTS: u32 = 4_096;

model_controls! {
    a_store_that_ignores_the_expected_revision_differs_from_the_model: IgnoresExpected;
    a_store_that_ignores_ops_differs_from_the_model: IgnoresOps;
    a_store_that_lets_anyone_write_differs_from_the_model: IgnoresOwners;
    a_store_that_lets_any_lease_write_differs_from_the_model: LetsAnyLeaseWrite;
    a_store_that_overfills_a_node_differs_from_the_model: IgnoresRoom;
    a_store_that_makes_everyone_wait_differs_from_the_model: IgnoresClaimFor;
    a_store_that_mixes_records_up_differs_from_the_model: LoadsInItsOwnOrder;
    a_store_that_sweeps_too_much_differs_from_the_model: SweepsTheWrongOnes;
    a_store_that_forgets_whom_it_swept_differs_from_the_model: ForgetsTheSwept;
    a_store_that_does_not_count_its_sweeps_differs_from_the_model: HidesTotals;
    a_store_that_forgets_vitals_differs_from_the_model: ForgetsVitals;
    a_store_that_forgets_who_was_told_to_end_differs_from_the_model: ForgetsMarks;
    a_store_that_forgets_a_move_differs_from_the_model: ForgetsMoves;
    a_store_that_forgets_who_held_a_queue_differs_from_the_model: ForgetsHolds;
    a_store_that_loses_holders_differs_from_the_model: HidesHolders;
    a_store_that_attends_to_nobody_differs_from_the_model: AttendsToNobody;
    a_store_that_overlooks_wishes_differs_from_the_model: OverlooksWishes;
    a_store_that_closes_a_tree_for_ever_differs_from_the_model: NeverOpensAgain;
    a_store_that_looks_at_parents_only_differs_from_the_model: LooksAtParentsOnly;
    a_store_that_ends_parents_above_life_differs_from_the_model: EndsAboveLife;
    a_store_that_claims_for_any_lease_differs_from_the_model: ClaimsForAnyLease;
    a_store_that_refuses_newer_limits_differs_from_the_model: RefusesNewerLimits;
    a_store_that_overtakes_shared_waiters_differs_from_the_model: SeesPinnedWaitersOnly;
    a_store_that_claims_what_is_held_differs_from_the_model: ClaimsWhatIsHeld;
    a_store_that_refuses_what_is_delayed_differs_from_the_model: RefusesWhatIsDelayed;
    a_store_that_lets_any_lease_leave_differs_from_the_model: LetsAnyLeaseLeave;
    a_store_that_fences_who_left_differs_from_the_model: FencesWhoLeft;
    a_store_that_forgets_vitals_at_commits_differs_from_the_model: ForgetsVitalsAtCommits;
    a_store_that_keeps_a_hand_out_differs_from_the_model: HandsOutOnce;
    a_store_that_forgets_answers_differs_from_the_model: ForgetsAnswers;
    a_store_that_mixes_queues_up_differs_from_the_model: MixesQueuesUp;
    a_store_that_forgets_homes_differs_from_the_model: ForgetsHomes;
}

/// If a store differs from the model, the failure message names the differing fields, with the values in the store and
/// in the model.
#[test]
fn the_model_names_the_fields_that_differ() {
    let open = async |clock| opened(Broken::ForgetsVitals, clock);
    let failure = catch_unwind(AssertUnwindSafe(|| model::holds_in(open, SCRIPTS))).unwrap_err();
    let reported = failure.downcast_ref::<String>().unwrap();
    assert!(reported.contains("live_stats.output_bytes: the store 0, the model "), "{reported}");
    assert!(reported.contains("after [\n"), "{reported}");
}

/// Checks that every rule in the sources of a suite is listed in the macro that adapters call.
#[test]
fn no_rule_is_left_out_of_its_suite() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/suite");
    for suite in ["store", "clock", "ids", "output", "spawner", "environment_store"] {
        let whole = std::fs::read_to_string(format!("{source}/{suite}.rs")).unwrap();
        let mut texts = vec![whole];
        if let Ok(parts) = std::fs::read_dir(format!("{source}/{suite}")) {
            texts.extend(parts.map(|part| std::fs::read_to_string(part.unwrap().path()).unwrap()));
        }
        // A source file of a suite may define its own list of rules.
        let lists = texts.iter().filter_map(|text| {
            text.split_once(&format!("$open, {suite},")).or_else(|| text.split_once("durable_rules! {"))
        });
        let listed: Vec<&str> = lists.flat_map(|(_, list)| list.split_whitespace()).collect();
        let rules: Vec<String> = texts
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.strip_prefix("pub async fn "))
            .filter_map(|rest| rest.split_once("(world").map(|(name, _)| name.to_owned()))
            .collect();
        assert!(rules.len() > 3, "{suite} has rules");
        for rule in &rules {
            assert!(listed.contains(&rule.as_str()), "{rule} is not in the suite {suite}");
        }
    }
}

/// Returns true if the rule passes.
fn passes(rule: impl Future<Output = ()>) -> bool {
    catch_unwind(AssertUnwindSafe(|| hold(rule))).is_ok()
}

/// A store handle that serialises its own commits but ignores other handles. A store behaves like this if it relies on
/// a lock in its own operating system process instead of a lock in the database.
#[derive(Clone, Debug)]
struct Racy {
    inner: MemoryStore,
    mine: Arc<tokio::sync::Mutex<()>>,
    /// Number of commits that passed the check of their revision, counted over all handles.
    passed: watch::Sender<usize>,
}

#[async_trait]
impl StoreDecorator for Racy {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn commit(&self, mut change: Change) -> Result<Revision, StoreError> {
        let _mine = self.mine.lock().await;
        let id = change.next.id;
        let found = ProcessStore::load(&self.inner, &[id]).await?.remove(0).unwrap();
        if found.revision != change.expected {
            return Err(StoreError::Conflict { found: found.revision });
        }
        // Waits until a commit through another handle has passed the same check. If there is no other handle, a timeout
        // ends the wait.
        self.passed.send_modify(|passed| *passed += 1);
        let mut passed = self.passed.subscribe();
        drop(tokio::time::timeout(Duration::from_secs(1), passed.wait_for(|passed| *passed >= 2)).await);
        let now = ProcessStore::load(&self.inner, &[id]).await?.remove(0).unwrap();
        change.expected = now.revision;
        ProcessStore::commit(&self.inner, change).await
    }
}

/// With a single handle, a lock inside one operating system process hides the race. With two handles, the rule detects
/// the race.
#[test]
fn a_store_that_serialises_within_one_process_alone_fails_with_another_handle() {
    let opened = |with_another: bool| {
        let clock = VirtualClock::default();
        let inner = MemoryStore::new(Arc::new(clock.clone()));
        let passed = watch::Sender::new(0);
        let world = StoreFixture::new(racy(&inner, &passed), clock);
        if with_another {
            world.with_another(move || std::future::ready(racy(&inner, &passed)))
        } else {
            world
        }
    };
    let rule = async |world: StoreFixture| store::one_of_many_concurrent_commits_is_written(&world).await;
    assert!(passes(rule(opened(false))), "one handle hides it");
    assert!(!passes(rule(opened(true))), "two handles show it");
}

fn racy(inner: &MemoryStore, passed: &watch::Sender<usize>) -> Arc<dyn Store> {
    Arc::new(Racy { inner: inner.clone(), mine: Arc::default(), passed: passed.clone() })
}

/// If a store acknowledges data before writing it, the data is lost when the store is reopened, and the rule fails.
#[test]
fn a_store_that_acknowledges_too_early_fails_when_it_is_reopened() {
    let opened = |is_right: bool| {
        let clock = VirtualClock::default();
        let inner = MemoryStore::new(Arc::new(clock.clone()));
        let time = clock.clone();
        let kept = if is_right { inner.clone() } else { MemoryStore::new(Arc::new(time)) };
        let reopen = move || std::future::ready(Arc::new(kept.clone()) as Arc<dyn Store>);
        StoreFixture::new(Arc::new(inner), clock).with_reopening(reopen)
    };
    assert!(passes(store::acknowledged_writes_exist_after_reopening(opened(true))));
    assert!(!passes(store::acknowledged_writes_exist_after_reopening(opened(false))));
}

mod cut {
    use super::*;

    /// Error that a store returns when its connection is cut: the correct one, or always `Unavailable`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Says {
        Truth,
        AlwaysUnavailable,
    }

    fn opened(says: Says, clock: VirtualClock) -> StoreFixture {
        let memory = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let faulty = Arc::new(FaultyStore::new(memory, Arc::new(clock.clone())));
        let cut = faulty.clone();
        let world = match says {
            Says::Truth => StoreFixture::new(faulty, clock),
            Says::AlwaysUnavailable => StoreFixture::new(Arc::new(Liar { inner: faulty }), clock),
        };
        world.with_cut(move |at| match at {
            ConnectionCut::BeforeCommit => cut.fail(1, Fault::Unavailable),
            ConnectionCut::AfterCommit => cut.fail(1, Fault::Unknown),
        })
    }

    /// A faulty store: if the answer to a write is lost, it reports that the write was not applied.
    #[derive(Debug)]
    struct Liar {
        inner: Arc<FaultyStore>,
    }

    #[async_trait]
    impl StoreDecorator for Liar {
        type Inner = FaultyStore;

        fn inner(&self) -> &FaultyStore {
            &self.inner
        }

        fn around<T: Send>(
            &self,
            _: StoreCall,
            work: impl Future<Output = Result<T, StoreError>> + Send,
        ) -> impl Future<Output = Result<T, StoreError>> + Send {
            mistaken(work)
        }
    }

    async fn mistaken<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let answer = work.await;
        if let Err(StoreError::Unknown { source, .. }) = answer {
            return Err(StoreError::Unavailable { source });
        }
        answer
    }

    longhaul_testkit::connected_store_suite!(async |clock| opened(Says::Truth, clock));

    #[test]
    fn a_store_that_calls_a_lost_answer_unavailable_fails() {
        let world = opened(Says::AlwaysUnavailable, VirtualClock::default());
        assert!(!passes(store::a_commit_over_a_cut_connection_is_applied_once(&world)));
    }
}

/// Checks that the comparison of two stores fails if the stores differ.
#[tokio::test]
#[should_panic(expected = "both stores were asked for")]
async fn a_store_that_differs_from_the_reference_is_reported() {
    agreement::agree(&world(Broken::Nothing), &world(Broken::IgnoresRoom), 3, 400).await;
}
