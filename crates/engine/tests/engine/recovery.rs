use crate::world::{World, command, ran, retrying, seconds};
use longhaul_domain::{
    Action, AttemptNo, Ending, Interruption, Leftovers, ProcessId, State, Status, StopCause, Work,
};
use longhaul_engine::ports::{AttemptKey, Clock, Membership as _, ProcessStore as _, Spawner as _};
use longhaul_testkit::fakes::{Fault, PortCall};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_running_attempt_is_adopted_and_never_started_twice() {
    let mut world = World::new().await;
    let id = world.launch("exit 7 60000").await;
    world.settle().await;
    for _ in 0..5 {
        world.crash().await;
        assert_eq!(world.status(id).await, Status::Running);
    }
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.spawner.runs(id), 1);
    assert!(world.spawner.overlaps().is_empty());
}

#[tokio::test(start_paused = true)]
async fn adopted_attempts_get_the_command_of_their_launch() {
    let mut world = World::new().await;
    let mut spec = command("stubborn");
    let Work::Command(asked) = &mut spec.work else { unreachable!() };
    asked.stop.grace = seconds(60);
    asked.leftovers = Leftovers::Keep;
    let asked = asked.as_ref().clone();
    let id = world.launch_spec(spec).await;
    world.settle().await;
    world.crash().await;
    let key = AttemptKey { id, attempt: AttemptNo(1) };
    assert_eq!(world.spawner.adopted(), [(key, asked.clone())], "by the start of the next manager");
    // The spawner does not observe the attempt any more, so the cancel has to adopt it first.
    world.spawner.end_recorded(key).await;
    world.cancel(id).await;
    world.settle().await;
    assert_eq!(world.spawner.adopted().last(), Some(&(key, asked)), "by an action on an unwatched attempt");
    assert_eq!(world.spawner.adopted().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_missed_is_recorded_before_anyone_can_ask() {
    let mut world = World::new().await;
    let id = world.launch("exit 7 1000").await;
    world.settle().await;
    world.engine.abandon();
    world.pass(seconds(10)).await;
    world.crash().await;
    assert_eq!(world.status(id).await, Status::Failed);
    assert_eq!(ran(&world, id).await, seconds(1), "the end time is that of the exit, not of its discovery");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_cannot_be_examined_in_time_is_marked_until_it_is_examined() {
    let mut world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.launch("run").await);
    }
    let [lost, lives, lost_later, cancelled] = ids[..] else { unreachable!() };
    world.settle().await;
    world.engine.abandon();
    world.spawner.lose(first(lost), &Interruption::Reboot);
    for id in [lives, lost_later, cancelled] {
        world.spawner.set_unreachable(first(id), true);
    }
    let before = world.clock.now();
    world.crash().await;
    assert!(world.clock.now().since(before) <= seconds(5), "the recovery does not wait longer");
    assert_eq!(world.status(lost).await, Status::Interrupted, "the first reply is correct");
    for id in [lives, lost_later, cancelled] {
        let stored = world.stored(id).await;
        assert_eq!(stored.process.status(), Status::Running);
        assert!(world.engine.is_unexamined(&stored));
    }
    assert!(!world.engine.is_unexamined(&world.stored(lost).await));
    assert_eq!(world.engine.unexamined(), 3);

    let engine = world.engine.clone();
    let cause = StopCause::User;
    let asked = tokio::spawn(async move { engine.command(cancelled, Action::Cancel { cause }, None).await });
    world.settle().await;
    world.spawner.lose(first(lost_later), &Interruption::Reboot);
    for id in [lives, lost_later, cancelled] {
        world.spawner.set_unreachable(first(id), false);
    }
    world.pass(seconds(10)).await;
    asked.await.unwrap().unwrap();
    assert_eq!(world.engine.unexamined(), 0);
    assert_eq!(world.status(lives).await, Status::Running);
    assert_eq!(world.status(lost_later).await, Status::Interrupted);
    assert_eq!(world.status(cancelled).await, Status::Cancelled);
    assert_eq!(world.spawner.runs(lives), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_claim_and_start_leads_to_one_start() {
    let mut world = World::new().await;
    // The launch is durable and claimed, but the start was not requested yet.
    let id = world.launch("exit 0 100").await;
    world.crash().await;
    assert_eq!(world.end(id).await, Status::Completed);
    assert_eq!(world.spawner.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_process_keeps_its_position_and_its_retry() {
    let mut world = World::new().await;
    let id = world.launch_spec(retrying("exit 1", 2)).await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Pending);
    world.crash().await;
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.spawner.runs(id), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_continues_after_a_crash() {
    let mut world = World::new().await;
    let id = world.launch("stubborn").await;
    world.settle().await;
    world.cancel(id).await;
    world.crash().await;
    assert_eq!(world.status(id).await, Status::Stopping);
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_is_still_paused() {
    let mut world = World::new().await;
    let id = world.launch("exit 0 10000").await;
    world.settle().await;
    world.ask(id, Action::Pause).await.unwrap();
    world.crash().await;
    world.pass(seconds(100)).await;
    assert_eq!(world.status(id).await, Status::Paused);
    world.ask(id, Action::Resume).await.unwrap();
    assert_eq!(world.end(id).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_interrupts_a_process_without_an_invented_exit() {
    let mut world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    world.engine.abandon();
    world.spawner.reboot();
    world.crash().await;
    let stored = world.stored(id).await;
    let State::Ended(ended) = stored.process.state else { panic!("{:?}", stored.process.state) };
    assert_eq!(ended.ending, Ending::Interrupted { why: Interruption::Reboot });
}

#[tokio::test(start_paused = true)]
async fn a_lost_shim_interrupts_the_process_immediately() {
    let world = World::new().await;
    let id = world.launch("lost 5000").await;
    world.pass(Duration::from_millis(5_001)).await;
    assert_eq!(world.status(id).await, Status::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn five_attempts_that_never_ran_are_a_failure_and_cost_no_retry() {
    let world = World::new().await;
    let id = world.launch_spec(retrying("never", 1)).await;
    assert_eq!(world.end(id).await, Status::Failed);
    let process = world.stored(id).await.process;
    assert_eq!((process.attempt.0, process.retries), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_a_crash_cut_off_is_carried_out() {
    let mut world = World::new().await;
    let id = world.launch("exit 0 10000").await;
    world.settle().await;
    world.ask(id, Action::Pause).await.unwrap();
    world.store.fail_on(PortCall::Commit, 1, Fault::CrashAfter);
    let engine = world.engine.clone();
    let asked = tokio::spawn(async move { engine.command(id, Action::Resume, None).await });
    world.settle().await;
    asked.abort();
    world.crash().await;
    assert_eq!(world.status(id).await, Status::Running);
    assert_eq!(world.end(id).await, Status::Completed);
}

fn first(id: ProcessId) -> AttemptKey {
    AttemptKey { id, attempt: AttemptNo(1) }
}

#[tokio::test(start_paused = true)]
async fn a_start_of_another_state_directory_is_interrupted_unless_its_launch_allows_another_attempt() {
    for (retries, status, attempts) in [(0, Status::Interrupted, 1), (1, Status::Running, 2)] {
        let mut world = World::new().await;
        let mut spec = retrying("slow 800", retries);
        spec.retry.after_interruption = retries > 0;
        let id = world.launch_spec(spec).await;
        world.settle().await;
        world.engine.abandon();
        world.settle().await;
        let lease = world.store.register(&world.settings.node).await.unwrap();
        longhaul_engine::interrupt_attempts(
            world.store.as_ref(),
            &world.clock,
            world.ids.as_ref(),
            &lease,
            "/old",
        )
        .await
        .unwrap();
        let ended = world.store.load(&[id]).await.unwrap().pop().flatten().unwrap().process;
        assert_ne!(ended.status(), Status::Starting);
        world.start().await;
        world.pass(seconds(60)).await;
        let process = world.stored(id).await.process;
        assert_eq!((process.status(), process.attempt), (status, AttemptNo(attempts)));
    }
}
