//! Tests that a store behaves like the original after it was copied to a store of another kind.
#![cfg(all(feature = "fs", feature = "sqlite"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "shared/moving.rs"]
mod moving;

use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_domain::{LaunchKey, PendingAction, ReportedSpec, Retention, Work};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::agree;
use longhaul_testkit::suite::store::SubmissionBuilder;
use moving::{Movable, assert_same, copy};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_moved_store_agrees_with_the_one_that_it_came_from() {
    for seed in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let clock = VirtualClock::default();
        let files: Arc<FsStore> = Arc::new(fs(&at("files"), &clock));
        let database: Arc<SqliteStore> = Arc::new(sqlite(&at("database"), &clock));
        // Both fixtures share one clock, so each step of the script advances the clock twice.
        let world = |store: Arc<dyn Store>| StoreFixture::new(store, clock.clone());
        agree(&world(files.clone()), &world(database.clone()), seed, 300).await;
        assert_same(files.as_ref(), database.as_ref()).await;

        let from_files = Arc::new(sqlite(&at("database of files"), &clock));
        copy(files.as_ref(), from_files.as_ref()).await;
        assert_same(files.as_ref(), from_files.as_ref()).await;
        let from_database = Arc::new(fs(&at("files of database"), &clock));
        copy(database.as_ref(), from_database.as_ref()).await;
        assert_same(database.as_ref(), from_database.as_ref()).await;
        // Reservations of due records are not copied. They expire after five seconds.
        clock.advance(Duration::from_secs(6));
        agree(&world(files.clone()), &world(from_files.clone()), seed + 100, 200).await;
        drop((files, from_files));
        let again = Arc::new(sqlite(&at("database of files"), &clock));
        agree(&world(database.clone()), &world(from_database.clone()), seed + 200, 200).await;
        drop(from_database);
        let reopened = Arc::new(fs(&at("files of database"), &clock));
        assert_same(database.as_ref(), reopened.as_ref()).await;
        drop(again);
    }
}

#[tokio::test]
async fn pruned_ids_are_known_in_the_other_store_too() {
    let directory = tempfile::tempdir().unwrap();
    let clock = VirtualClock::default();
    let world = |store: Arc<dyn Store>| StoreFixture::new(store, clock.clone());
    let first = Arc::new(fs(&directory.path().join("a"), &clock));
    let second = Arc::new(sqlite(&directory.path().join("b"), &clock));
    let third = Arc::new(fs(&directory.path().join("c"), &clock));
    let new = {
        let world = world(first.clone());
        let mut draft = SubmissionBuilder::new(world.ids.process());
        draft.spec.work = Work::Reported(ReportedSpec::default());
        draft.spec.launch_key = LaunchKey::new("once").ok();
        let new = submission(draft);
        first.submit(new.clone()).await.unwrap();
        let stored = first.load(&[new.process.id]).await.unwrap().remove(0).unwrap();
        let taken =
            first.enqueue_action(&new.process.id, world.ids.op(), PendingAction::Pause).await.unwrap();
        first.commit(Change { taken, ..completion(&stored, world.ids.op()) }).await.unwrap();
        clock.advance(Duration::from_secs(90));
        let rule = Retention { age: Some(Duration::from_secs(60)), count: None, before: None };
        assert_eq!(first.prune(&rule, 9).await.unwrap().ids, [new.process.id]);
        new
    };
    copy(first.as_ref(), second.as_ref()).await;
    copy(second.as_ref(), third.as_ref()).await;
    for store in [second as Arc<dyn Movable>, third as Arc<dyn Movable>] {
        let id = new.process.id;
        let again = store.submit(new.clone()).await.unwrap();
        assert_eq!(again, SubmitOutcome::Existing { id, stored: None, same_spec: true });
        let mut other = new.clone();
        other.process.id = world(store_of(&store)).ids.process();
        let again = store.submit(other).await.unwrap();
        assert_eq!(again, SubmitOutcome::Existing { id, stored: None, same_spec: true });
        let store_metadata = store.store_metadata().await.unwrap();
        assert_eq!(
            (store_metadata.pruned_total, store_metadata.tombstones.len(), store_metadata.old_keys.len()),
            (1, 1, 1)
        );
        assert!(store.end().await.unwrap() > EventCursor(0));
    }
}

#[test]
fn a_database_that_another_program_uses_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database");
    assert!(!SqliteStore::is_used(&path));
    assert!(!path.exists());
    let store = sqlite(&path, &VirtualClock::default());
    assert!(SqliteStore::is_used(&path));
    drop(store);
    assert!(!SqliteStore::is_used(&path));
}

fn store_of(store: &Arc<dyn Movable>) -> Arc<dyn Store> {
    Arc::clone(store) as Arc<dyn Store>
}

fn submission(draft: SubmissionBuilder) -> Submission {
    use longhaul_domain::*;
    let (process, events) = Process::submit(&context(), draft.id, draft.lineage, Arc::new(draft.spec));
    let limits = SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() };
    Submission { process, events, limits, claim_for: None, fail_if_queued: false }
}

fn completion(stored: &StoredProcess, op: longhaul_domain::OpId) -> Change {
    use longhaul_domain::*;
    let input = Input::Action(Action::Complete { result: None });
    let step = stored.process.decide(&context(), &stored.live_stats, &input).unwrap();
    let mut next = stored.process.clone();
    next.evolve(&step.events);
    let (author, expected) = (Writer::Anyone, stored.revision);
    Change {
        op,
        author,
        expected,
        next,
        events: step.events,
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    }
}

fn context() -> longhaul_domain::DecisionContext {
    use longhaul_domain::*;
    DecisionContext {
        now: Timestamp(0),
        awake: AwakeTime(0),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}

fn fs(path: &Path, clock: &VirtualClock) -> FsStore {
    FsStore::open(path, Arc::new(clock.clone()), FsOptions::default()).unwrap()
}

fn sqlite(path: &Path, clock: &VirtualClock) -> SqliteStore {
    SqliteStore::open(path, Arc::new(clock.clone()), SqliteOptions::default()).unwrap()
}
