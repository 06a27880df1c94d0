//! Rules about trees: which processes may have children, the maximum depth, and the maximum number of processes per
//! level.

use super::world::{StoreFixture, cancel, claimant, descendants_ended, everything, exited, terminate};
use crate::suite::{instead_of, must, refused};
use longhaul_domain::{Level, Lineage, Status, TreeLimits};
use longhaul_ports::{StoreError, StoreRejection};

/// A child of an unknown parent is refused.
pub async fn a_missing_parent_is_refused(world: &StoreFixture) {
    let missing = world.draft().id;
    let mut draft = world.draft();
    draft.lineage = Lineage::default().child_of(missing);
    let id = draft.id;
    refused!(
        world.try_submit(draft).await,
        StoreError::Refused(StoreRejection::ParentMissing { parent }) if *parent == missing
    );
    assert!(!world.exists(id).await);
}

/// A process that is stopping or has ended gets no more children.
pub async fn an_ending_parent_gets_no_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let parent = world.run(world.draft(), &node).await;
    let stopping = must(world.turn(&parent, cancel()).await);
    let id = parent.process.id;
    refused!(
        world.try_submit(world.draft().child_of(&parent)).await,
        StoreError::Refused(StoreRejection::AncestorClosing { ancestor }) if *ancestor == id
    );
    must(world.turn(&stopping, exited(&stopping, world.now(), 0)).await);
    refused!(
        world.try_submit(world.draft().child_of(&parent)).await,
        StoreError::Refused(StoreRejection::AncestorClosing { ancestor }) if *ancestor == id
    );
}

/// A descendant of a stopping process gets no more children either.
pub async fn an_ending_ancestor_closes_the_whole_tree(world: &StoreFixture) {
    let node = world.node("a").await;
    let root = world.run(world.draft(), &node).await;
    let child = world.run(world.draft().child_of(&root), &node).await;
    must(world.turn(&root, cancel()).await);
    refused!(
        world.try_submit(world.draft().child_of(&child)).await,
        StoreError::Refused(StoreRejection::AncestorClosing { ancestor }) if *ancestor == root.process.id
    );
}

/// If a process ended normally, its live children can still get children, even after the record of the ended process
/// was pruned.
pub async fn children_of_an_ended_process_can_still_get_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let root = world.run(world.draft(), &node).await;
    let child = world.run(world.draft().child_of(&root), &node).await;
    world.exit(&root, 0).await;
    let id = root.process.id;
    world.submit(world.draft().child_of(&child)).await;
    refused!(
        world.try_submit(world.draft().child_of(&root)).await,
        StoreError::Refused(StoreRejection::AncestorClosing { ancestor }) if *ancestor == id
    );
    assert_eq!(must(world.store.prune(&everything(), 10).await).ids, [id]);
    world.submit(world.draft().child_of(&child)).await;
    refused!(
        world.try_submit(world.draft().child_of(&root)).await,
        StoreError::Refused(StoreRejection::ParentMissing { parent }) if *parent == id
    );
}

/// If a process was terminated together with its descendants, no process can join its tree after its own end, until all
/// its descendants are observed to have ended.
pub async fn a_terminated_tree_stays_closed_until_all_descendants_have_ended(world: &StoreFixture) {
    let node = world.node("a").await;
    let root = world.run(world.draft(), &node).await;
    let child = world.run(world.draft().child_of(&root), &node).await;
    let stopping = must(world.turn(&root, terminate()).await);
    let ended = world.exit(&stopping, 0).await;
    refused!(
        world.try_submit(world.draft().child_of(&child)).await,
        StoreError::Refused(StoreRejection::AncestorClosing { ancestor }) if *ancestor == root.process.id
    );
    must(world.turn(&ended, descendants_ended()).await);
    world.submit(world.draft().child_of(&child)).await;
}

/// Some changes require that the process has no live descendants. While a descendant at any depth is alive, the store
/// refuses such a change and writes no data.
pub async fn a_change_that_requires_no_descendants_is_refused_while_a_descendant_is_live(
    world: &StoreFixture,
) {
    let node = world.node("a").await;
    let (_other, _its_child) = world.lingering(&node, world.draft()).await;
    let top = world.run(world.draft(), &node).await;
    let (parent, child) = world.lingering(&node, world.draft().child_of(&top)).await;
    world.run(world.draft().child_of(&top), &node).await;
    let grandchild = world.run(world.draft().child_of(&child), &node).await;
    let mut end = world.change(&parent, descendants_ended());
    end.require_no_live_descendants = true;
    for living in [child, grandchild] {
        refused!(
            world.store.commit(end.clone()).await,
            StoreError::Refused(StoreRejection::DescendantLives { descendant }) if *descendant == living.process.id
        );
        assert_eq!(world.load(parent.process.id).await, parent);
        world.exit(&living, 0).await;
    }
    must(world.store.commit(end).await);
    assert!(world.load(parent.process.id).await.process.status().is_ended());
}

/// A child is submitted while a concurrent commit ends its parent on the condition that the parent has no live
/// descendants. Exactly one of the two writes is refused.
pub async fn a_child_joins_before_the_end_of_its_parent_or_not_at_all(world: &StoreFixture) {
    let node = world.node("a").await;
    for turn in 0..20 {
        let (parent, child) = world.lingering(&node, world.draft()).await;
        world.exit(&child, 0).await;
        let mut end = world.change(&parent, descendants_ended());
        end.require_no_live_descendants = true;
        let joining = world.submission(world.draft().reported().child_of(&parent)).await;
        let (ended, joined) = if turn % 2 == 0 {
            tokio::join!(world.store.commit(end), world.store.submit(joining))
        } else {
            let (joined, ended) = tokio::join!(world.store.submit(joining), world.store.commit(end));
            (ended, joined)
        };
        match (ended, joined) {
            (Ok(_), Err(StoreError::Refused(StoreRejection::AncestorClosing { .. })))
            | (Err(StoreError::Refused(StoreRejection::DescendantLives { .. })), Ok(_)) => {}
            both => instead_of("one that is refused", &both),
        }
    }
}

/// A paused process and reported work can get children.
pub async fn paused_processes_and_reported_work_can_get_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let parent = world.run(world.draft(), &node).await;
    let pause = longhaul_domain::Input::Action(longhaul_domain::Action::Pause);
    let paused = must(world.turn(&parent, pause).await);
    world.submit(world.draft().child_of(&paused)).await;
    let reported = world.submit(world.draft().reported()).await;
    world.submit(world.draft().child_of(&reported)).await;
}

/// If a process is waiting for its children, these children can get children of their own.
pub async fn children_of_a_waiting_parent_can_get_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let (_, child) = world.lingering(&node, world.draft()).await;
    world.submit(world.draft().child_of(&child)).await;
}

/// After a tree was terminated, no process can join it, even if the terminated root is still waiting for its children.
pub async fn a_terminated_tree_gets_no_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let (parent, child) = world.lingering(&node, world.draft()).await;
    let marked = must(world.turn(&parent, terminate()).await);
    assert_eq!(marked.process.status(), Status::Running);
    let id = parent.process.id;
    for below in [&parent, &child] {
        refused!(
            world.try_submit(world.draft().child_of(below)).await,
            StoreError::Refused(StoreRejection::AncestorClosing { ancestor }) if *ancestor == id
        );
    }
}

/// A process that is waiting for its children still counts toward the limit of its level.
pub async fn a_level_counts_processes_that_wait_for_their_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let tree = TreeLimits { max_level: Level(10), per_level: 1 };
    let root = world.run(world.draft(), &node).await;
    let (parent, child) = world.lingering(&node, world.draft().child_of(&root)).await;
    refused!(
        world.try_submit(world.draft().within(tree).child_of(&root)).await,
        StoreError::Refused(StoreRejection::LevelFull { level: Level(1), live: 1, limit: 1 })
    );
    world.exit(&child, 0).await;
    must(world.turn(&parent, descendants_ended()).await);
    world.submit(world.draft().within(tree).child_of(&root)).await;
}

/// A tree cannot grow deeper than its limit.
pub async fn a_child_beyond_the_maximum_level_is_refused(world: &StoreFixture) {
    let tree = TreeLimits { max_level: Level(1), per_level: 20 };
    let root = world.submit(world.draft().within(tree)).await;
    let child = world.submit(world.draft().within(tree).child_of(&root)).await;
    refused!(
        world.try_submit(world.draft().within(tree).child_of(&child)).await,
        StoreError::Refused(StoreRejection::TooDeep { level: Level(2), max_level: Level(1) })
    );
}

/// The number of live processes on a level of a tree is limited. Each ended process makes room for another.
pub async fn a_full_level_refuses_children_until_a_process_ends(world: &StoreFixture) {
    let tree = TreeLimits { max_level: Level(10), per_level: 2 };
    let root = world.submit(world.draft().within(tree)).await;
    let other = world.submit(world.draft().within(tree)).await;
    let draft = |parent| world.draft().within(tree).child_of(parent);
    let child = world.submit(draft(&root)).await;
    world.submit(draft(&root)).await;
    refused!(
        world.try_submit(draft(&root)).await,
        StoreError::Refused(StoreRejection::LevelFull { level: Level(1), live: 2, limit: 2 })
    );
    world.submit(draft(&child)).await;
    world.submit(draft(&other)).await;
    must(world.turn(&child, cancel()).await);
    world.submit(draft(&root)).await;
}

/// If all slots of a key are held by ancestors of a new process, the process would wait forever. It is refused, and the
/// refusal names the slot holders.
pub async fn a_launch_whose_ancestors_hold_all_slots_is_refused(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k".to_owned(), 2);
    must(world.store.set_policy(version, &policy).await);
    let root = world.run(world.draft().key("k"), &node).await;
    let child = world.run(world.draft().key("k").child_of(&root), &node).await;
    let grandchild = world.draft().key("k").child_of(&child);
    refused!(
        world.try_submit(grandchild).await,
        StoreError::Refused(StoreRejection::HeldByAncestors { key, holders })
            if key.as_str() == "k" && *holders == [root.process.id, child.process.id]
    );
    let elsewhere = world.draft().key("other").child_of(&child);
    world.submit(elsewhere).await;
}

/// If all slots of its key are held by ancestors of the new process, delayed work is refused too. Reported work that
/// starts at once needs no slot and is accepted.
pub async fn delayed_work_whose_ancestors_hold_all_slots_is_refused(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k".to_owned(), 1);
    must(world.store.set_policy(version, &policy).await);
    let root = world.run(world.draft().key("k"), &node).await;
    let later = world.now().plus(std::time::Duration::from_secs(60));
    refused!(
        world.try_submit(world.draft().key("k").not_before(later).child_of(&root)).await,
        StoreError::Refused(StoreRejection::HeldByAncestors { key, holders })
            if key.as_str() == "k" && *holders == [root.process.id]
    );
    world.submit(world.draft().key("k").reported().child_of(&root)).await;
}

/// If another holder of the key is not an ancestor of the new process, the process is accepted and waits.
pub async fn a_launch_waits_if_another_process_also_holds_the_key(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k".to_owned(), 2);
    must(world.store.set_policy(version, &policy).await);
    let root = world.run(world.draft().key("k"), &node).await;
    world.start(world.draft().key("k"), &node).await;
    let child = world.draft().key("k").child_of(&root).claimed_for(claimant(&node));
    let id = child.id;
    must(world.try_submit(child).await);
    assert!(world.load(id).await.owner.is_none());
}
