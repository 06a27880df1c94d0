//! Tests of the fakes.

use longhaul_domain::{
    AwakeTime, CommandSpec, Deadline, Ending, ExitStatus, Observation, ProcessId, StopCause, Timestamp,
};
use longhaul_ports::{
    Adopted, AttemptKey, Clock, IdSource, OutputLog, OutputRead, OutputSource, Spawner, StartRequest,
    StopRequest,
};
use longhaul_testkit::fakes::{ChildScript, FakeOutput, ScriptedSpawner, SequentialIds, VirtualClock};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

fn key(n: u128) -> AttemptKey {
    AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(n)), attempt: longhaul_domain::AttemptNo(1) }
}

fn order(n: u128, program: &str, args: &[&str]) -> StartRequest {
    StartRequest {
        key: key(n),
        command: CommandSpec::of(program, args, "/"),
        environment: Vec::new(),
        leased: false,
    }
}

fn gently() -> StopRequest {
    StopRequest { cause: StopCause::User, force: false }
}

#[tokio::test(start_paused = true)]
async fn sleepers_wake_in_the_order_of_their_deadlines() {
    let clock = VirtualClock::at(Timestamp(0), AwakeTime(0));
    let woken = Arc::new(Mutex::new(Vec::new()));
    for seconds in [3_u64, 1, 2] {
        let (clock, woken) = (clock.clone(), Arc::clone(&woken));
        tokio::spawn(async move {
            clock.sleep_until(Deadline::At(Timestamp(0).plus(S * u32::try_from(seconds).unwrap()))).await;
            woken.lock().unwrap().push((seconds, clock.now()));
        });
    }
    clock.run_for(S * 2).await;
    assert_eq!(*woken.lock().unwrap(), [(1, Timestamp(1000)), (2, Timestamp(2000))]);
    assert_eq!(clock.until_next_deadline(), Some(S));
    assert!(clock.advance_to_next_deadline());
    clock.settle().await;
    assert_eq!(woken.lock().unwrap().len(), 3);
    assert!(!clock.advance_to_next_deadline());
}

#[tokio::test(start_paused = true)]
async fn suspended_time_does_not_count_as_awake() {
    let clock = VirtualClock::at(Timestamp(0), AwakeTime(0));
    let sleeper = clock.clone();
    let sleep = tokio::spawn(async move { sleeper.sleep_until(Deadline::Awake(AwakeTime(1000))).await });
    clock.settle().await;
    clock.suspend(S * 3600);
    clock.settle().await;
    assert!(!sleep.is_finished());
    assert_eq!((clock.now(), clock.awake()), (Timestamp(3_600_000), AwakeTime(0)));
    clock.advance(S);
    sleep.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_that_gave_up_is_no_deadline() {
    let clock = VirtualClock::default();
    let sleeper = clock.clone();
    let at = clock.now().plus(S);
    let sleep = tokio::spawn(async move { sleeper.sleep_until(Deadline::At(at)).await });
    clock.settle().await;
    assert_eq!(clock.until_next_deadline(), Some(S));
    sleep.abort();
    clock.settle().await;
    assert_eq!(clock.until_next_deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn driven_time_ends_with_the_work_or_with_the_span() {
    let clock = VirtualClock::at(Timestamp(0), AwakeTime(0));
    let work = clock.sleep_until(Deadline::At(Timestamp(5000)));
    assert_eq!(clock.run_until(S * 10, work).await, Some(()));
    assert_eq!(clock.now(), Timestamp(5000));
    let never = std::future::pending::<()>();
    assert_eq!(clock.run_until(S, never).await, None);
    let late = clock.sleep_until(Deadline::At(Timestamp(50_000)));
    assert_eq!(clock.run_until(S, late).await, None);
}

#[test]
fn ids_are_foreseeable_distinct_and_spread() {
    let draw = |seed| {
        let ids = SequentialIds::seeded(seed);
        (0..2000).map(|_| ids.process()).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let ids: BTreeSet<_> = draw(7).into_iter().collect();
    assert_eq!(ids.len(), 2000);
    let firsts: BTreeSet<char> = ids.iter().filter_map(|id| id.to_string().chars().next()).collect();
    assert_eq!(firsts.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_child_runs_and_exits_as_its_script_says() {
    let clock = VirtualClock::default();
    let spawner = ScriptedSpawner::new(clock.clone());
    spawner.start(order(1, "exit", &["7", "2000"])).await.unwrap();
    let Observation::Spawned { at, .. } = spawner.next().await.observation else {
        panic!("it was not spawned first");
    };
    assert_eq!(at, clock.now());
    let seen = clock.run_until(S * 3, spawner.next()).await.unwrap();
    let Observation::Exited { exit, .. } = seen.observation else {
        panic!("it did not exit");
    };
    assert_eq!(exit.status, ExitStatus::Code(7));
    assert_eq!(exit.at, at.plus(S * 2));
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_answer_takes_effect_then() {
    let clock = VirtualClock::default();
    let spawner = ScriptedSpawner::new(clock.clone());
    spawner.start(order(1, "slow", &["3000"])).await.unwrap();
    spawner.stop(key(1), gently()).await.unwrap();
    let first = clock.run_until(S * 10, spawner.next()).await.unwrap();
    assert!(matches!(first.observation, Observation::Spawned { .. }));
    let second = clock.run_until(S * 10, spawner.next()).await.unwrap();
    let Observation::Exited { exit, .. } = second.observation else {
        panic!("it did not exit");
    };
    assert_eq!(exit.stopped, Some(StopCause::User));
}

#[tokio::test(start_paused = true)]
async fn a_stubborn_child_is_killed_after_its_grace() {
    let clock = VirtualClock::default();
    let spawner = ScriptedSpawner::new(clock.clone());
    spawner.start(order(1, "stubborn", &[])).await.unwrap();
    spawner.next().await;
    spawner.stop(key(1), gently()).await.unwrap();
    let begin = clock.now();
    let Observation::Exited { exit, .. } = clock.run_until(S * 10, spawner.next()).await.unwrap().observation
    else {
        panic!("it did not exit");
    };
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core: false });
    assert_eq!(exit.at, begin.plus(S * 5));
}

#[tokio::test(start_paused = true)]
async fn a_paused_child_loses_no_time() {
    let clock = VirtualClock::default();
    let spawner = ScriptedSpawner::new(clock.clone());
    spawner.start(order(1, "sleep", &["10000"])).await.unwrap();
    spawner.next().await;
    clock.advance(S * 4);
    spawner.pause(key(1)).await.unwrap();
    clock.advance(S * 60);
    assert_eq!(spawner.live(), [key(1)]);
    spawner.resume(key(1)).await.unwrap();
    clock.advance(S * 5);
    assert_eq!(spawner.live(), [key(1)]);
    clock.advance(S);
    assert_eq!(spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn the_next_life_finds_the_children_and_starts_none_twice() {
    let clock = VirtualClock::default();
    let first = ScriptedSpawner::new(clock.clone());
    first.start(order(1, "sleep", &["60000"])).await.unwrap();
    first.start(order(2, "exit", &["3", "1000"])).await.unwrap();
    clock.advance(S * 2);
    let second = first.reopened();
    drop(first);
    assert!(matches!(
        second.adopt(key(1), &order(1, "", &[]).command).await.unwrap(),
        Adopted::Alive(Observation::Spawned { .. })
    ));
    assert!(matches!(
        second.adopt(key(2), &order(2, "", &[]).command).await.unwrap(),
        Adopted::Over(Observation::Exited { .. })
    ));
    assert!(matches!(
        second.adopt(key(3), &order(3, "", &[]).command).await.unwrap(),
        Adopted::Over(Observation::NeverRan { .. })
    ));
    second.start(order(1, "sleep", &["60000"])).await.unwrap();
    assert_eq!(second.runs(key(1).id), 1);
    assert_eq!(second.overlaps(), []);
    let seen = clock.run_until(S * 60, second.next()).await.unwrap();
    assert_eq!(seen.id, key(1).id);
    assert!(matches!(seen.observation, Observation::Exited { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_ends_every_child_unseen() {
    let clock = VirtualClock::default();
    let first = ScriptedSpawner::casting(clock.clone(), |_| ChildScript::runs());
    first.start(order(1, "anything", &[])).await.unwrap();
    first.reboot();
    let found = first.reopened().adopt(key(1), &order(1, "", &[]).command).await.unwrap();
    assert!(matches!(
        found,
        Adopted::Over(Observation::SupervisorLost { why: longhaul_domain::Interruption::Reboot, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn output_skips_its_gap_and_says_so() {
    let output = FakeOutput::new(VirtualClock::default());
    output.write(key(1), OutputSource::Stdout, b"abc\ndef\n");
    output.write(key(1), OutputSource::Stderr, b"x\n");
    output.drop_middle(key(1), 2, 5);
    let wanted = OutputRead { from: 0, limit: 100, only: None };
    let page = output.read(key(1), wanted).await.unwrap();
    let pieces: Vec<_> = page.chunks.iter().map(|chunk| (chunk.offset, chunk.bytes.as_slice())).collect();
    assert_eq!(pieces, [(0, b"ab".as_slice()), (5, b"ef\n"), (8, b"x\n")]);
    assert_eq!((page.gap, page.next, page.end), (3, 10, 10));
    assert_eq!(output.last_lines(key(1), 1, None).await.unwrap(), 8);
}

#[test]
fn a_failed_start_names_its_reason() {
    let ChildScript { answer, .. } = ChildScript::fails_to_start();
    let longhaul_testkit::fakes::StartBehavior::Failed(failure) = answer else {
        panic!("it did not fail");
    };
    let ending = Ending::Failed { failure: longhaul_domain::Failure::Start(failure) };
    assert_eq!(ending.status(), longhaul_domain::Status::Failed);
}
