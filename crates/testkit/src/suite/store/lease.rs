//! Rules about leases that expire: claims under a lease, and the processes of a lost node.

use super::draft::SubmissionBuilder;
use super::world::{StoreFixture, claimant, exited, ids, node_id, room};
use crate::suite::{must, refused, some};
use longhaul_domain::{
    Action, Capability, Input, LiveStats, NodeId, Observation, Placement, RetryPolicy, Status,
};
use longhaul_ports::{
    ForgetOutcome, KnownNode, Lease, NodeAdvertisement, Presence, StoreError, StoredProcess, SubmitOutcome,
    Writer,
};
use std::time::Duration;

/// Duration of a lease in the stores that this suite opens.
pub const LEASE: Duration = Duration::from_secs(5);
/// Grace period in the stores that this suite opens: the time after the end of its lease during which a node still owns
/// its processes.
pub const GRACE: Duration = Duration::from_secs(10);

const S: Duration = Duration::from_secs(1);
const M: Duration = Duration::from_millis(1);

/// Generates one test for each rule about stores whose leases expire. Such a store must also pass the rules for all
/// stores, which need longer leases.
///
/// Takes an async function from a [`VirtualClock`](crate::fakes::VirtualClock) to a [`StoreFixture`] around an empty
/// store. Its leases last [`LEASE`](crate::suite::store::LEASE), followed by a grace period of
/// [`GRACE`](crate::suite::store::GRACE).
#[macro_export]
macro_rules! leased_store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            async $open, store,
            a_renewal_extends_a_lease_to_its_full_duration
            an_expired_lease_claims_nothing
            an_immediate_claim_is_refused_under_an_expired_lease
            a_node_keeps_its_processes_until_its_grace_period_ends
            an_owner_writes_until_its_processes_are_taken_away
            a_lost_node_loses_its_processes
            a_renewal_reports_when_a_silent_node_is_lost
            the_lease_of_a_lost_node_is_fenced_everywhere
            a_process_of_a_lost_node_is_due_until_a_decision
            a_requeued_process_of_a_lost_node_is_claimed_by_another_node
            any_engine_executes_the_pending_actions_for_a_process_of_a_lost_node
            a_repeated_check_of_a_lost_node_takes_nothing_more
            a_timely_registration_keeps_the_processes_of_a_node
            a_renewal_in_the_grace_period_keeps_the_processes
            a_returning_lost_node_has_a_higher_epoch_and_owns_nothing
            an_outage_of_the_store_takes_no_processes_away
            a_node_that_left_is_never_lost
            a_draining_node_claims_nothing_and_keeps_its_processes
            a_node_stays_drained_when_it_registers_again
            a_forgotten_node_is_not_listed_and_owns_nothing
            a_node_that_may_return_cannot_be_forgotten
            the_advertised_properties_of_a_node_are_listed
            the_output_tail_is_stored_with_the_record
            only_the_owner_stores_the_output_tail
            a_node_name_belongs_to_one_state_directory_during_its_lease
            a_node_name_with_unfinished_processes_is_refused_to_other_state_directories
        }
    };
}

/// Advances the clock in small steps. Only the nodes in `alive` renew their leases during this time.
async fn pass(world: &StoreFixture, alive: &[&Lease], span: Duration) {
    let end = world.now().plus(span);
    while world.now() < end {
        world.clock.advance(end.since(world.now()).min(S));
        for lease in alive {
            must(world.store.renew_lease(lease).await);
        }
    }
}

async fn known(world: &StoreFixture, name: &str) -> KnownNode {
    let id = node_id(name);
    some(must(world.store.list_nodes().await).into_iter().find(|node| node.facts.id == id))
}

async fn presence(world: &StoreFixture, name: &str) -> Presence {
    known(world, name).await.presence
}

/// Creates a lost node with a running process, and a node that is present. Returns both leases and the process.
async fn lost_and_there(world: &StoreFixture, draft: SubmissionBuilder) -> (Lease, Lease, StoredProcess) {
    let (lost, there) = (world.node("a").await, world.node("b").await);
    let running = world.run(draft, &lost).await;
    pass(world, &[&there], LEASE + GRACE).await;
    (lost, there, running)
}

/// Each registration and each renewal extends a lease to its full duration from that time on.
pub async fn a_renewal_extends_a_lease_to_its_full_duration(world: &StoreFixture) {
    let node = world.node("a").await;
    let until = world.now().plus(LEASE);
    assert_eq!(presence(world, "a").await, Presence::Present { until: Some(until) });
    world.clock.advance(S * 3);
    assert_eq!(must(world.store.renew_lease(&node).await).lease_until, Some(world.now().plus(LEASE)));
    assert_eq!(presence(world, "a").await, Presence::Present { until: Some(world.now().plus(LEASE)) });
    world.clock.advance(S * 4);
    must(world.store.claim(&node, &room(&node)).await);
}

/// While a lease is expired, nothing can be claimed under it. After a renewal, claims are possible again.
pub async fn an_expired_lease_claims_nothing(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let waiter = world.submit(world.draft()).await;
    pass(world, &[&other], LEASE - M).await;
    let before = world.submit(world.draft()).await;
    assert_eq!(world.claim_ids(&node).await, [waiter.process.id, before.process.id]);
    let late = world.submit(world.draft()).await;
    pass(world, &[&other], M).await;
    refused!(
        world.store.claim(&node, &room(&node)).await,
        StoreError::Fenced { node: who, epoch } if *who == node.node && *epoch == node.epoch
    );
    assert_eq!(world.load(late.process.id).await, late);
    must(world.store.renew_lease(&node).await);
    assert_eq!(world.claim_ids(&node).await, [late.process.id]);
}

/// A submission with an immediate claim is refused under an expired lease, and writes nothing. A submission without a
/// claim needs no lease.
pub async fn an_immediate_claim_is_refused_under_an_expired_lease(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    pass(world, &[&other], LEASE).await;
    let draft = world.draft().claimed_for(claimant(&node));
    let id = draft.id;
    refused!(world.try_submit(draft).await, StoreError::Fenced { .. });
    assert!(!world.exists(id).await, "a refused submit writes nothing");
    world.submit(world.draft()).await;
}

/// From the end of its lease to the end of the grace period, a node keeps its processes and their slots.
pub async fn a_node_keeps_its_processes_until_its_grace_period_ends(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    limit(world, "gpu", 1).await;
    let running = world.run(world.draft().key("gpu"), &node).await;
    world.submit(world.draft().key("gpu")).await;
    let since = world.now().plus(LEASE);
    pass(world, &[&other], LEASE + GRACE - M).await;
    assert_eq!(presence(world, "a").await, Presence::Unreachable { since, lost_at: since.plus(GRACE) });
    assert_eq!(presence(world, "a").await.unreachable_since(), Some(since));
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    assert_eq!(world.load(running.process.id).await, running);
    assert_eq!(world.claim_ids(&other).await, [], "its slot is taken");
}

/// An owner whose lease has expired can write its processes until another node has taken them away.
pub async fn an_owner_writes_until_its_processes_are_taken_away(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    pass(world, &[&other], LEASE + GRACE - M).await;
    let live_stats = [(running.process.id, running.process.attempt, LiveStats::default())];
    let touched = must(world.store.update_live_stats(&Writer::Owner(node.clone()), &live_stats).await);
    assert!(touched.iter().all(Result::is_ok));
    let ended = must(world.turn(&running, exited(&running, world.now(), 0)).await);
    assert_eq!(ended.process.status(), Status::Completed);
}

/// When the lease and the grace period of a node are over, its processes are handed out as due. They have no owner any
/// more, but are otherwise unchanged and still hold their slots.
pub async fn a_lost_node_loses_its_processes(world: &StoreFixture) {
    limit(world, "gpu", 1).await;
    let since = world.now().plus(LEASE);
    let (_, there, running) = lost_and_there(world, world.draft().key("gpu")).await;
    let waiter = world.submit(world.draft().key("gpu")).await;
    let handed = must(world.store.claim_due(&there, 10).await);
    assert_eq!(handed, [StoredProcess { owner: None, ..running.clone() }]);
    assert_eq!(world.load(running.process.id).await.owner, None);
    assert_eq!(presence(world, "a").await, Presence::Lost { since });
    assert_eq!(world.claim_ids(&there).await, [], "its slot is kept");
    let ended = must(world.turn(&world.load(running.process.id).await, orphaned()).await);
    assert_eq!(ended.process.status(), Status::Interrupted);
    assert_eq!(world.claim_ids(&there).await, [waiter.process.id]);
}

/// Every lease renewal reports the time at which a silent node will be lost, so that another node can act at that time.
pub async fn a_renewal_reports_when_a_silent_node_is_lost(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    world.node("idle").await;
    world.run(world.draft(), &node).await;
    let lost_at = world.now().plus(LEASE + GRACE);
    pass(world, &[&other], S).await;
    assert_eq!(must(world.store.renew_lease(&other).await).due, Some(lost_at));
    must(world.store.renew_lease(&node).await);
    assert_eq!(must(world.store.renew_lease(&other).await).due, Some(world.now().plus(LEASE + GRACE)));
}

/// Every method that requires a lease refuses the last lease of a lost node.
pub async fn the_lease_of_a_lost_node_is_fenced_everywhere(world: &StoreFixture) {
    let (lost, there, running) = lost_and_there(world, world.draft()).await;
    let waiter = world.submit(world.draft()).await;
    must(world.store.claim_due(&there, 10).await);
    let store = &world.store;
    refused!(
        store.commit(world.change(&running, exited(&running, world.now(), 0))).await,
        StoreError::Fenced { .. }
    );
    let mut of_nobody =
        world.change(&waiter, Input::Action(Action::Cancel { cause: longhaul_domain::StopCause::User }));
    of_nobody.author = Writer::Owner(lost.clone());
    refused!(store.commit(of_nobody).await, StoreError::Fenced { .. });
    let live_stats = [(running.process.id, running.process.attempt, LiveStats::default())];
    let touched = must(store.update_live_stats(&Writer::Owner(lost.clone()), &live_stats).await);
    refused!(some(touched.into_iter().next()), StoreError::Fenced { .. });
    refused!(store.claim(&lost, &room(&lost)).await, StoreError::Fenced { .. });
    refused!(world.try_submit(world.draft().claimed_for(claimant(&lost))).await, StoreError::Fenced { .. });
    refused!(store.renew_lease(&lost).await, StoreError::Fenced { .. });
    refused!(store.wait_for_updates(&lost).await, StoreError::Fenced { .. });
    refused!(store.claim_due(&lost, 10).await, StoreError::Fenced { .. });
    refused!(store.advertise(&lost, &NodeAdvertisement::default()).await, StoreError::Fenced { .. });
    must(store.leave(&lost).await);
    assert_eq!(world.load(running.process.id).await, StoredProcess { owner: None, ..running });
    assert_eq!(world.load(waiter.process.id).await, waiter);
    assert!(
        matches!(presence(world, "a").await, Presence::Lost { .. }),
        "the end of an older lease affects no newer one"
    );
}

/// A process of a lost node is handed out to one engine at a time, until a decision ends the process or requeues it.
pub async fn a_process_of_a_lost_node_is_due_until_a_decision(world: &StoreFixture) {
    let (_, there, running) = lost_and_there(world, world.draft()).await;
    assert_eq!(ids(&must(world.store.claim_due(&there, 10).await)), [running.process.id]);
    assert_eq!(must(world.store.claim_due(&there, 10).await), []);
    pass(world, &[&there], S * 5).await;
    let handed = must(world.store.claim_due(&there, 10).await);
    let paused = must(world.turn(some(handed.first()), Input::Action(Action::Pause)).await);
    assert_eq!(paused.owner, None);
    assert_eq!(must(world.store.claim_due(&there, 10).await), std::slice::from_ref(&paused));
    must(world.turn(&paused, orphaned()).await);
    pass(world, &[&there], S * 5).await;
    assert_eq!(must(world.store.claim_due(&there, 10).await), []);
}

/// A process that is requeued after the loss of its node is claimed as a new attempt. Writes for the old attempt are
/// refused.
pub async fn a_requeued_process_of_a_lost_node_is_claimed_by_another_node(world: &StoreFixture) {
    let mut draft = world.draft();
    draft.spec.retry = RetryPolicy { retries: 1, after_interruption: true, ..RetryPolicy::none() };
    let (_, there, running) = lost_and_there(world, draft).await;
    let handed = must(world.store.claim_due(&there, 10).await);
    let retrying = must(world.turn(some(handed.first()), orphaned()).await);
    assert_eq!(retrying.process.status(), Status::Pending);
    pass(world, &[&there], S * 2).await;
    let due = must(world.store.claim_due(&there, 10).await);
    must(world.turn(some(due.first()), Input::Tick).await);
    let claimed = world.claim(&there).await;
    let again = some(claimed.first());
    assert_eq!(
        (again.process.id, again.process.attempt),
        (running.process.id, running.process.attempt.next())
    );
    assert_eq!(again.owner.as_ref(), Some(&there));
    assert_eq!(again.seq, running.seq);
    let back = world.node("a").await;
    let mut late = world.change(&running, exited(&running, world.now(), 0));
    late.author = Writer::Owner(back.clone());
    refused!(world.store.commit(late).await, StoreError::Conflict { .. });
    let mut late = world.change(again, exited(&running, world.now(), 0));
    late.author = Writer::Owner(back);
    refused!(world.store.commit(late).await, StoreError::Fenced { .. });
}

/// Any engine can execute the pending actions for a process of a lost node.
pub async fn any_engine_executes_the_pending_actions_for_a_process_of_a_lost_node(world: &StoreFixture) {
    let (_, there, running) = lost_and_there(world, world.draft()).await;
    let action = longhaul_domain::PendingAction::Pause;
    let no = must(
        world
            .store
            .enqueue_action(&running.process.id, longhaul_ports::IdSource::op(&world.ids), action)
            .await,
    );
    let handed = must(world.store.claim_due(&there, 10).await);
    let taken = some(handed.first());
    assert_eq!(taken.pending_actions, [(no, action)]);
    let mut change = world.change(taken, orphaned());
    change.taken = no;
    must(world.store.commit(change).await);
    assert_eq!(world.load(running.process.id).await.pending_actions, []);
}

/// A second check after a node was lost takes away nothing more. In particular, it does not take processes that the
/// node got after its return.
pub async fn a_repeated_check_of_a_lost_node_takes_nothing_more(world: &StoreFixture) {
    let (_, there, running) = lost_and_there(world, world.draft()).await;
    let third = world.node("c").await;
    assert_eq!(ids(&must(world.store.claim_due(&there, 10).await)), [running.process.id]);
    assert_eq!(must(world.store.claim_due(&third, 10).await), []);
    let back = world.node("a").await;
    let fresh = world.run(world.draft(), &back).await;
    assert_eq!(must(world.store.claim_due(&third, 10).await), []);
    assert_eq!(world.load(fresh.process.id).await.owner, Some(back.clone()));
    must(world.store.renew_lease(&back).await);
}

/// A node that registers again before its processes are taken away keeps all of them.
pub async fn a_timely_registration_keeps_the_processes_of_a_node(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    pass(world, &[&other], LEASE + GRACE - M).await;
    let again = world.node("a").await;
    assert!(again.epoch > node.epoch);
    pass(world, &[&again, &other], GRACE).await;
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    assert_eq!(world.load(running.process.id).await, StoredProcess { owner: Some(again), ..running });
}

/// A node that renews its lease before its processes are taken away keeps all of them.
pub async fn a_renewal_in_the_grace_period_keeps_the_processes(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    pass(world, &[&other], LEASE + GRACE - M).await;
    assert_eq!(must(world.store.renew_lease(&node).await).lease_until, Some(world.now().plus(LEASE)));
    pass(world, &[&other], LEASE + GRACE - M).await;
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    assert_eq!(world.load(running.process.id).await, running);
    assert_eq!(world.claim_ids(&other).await, []);
}

/// A lost node that returns does not get back the processes that were taken away.
pub async fn a_returning_lost_node_has_a_higher_epoch_and_owns_nothing(world: &StoreFixture) {
    let (lost, there, running) = lost_and_there(world, world.draft()).await;
    must(world.store.claim_due(&there, 10).await);
    let back = world.node("a").await;
    assert!(back.epoch > lost.epoch);
    assert!(matches!(presence(world, "a").await, Presence::Present { .. }));
    assert_eq!(world.load(running.process.id).await.owner, None);
    refused!(world.store.renew_lease(&lost).await, StoreError::Fenced { .. });
}

/// If no node renewed its lease for a whole lease duration, the store itself must have been unreachable. Therefore no
/// node loses its processes.
pub async fn an_outage_of_the_store_takes_no_processes_away(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    world.clock.advance(S * 600);
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    must(world.store.renew_lease(&other).await);
    pass(world, &[&other], LEASE + GRACE - M).await;
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    assert_eq!(world.load(running.process.id).await, running);
    pass(world, &[&other], M).await;
    assert_eq!(ids(&must(world.store.claim_due(&other, 10).await)), [running.process.id]);
}

/// If a node leaves explicitly, its lease does not expire. Its processes wait until the node registers again.
pub async fn a_node_that_left_is_never_lost(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    must(world.store.leave(&node).await);
    pass(world, &[&other], S * 60).await;
    assert_eq!(presence(world, "a").await, Presence::Left);
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    let again = world.node("a").await;
    assert_eq!(world.load(running.process.id).await.owner, Some(again));
}

/// A drained node gets no new processes, neither by claims nor by submissions. Its running processes continue.
pub async fn a_draining_node_claims_nothing_and_keeps_its_processes(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    assert!(must(world.store.drain(&node.node, true).await));
    assert!(known(world, "a").await.draining);
    let submitted = must(world.try_submit(world.draft().claimed_for(claimant(&node))).await);
    assert!(matches!(submitted, SubmitOutcome::Waiting(_)), "{submitted:?}");
    refused!(
        world.try_submit(world.draft().claimed_for(claimant(&node)).or_refused()).await,
        StoreError::Refused(longhaul_ports::StoreRejection::NoSlot { .. })
    );
    assert_eq!(world.claim_ids(&node).await, []);
    world.exit(&running, 0).await;
    assert_eq!(world.claim_ids(&node).await, []);
    assert!(must(world.store.drain(&node.node, false).await));
    assert_eq!(world.claim(&node).await.len(), 1);
    assert!(!must(world.store.drain(&node_id("never-joined"), true).await));
}

/// A node stays drained when it registers again.
pub async fn a_node_stays_drained_when_it_registers_again(world: &StoreFixture) {
    let node = world.node("a").await;
    must(world.store.drain(&node.node, true).await);
    world.submit(world.draft()).await;
    let again = world.node("a").await;
    assert!(known(world, "a").await.draining);
    assert_eq!(world.claim_ids(&again).await, []);
}

/// A node that has left can be removed. The node is then no longer listed, and any engine can decide about its
/// processes.
pub async fn a_forgotten_node_is_not_listed_and_owns_nothing(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    must(world.store.leave(&node).await);
    assert_eq!(must(world.store.forget(&node.node).await), ForgetOutcome::Forgotten);
    assert_eq!(must(world.store.forget(&node.node).await), ForgetOutcome::Unknown);
    let names: Vec<NodeId> =
        must(world.store.list_nodes().await).into_iter().map(|node| node.facts.id).collect();
    assert_eq!(names, std::slice::from_ref(&other.node));
    assert!(must(world.store.nodes().await).iter().all(|facts| facts.id != node.node));
    assert_eq!(ids(&must(world.store.claim_due(&other, 10).await)), [running.process.id]);
    refused!(world.store.renew_lease(&node).await, StoreError::Fenced { .. });
    let back = world.node("a").await;
    assert!(back.epoch > node.epoch, "{:?} after {:?}", back.epoch, node.epoch);
    assert_eq!(known(world, "a").await.presence, Presence::Present { until: Some(world.now().plus(LEASE)) });
}

/// A node cannot be removed while it is present or its grace period is not over. A lost node can be removed.
pub async fn a_node_that_may_return_cannot_be_forgotten(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    assert_eq!(must(world.store.forget(&node.node).await), ForgetOutcome::Alive);
    pass(world, &[&other], LEASE + GRACE - M).await;
    assert_eq!(must(world.store.forget(&node.node).await), ForgetOutcome::Alive);
    assert_eq!(world.load(running.process.id).await, running);
    pass(world, &[&other], M).await;
    assert_eq!(must(world.store.forget(&node.node).await), ForgetOutcome::Forgotten);
    assert_eq!(ids(&must(world.store.claim_due(&other, 10).await)), [running.process.id]);
    assert_eq!(must(world.store.forget(&node_id("never-joined")).await), ForgetOutcome::Unknown);
}

/// The labels, the address and the root limit that a node has advertised are listed until its next registration.
pub async fn the_advertised_properties_of_a_node_are_listed(world: &StoreFixture) {
    let node = world.node("a").await;
    assert_eq!(known(world, "a").await.offer, NodeAdvertisement::default());
    let offer = NodeAdvertisement {
        labels: [label("gpu"), label("big")].into(),
        address: Some("https://10.0.0.7:7777".to_owned()),
        roots: Some(4),
    };
    must(world.store.advertise(&node, &offer).await);
    let listed = known(world, "a").await;
    assert_eq!(listed.offer, offer);
    assert!(listed.fits(&Placement::Labels(vec![label("gpu")])));
    assert!(!listed.fits(&Placement::Labels(vec![label("gpu"), label("arm")])));
    world.node("a").await;
    assert_eq!(known(world, "a").await.offer, NodeAdvertisement::default());
    refused!(world.store.advertise(&node, &offer).await, StoreError::Fenced { .. });
}

const fn orphaned() -> Input {
    Input::Observation(Observation::OwnerLost)
}

fn label(text: &str) -> Capability {
    must(Capability::new(text))
}

async fn limit(world: &StoreFixture, key: &str, slots: u32) {
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert(key.to_owned(), slots);
    must(world.store.set_policy(version, &policy).await);
}
