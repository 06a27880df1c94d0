//! Tests that forged records in the store are not executed.

use crate::world::{World, command, retrying, seconds};
use longhaul_domain::{
    ArtifactPattern, Ending, ExitStatus, Failure, Interruption, LaunchSignature, Pending, Process, ProcessId,
    ReadyWhen, Spec, StartStage, State, Status, Timestamp, Work,
};
use longhaul_engine::EngineError;
use longhaul_engine::ports::{AttemptKey, Change, IdSource as _, ProcessStore as _, SignatureError, Writer};
use longhaul_testkit::fakes::FakeSigner;
use std::sync::Arc;

/// Changes a record directly in the store, as an attacker with write access to the store could.
async fn forge(world: &World, id: ProcessId, change: impl FnOnce(&mut Process)) {
    let stored = world.stored(id).await;
    let mut next = stored.process.clone();
    change(&mut next);
    let forged = Change {
        op: world.ids.op(),
        author: stored.owner.clone().map_or(Writer::Anyone, Writer::Owner),
        expected: stored.revision,
        next,
        events: Vec::new(),
        taken: longhaul_domain::ActionSeq(0),
        require_no_live_descendants: false,
    };
    world.store.commit(forged).await.unwrap();
}

fn with_command(process: &mut Process, change: impl FnOnce(&mut longhaul_domain::CommandSpec)) {
    let mut spec = process.spec.as_ref().clone();
    if let Work::Command(command) = &mut spec.work {
        change(command);
    }
    process.spec = Arc::new(spec);
}

fn delayed(words: &str) -> Spec {
    Spec { not_before: Some(Timestamp(1_700_010_000_000)), ..command(words) }
}

async fn begin_now(world: &World, id: ProcessId) {
    let clock = longhaul_engine::ports::Clock::now(&world.clock);
    let left = Timestamp(1_700_010_000_000).since(clock);
    world.pass(left + seconds(1)).await;
    assert_ne!(world.status(id).await, Status::Pending);
}

/// Returns the stage and the error text of a failed start.
async fn refusal(world: &World, id: ProcessId) -> (StartStage, String) {
    failed_start(world.stored(id).await.process.state).unwrap()
}

fn failed_start(state: State) -> Option<(StartStage, String)> {
    let State::Ended(ended) = state else { return None };
    let Ending::Failed { failure: Failure::Start(failure) } = ended.ending else { return None };
    Some((failure.stage, failure.detail))
}

#[tokio::test(start_paused = true)]
async fn signed_launches_and_their_retries_start() {
    let world = World::trusting(FakeSigner::default()).await;
    let id = world.launch_spec(retrying("exit 3", 1)).await;
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.orders.lock().unwrap().len(), 2);
    let again = world.engine.restart(id, None).await.unwrap().stored.process.id;
    assert_eq!(world.end(again).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn launch_that_was_changed_or_made_up_in_the_store_never_starts() {
    let world = World::trusting(FakeSigner::default()).await;
    let changed = world.launch_spec(delayed("run")).await;
    let unsealed = world.launch_spec(delayed("run")).await;
    let swapped = world.launch_spec(delayed("run")).await;
    let fine = world.launch_spec(delayed("run")).await;
    let other = world.stored(fine).await.process.signature;
    forge(&world, changed, |process| with_command(process, |command| command.program = "evil".to_owned()))
        .await;
    forge(&world, unsealed, |process| process.signature = None).await;
    forge(&world, swapped, |process| process.signature = other).await;
    begin_now(&world, fine).await;
    for (id, words) in
        [(changed, "was changed"), (unsealed, "has no signature"), (swapped, "that of another")]
    {
        let (stage, detail) = refusal(&world, id).await;
        assert!(stage == StartStage::Signature && detail.contains(words), "{detail}");
        assert!(detail.contains("launch the command again"), "{detail}");
    }
    world.pass(seconds(3_600)).await;
    let started: Vec<ProcessId> = world.orders.lock().unwrap().iter().map(|order| order.key.id).collect();
    assert_eq!(started, [fine]);
}

#[tokio::test(start_paused = true)]
async fn refused_launch_is_not_tried_again_whatever_its_policy_says() {
    let world = World::trusting(FakeSigner::default()).await;
    let id = world
        .launch_spec(Spec { not_before: Some(Timestamp(1_700_010_000_000)), ..retrying("run", 5) })
        .await;
    forge(&world, id, |process| process.signature = Some(LaunchSignature("nonsense".to_owned()))).await;
    begin_now(&world, id).await;
    assert_eq!(refusal(&world, id).await.0, StartStage::Signature);
    let refused = world.stored(id).await;
    world.pass(seconds(3_600)).await;
    assert_eq!(world.stored(id).await, refused);
    assert_eq!(refused.process.attempt.0, 1);
}

#[tokio::test(start_paused = true)]
async fn ended_record_that_was_changed_is_not_run_again() {
    let world = World::trusting(FakeSigner::default()).await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    forge(&world, id, |process| with_command(process, |command| command.args.push("more".to_owned()))).await;
    let refused = world.engine.restart(id, None).await;
    let fault = SignatureError::Altered;
    assert!(
        matches!(&refused, Err(EngineError::UntrustedLaunch { id: of, fault: is }) if *of == id && *is == fault)
    );
    world.pass(seconds(60)).await;
    assert_eq!(world.orders.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn question_that_was_put_into_the_record_of_running_work_is_never_asked() {
    let mut world = World::trusting(FakeSigner::default()).await;
    let id = world.launch("run").await;
    world.pass(seconds(1)).await;
    let ready_when = ReadyWhen::Command { program: "evil".to_owned(), args: Vec::new() };
    forge(&world, id, |process| with_command(process, |command| command.ready_when = Some(ready_when))).await;
    world.crash().await;
    world.pass(seconds(60)).await;
    assert_eq!(world.prober.asked(), []);
    assert_eq!(world.status(id).await, Status::Running, "an attempt that started was trusted at that time");
    world.cancel(id).await;
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn pattern_that_was_put_into_the_record_of_running_work_copies_no_file() {
    let mut world = World::trusting(FakeSigner::default()).await;
    let id = world.launch("run").await;
    world.pass(seconds(1)).await;
    world.spawner.artifacts().write("/secret", b"x");
    let pattern = ArtifactPattern::new("**").unwrap();
    forge(&world, id, |process| with_command(process, |command| command.artifacts = vec![pattern])).await;
    world.crash().await;
    world.pass(seconds(1)).await;
    let attempt = world.stored(id).await.process.attempt;
    world.spawner.exit(AttemptKey { id, attempt }, 0);
    assert_eq!(world.end(id).await, Status::Completed);
    assert_eq!(world.spawner.artifacts().collected(), []);
}

#[tokio::test(start_paused = true)]
async fn record_that_was_put_back_to_its_beginning_does_not_run_its_attempt_again() {
    let world = World::trusting(FakeSigner::default()).await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    forge(&world, id, |process| {
        process.state = State::Pending(Pending::Queued);
        process.attempt = longhaul_domain::AttemptNo(0);
    })
    .await;
    world.pass(seconds(60)).await;
    assert_eq!(world.orders.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn record_that_was_put_back_with_another_number_does_not_run_more_often_than_its_policy_says() {
    let world = World::trusting(FakeSigner::default()).await;
    let id = world.launch_spec(retrying("exit 3", 1)).await;
    world.end(id).await;
    assert_eq!(world.orders.lock().unwrap().len(), 2);
    for attempt in [2, 4, 7] {
        forge(&world, id, |process| {
            process.state = State::Pending(Pending::Queued);
            process.attempt = longhaul_domain::AttemptNo(attempt);
            process.retries = 0;
        })
        .await;
        world.pass(seconds(60)).await;
        let State::Ended(ended) = world.stored(id).await.process.state else { unreachable!("it ended") };
        assert!(matches!(ended.ending, Ending::Interrupted { why: Interruption::RecordLost { .. } }));
        let late = ended.late.expect("the node knows how the latest attempt exited");
        assert_eq!((late.attempt.0, late.exit.status), (2, ExitStatus::Code(3)));
    }
    assert_eq!(world.orders.lock().unwrap().len(), 2);
}

/// Initial situation: the store was reset to an earlier state, and another node then claimed the first attempt without
/// starting it.
#[tokio::test(start_paused = true)]
async fn launch_that_ran_on_this_node_is_interrupted_with_its_exit_if_the_store_lost_the_attempt() {
    let world = World::trusting(FakeSigner::default()).await;
    let id = world.launch("exit 7").await;
    assert_eq!(world.end(id).await, Status::Failed);
    forge(&world, id, |process| {
        process.state = State::Pending(Pending::Queued);
        process.never_ran = 1;
    })
    .await;
    world.pass(seconds(60)).await;
    let process = world.stored(id).await.process;
    let State::Ended(ended) = &process.state else { unreachable!("{:?}", process.state) };
    assert_eq!((process.status(), process.attempt.0), (Status::Interrupted, 2));
    let late = ended.late.as_ref().expect("this node has the exit record");
    assert_eq!((late.attempt.0, late.exit.status), (1, ExitStatus::Code(7)));
    assert_eq!(world.orders.lock().unwrap().len(), 1);
}
