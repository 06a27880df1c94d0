use crate::world::{World, command, ran, seconds};
use longhaul_domain::{Action, ProcessId, Spec, Status, StopCause, Timestamp};
use longhaul_engine::ports::{
    PageRequest, ProcessFilter, ProcessStore, SortOrder, StoreError, StoreRejection,
};
use longhaul_engine::{EngineError, StopReach, WaitCondition, WaitMode};
use longhaul_testkit::fakes::{FakeCall, Fault, PortCall};

#[tokio::test(start_paused = true)]
async fn a_launch_without_an_answer_is_sent_again_and_starts_once() {
    let world = World::new().await;
    world.store.fail_on(PortCall::Submit, 1, Fault::Unknown);
    let id = world.launch("exit 0 100").await;
    assert_eq!(world.end(id).await, Status::Completed);
    assert_eq!(world.spawner.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_launch_fails_soon_and_starts_once_if_it_is_stored() {
    let world = World::new().await;
    for _ in 0..50 {
        world.store.fail_on(PortCall::Submit, 1, Fault::Unknown);
    }
    let said = world.try_launch(command("exit 0 100")).await;
    assert!(matches!(said, Err(EngineError::Store { source: StoreError::Unknown { .. } })), "{said:?}");
    let tries = world.store.calls().iter().filter(|call| **call == PortCall::Submit).count();
    assert!((2..=4).contains(&tries), "each of them may take seconds: {tries}");
    world.pass(seconds(30)).await;
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 10 };
    let listing = world.engine.list(&ProcessFilter::default(), &page).await.unwrap();
    let [there] = listing.processes.as_slice() else { panic!("{listing:?}") };
    assert_eq!(there.process.status(), Status::Completed);
    assert_eq!(world.spawner.runs(there.process.id), 1);
}

#[tokio::test(start_paused = true)]
async fn a_launch_whose_answer_was_lost_is_not_called_refused_and_may_run() {
    let world = World::new().await;
    world.store.fail_on(PortCall::Submit, 1, Fault::Unknown);
    world.store.fail_on(PortCall::Submit, 1, Fault::Unavailable);
    let said = world.try_launch(command("exit 0 100")).await;
    assert!(matches!(said, Err(EngineError::Store { source: StoreError::Unknown { .. } })), "{said:?}");
    world.pass(seconds(30)).await;
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 10 };
    let listing = world.engine.list(&ProcessFilter::default(), &page).await.unwrap();
    let [there] = listing.processes.as_slice() else { panic!("{listing:?}") };
    assert_eq!(there.process.status(), Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_recorded_as_soon_as_the_store_is_back() {
    let world = World::new().await;
    let id = world.launch("exit 7 1000").await;
    world.settle().await;
    world.store.set_down(true);
    world.pass(seconds(60)).await;
    world.store.set_down(false);
    assert_eq!(world.end(id).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_reported_while_an_earlier_observation_waits_for_its_record() {
    let world = World::new().await;
    let id = world.launch("stubborn").await;
    world.settle().await;
    world.engine.terminate(id, false, None).await.unwrap();
    world.store.set_full(true);
    world.pass(seconds(60)).await;
    assert!(world.spawner.live().is_empty(), "the command was killed after its grace period");
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 10 };
    let listing = world.engine.list(&ProcessFilter::default(), &page).await.unwrap();
    let [there] = listing.processes.as_slice() else { panic!("{listing:?}") };
    assert_eq!(there.process.status(), Status::Cancelled);
    world.store.set_full(false);
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_recorded_for_long_is_dated_when_it_was() {
    let world = World::new().await;
    let id = world.launch("exit 0 1000").await;
    world.settle().await;
    world.store.set_down(true);
    world.pass(seconds(60)).await;
    world.store.set_down(false);
    world.end(id).await;
    assert_eq!(ran(&world, id).await, seconds(1));
    // The end is visible before it is recorded, but statistics count it only after it has been recorded.
    world.pass(seconds(30)).await;
    let stats = world.engine.stats(&ProcessFilter::default()).await.unwrap();
    assert_eq!(stats.total.mean, Some(seconds(1)), "durations follow");
}

/// Number of processes. It is higher than every limit on concurrent work in the engine.
const MANY: usize = 64;

async fn roomy() -> World {
    World::with(|settings| settings.max_parallel = 100).await
}

async fn launch_many(world: &World, words: &str) -> Vec<ProcessId> {
    let mut ids = Vec::new();
    for _ in 0..MANY {
        ids.push(world.launch(words).await);
    }
    world.settle().await;
    ids
}

/// Makes the next seven commits fail. The delay between retries doubles, so the failures last about six seconds.
fn refuse_for_seconds(world: &World) {
    for _ in 0..7 {
        world.store.fail_on(PortCall::Commit, 1, Fault::ReadOnly);
    }
}

/// Returns the statuses in the store, without the changes that the engine adds for display.
async fn recorded(world: &World, ids: &[ProcessId]) -> Vec<Status> {
    let found = world.store.load(ids).await.unwrap();
    found.into_iter().map(|stored| stored.unwrap().process.status()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_end_is_shown_and_ends_all_waits_while_the_store_cannot_write() {
    let world = roomy().await;
    let ids = launch_many(&world, "exit 5 7000").await;
    world.store.set_full(true);
    let waits = world.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, Some(seconds(10)));
    let waited = world.clock.run_until(seconds(60), waits).await.unwrap().unwrap();
    let shown = waited.processes.iter().filter(|stored| stored.process.status() == Status::Failed);
    assert_eq!((shown.count(), waited.timed_out), (MANY, false));
    assert!(recorded(&world, &ids).await.iter().all(|status| *status == Status::Running));
    world.store.set_full(false);
    world.pass(seconds(10)).await;
    assert!(recorded(&world, &ids).await.iter().all(|status| *status == Status::Failed));
    assert_eq!(ran(&world, ids[MANY - 1]).await, seconds(7));
}

#[tokio::test(start_paused = true)]
async fn an_end_is_shown_although_the_start_is_not_in_the_store_yet() {
    let world = World::new().await;
    refuse_for_seconds(&world);
    let id = world.launch("exit 5 1000").await;
    world.pass(seconds(3)).await;
    assert_eq!(recorded(&world, &[id]).await, [Status::Starting]);
    assert_eq!(world.status(id).await, Status::Failed);
    world.pass(seconds(10)).await;
    assert_eq!(recorded(&world, &[id]).await, [Status::Failed]);
    assert_eq!(ran(&world, id).await, seconds(1));
}

#[tokio::test(start_paused = true)]
async fn accepted_writes_do_not_wait_for_refused_writes() {
    let world = roomy().await;
    let refused = world.launch("exit 1 1000").await;
    let ids = launch_many(&world, "exit 0 4500").await;
    refuse_for_seconds(&world);
    world.pass(seconds(5)).await;
    assert_eq!(recorded(&world, &[refused]).await, [Status::Running]);
    assert!(recorded(&world, &ids).await.iter().all(|status| *status == Status::Completed));
    world.pass(seconds(5)).await;
    assert_eq!(recorded(&world, &[refused]).await, [Status::Failed]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_executed_while_the_store_cannot_write_and_is_recorded_later() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    world.store.fail_on(PortCall::Commit, 1, Fault::ReadOnly);
    let answer = world.ask(id, Action::Cancel { cause: StopCause::User }).await;
    let Err(EngineError::StopUnrecorded { id: reported, reached: StopReach::Told, source }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(reported, id);
    assert!(matches!(source, StoreError::ReadOnly { .. }), "{source:?}");
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_cannot_be_recorded_reports_the_state_of_the_process() {
    let world = World::new().await;
    let runs = world.launch("run").await;
    let ends = world.launch("exit 3 1000").await;
    let waits = world.launch_spec(Spec { not_before: Some(Timestamp(i64::MAX)), ..command("run") }).await;
    world.settle().await;
    world.store.set_full(true);
    world.pass(seconds(2)).await;
    let reached = async |id| match world.engine.terminate(id, false, None).await {
        Err(EngineError::StopUnrecorded {
            reached,
            source: StoreError::Refused(StoreRejection::Full),
            ..
        }) => Some(reached),
        Err(EngineError::Refused { refusal: StoreRejection::Full }) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(reached(ends).await, Some(StopReach::Ended));
    assert_eq!(reached(runs).await, Some(StopReach::Told));
    world.settle().await;
    assert!(world.spawner.live().is_empty());
    assert_eq!(reached(runs).await, Some(StopReach::Ended), "the result becomes known later");
    assert_eq!(reached(waits).await, None, "no process of the attempt could be stopped");
    world.store.set_full(false);
    assert_eq!(world.end(runs).await, Status::Cancelled);
    assert_eq!(world.end(ends).await, Status::Failed);
    assert_eq!(ran(&world, ends).await, seconds(1));
    assert_eq!(world.status(waits).await, Status::Pending);
}

#[tokio::test(start_paused = true)]
async fn no_process_starts_on_a_claim_that_may_be_lost() {
    let world = World::new().await;
    world.store.set_unkept(true);
    let id = world.launch("run").await;
    world.pass(seconds(10)).await;
    assert_eq!(world.status(id).await, Status::Starting);
    assert!(world.spawner.live().is_empty(), "the start waits until the store reports the claim as durable");
    world.store.set_unkept(false);
    world.pass(seconds(2)).await;
    assert_eq!(world.status(id).await, Status::Running);
    assert_eq!(world.spawner.live().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_reaches_the_remaining_processes_while_the_store_is_down() {
    let world = World::new().await;
    let id = world.launch("stubborn").await;
    world.settle().await;
    world.store.set_down(true);
    let cause = StopCause::User;
    for command in [Action::Cancel { cause }, Action::Force { cause }] {
        let answer = world.ask(id, command).await;
        assert!(matches!(answer, Err(EngineError::StopUnrecorded { .. })), "{answer:?}");
        world.settle().await;
    }
    assert!(world.spawner.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_the_store_cannot_take_is_an_error_and_starts_nothing() {
    let world = World::new().await;
    world.store.set_down(true);
    let refused = world.try_launch(command("run")).await;
    assert!(matches!(refused, Err(EngineError::Store { .. })), "{refused:?}");
    world.store.set_down(false);
    world.pass(seconds(10)).await;
    assert!(world.spawner.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_answers_everywhere_change_no_truth() {
    for seed in 0..20 {
        let world = World::new().await;
        world.store.set_chaos(seed, 4);
        let mut ids = Vec::new();
        for number in 0..10 {
            if let Ok(launched) = world.try_launch(command(&format!("exit {} 500", number % 2))).await {
                ids.push((launched.stored.process.id, number % 2));
            }
        }
        world.pass(seconds(30)).await;
        world.store.set_chaos(seed, 0);
        for (id, code) in ids {
            let expected = if code == 0 { Status::Completed } else { Status::Failed };
            assert_eq!(world.end(id).await, expected, "seed {seed}");
            assert_eq!(world.spawner.runs(id), 1, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_cannot_be_recorded_pauses_no_process() {
    let world = World::new().await;
    let id = world.launch("exit 0 10000").await;
    world.settle().await;
    world.store.fail_on(PortCall::Commit, 1, Fault::ReadOnly);
    let answer = world.ask(id, Action::Pause).await;
    assert!(matches!(answer, Err(EngineError::Store { .. })), "{answer:?}");
    assert_eq!(world.status(id).await, Status::Running);
    world.pass(seconds(10)).await;
    assert_eq!(world.status(id).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_cannot_be_recorded_resumes_no_process() {
    let world = World::new().await;
    let id = world.launch("exit 0 10000").await;
    world.settle().await;
    world.ask(id, Action::Pause).await.unwrap();
    world.store.set_full(true);
    let answer = world.ask(id, Action::Resume).await;
    assert!(matches!(answer, Err(EngineError::Refused { refusal: StoreRejection::Full })), "{answer:?}");
    world.pass(seconds(60)).await;
    assert_eq!(world.status(id).await, Status::Paused);
    let acts: Vec<FakeCall> = world.spawner.journal().iter().map(|entry| entry.act).collect();
    assert!(!acts.contains(&FakeCall::Resumed), "{acts:?}");
    world.store.set_full(false);
    world.ask(id, Action::Resume).await.unwrap();
    world.pass(seconds(10)).await;
    assert_eq!(world.status(id).await, Status::Completed);
}
