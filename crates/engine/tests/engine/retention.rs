use crate::world::{World, command, reported, retrying, seconds};
use longhaul_domain::{
    Action, AttemptNo, OutputBound, ProcessId, Retention, Spec, Status, StopCause, Timestamp, Work,
};
use longhaul_engine::ports::{AttemptKey, OutputLog, OutputSource};
use longhaul_engine::{Launch, Launcher};
use longhaul_testkit::fakes::{Fault, PortCall};
use std::time::Duration;

const NOTHING: Retention = Retention { age: None, count: None, before: None };
const HOUR: Duration = Duration::from_secs(3600);

fn older_than(age: Duration) -> Retention {
    Retention { age: Some(age), ..NOTHING }
}

impl World {
    /// Runs a command that prints `bytes` bytes, and waits for its end.
    async fn printed(&self, bytes: usize) -> ProcessId {
        let id = self.launch(&format!("echo {}", "x".repeat(bytes - 1))).await;
        assert_eq!(self.end(id).await, Status::Completed);
        id
    }

    async fn knows(&self, id: ProcessId) -> bool {
        self.engine.process(id).await.is_ok()
    }

    async fn has_output(&self, id: ProcessId) -> bool {
        self.spawner.output().kept(None, u32::MAX).await.unwrap().contains(&id)
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_record_and_its_output_go_when_their_time_is_over_and_are_counted() {
    let world = World::with(|settings| settings.retention = Some(older_than(seconds(60)))).await;
    let id = world.printed(10).await;
    world.pass(seconds(59)).await;
    assert!(world.knows(id).await && world.has_output(id).await);
    assert_eq!(world.engine.pruned_total(), 0);
    world.pass(seconds(20)).await;
    assert!(!world.knows(id).await && !world.has_output(id).await);
    assert_eq!(world.engine.pruned_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn live_processes_are_never_pruned() {
    let world = World::with(|settings| {
        settings.retention = Some(older_than(seconds(1)));
        settings.retention_bytes = Some(0);
        settings.output_total = Some(0);
    })
    .await;
    let live = [
        world.launch("run").await,
        world.launch_spec(reported(|_| {})).await,
        world.launch_spec(Spec { not_before: Some(Timestamp(i64::MAX)), ..command("run") }).await,
    ];
    world.settle().await;
    let key = AttemptKey { id: live[0], attempt: AttemptNo(1) };
    world.spawner.output().write(key, OutputSource::Stdout, b"still at work");
    world.pass(10 * HOUR).await;
    let everything = Retention { before: Some(Timestamp(i64::MAX)), ..NOTHING };
    assert_eq!(world.engine.prune(&everything, Some(0), false).await.unwrap().ids, []);
    for id in live {
        assert!(world.knows(id).await);
    }
    assert!(world.has_output(live[0]).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_rule_no_record_is_pruned_and_the_total_is_reported() {
    let mut world = World::new().await;
    let ids = [world.printed(10).await, world.printed(10).await];
    world.pass(1_000 * HOUR).await;
    assert!(world.knows(ids[0]).await);
    let pruned = world.engine.prune(&older_than(HOUR), None, false).await.unwrap();
    assert_eq!((pruned.ids.as_slice(), pruned.bytes, pruned.total), (&ids[..], 20, 2));
    world.crash().await;
    world.settle().await;
    assert_eq!(world.engine.pruned_total(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_reports_the_effect_of_prune() {
    let hours = |hours: u32| Some(hours * HOUR);
    let rules: [(Retention, Option<u64>); 6] = [
        (Retention { age: hours(50), ..NOTHING }, None),
        (Retention { count: Some(3), ..NOTHING }, None),
        (Retention { age: hours(30), count: Some(9), before: None }, None),
        (NOTHING, Some(45)),
        (Retention { count: Some(6), ..NOTHING }, Some(1_000)),
        (Retention { age: hours(59), ..NOTHING }, Some(30)),
    ];
    for (rule, bytes) in rules {
        let world = World::new().await;
        world.launch("run").await;
        for n in 2..14 {
            world.printed(n).await;
            world.pass(5 * HOUR).await;
        }
        let before = world.spawner.output().kept(None, u32::MAX).await.unwrap();
        let would = world.engine.prune(&rule, bytes, true).await.unwrap();
        let after = world.spawner.output().kept(None, u32::MAX).await.unwrap();
        assert_eq!((world.engine.pruned_total(), before), (0, after), "a dry run changes nothing");
        let did = world.engine.prune(&rule, bytes, false).await.unwrap();
        assert_eq!((&would.ids, would.bytes), (&did.ids, did.bytes), "{rule:?} {bytes:?}");
        assert!(!did.ids.is_empty() && did.ids.len() < 12, "{rule:?} takes {}", did.ids.len());
        for id in did.ids {
            assert!(!world.knows(id).await && !world.has_output(id).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_prune_to_a_count_includes_recently_ended_processes() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.printed(1).await);
        world.pass(seconds(1)).await;
    }
    let down_to = |limit| Retention { count: Some(limit), ..NOTHING };
    assert_eq!(world.engine.prune(&down_to(3), None, false).await.unwrap().ids, ids[..2]);
    assert_eq!(world.engine.prune(&down_to(3), None, false).await.unwrap().ids, []);
    assert_eq!(world.engine.prune(&down_to(0), None, false).await.unwrap().ids, ids[2..]);
}

#[tokio::test(start_paused = true)]
async fn a_bound_in_bytes_keeps_the_newest_that_fit() {
    let world = World::with(|settings| settings.retention_bytes = Some(100)).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.printed(40).await);
        world.pass(seconds(90)).await;
    }
    world.pass(HOUR).await;
    let kept: Vec<bool> =
        [world.knows(ids[2]).await, world.knows(ids[3]).await, world.knows(ids[4]).await].into();
    assert_eq!(kept, [false, true, true]);
    assert!(!world.knows(ids[0]).await && !world.knows(ids[1]).await);
}

#[tokio::test(start_paused = true)]
async fn stored_output_of_every_attempt_counts() {
    let world = World::new().await;
    let mut bounded = command(&format!("echo {}", "x".repeat(999)));
    if let Work::Command(command) = &mut bounded.work {
        command.output = OutputBound { head: 10, tail: 10 };
    }
    let old = world.printed(10).await;
    world.pass(seconds(90)).await;
    let bounded = world.launch_spec(bounded).await;
    world.end(bounded).await;
    let rule = |bytes| world.engine.prune(&NOTHING, Some(bytes), true);
    assert_eq!(rule(30).await.unwrap().ids, []);
    assert_eq!(rule(29).await.unwrap().ids, [old]);
    let retried = world.launch_spec(retrying("exit 1", 1)).await;
    world.end(retried).await;
    for attempt in 1..=2 {
        let key = AttemptKey { id: retried, attempt: AttemptNo(attempt) };
        world.spawner.output().write(key, OutputSource::Stdout, &[b'x'; 100]);
    }
    assert_eq!(rule(200).await.unwrap().ids, [old, bounded]);
    assert_eq!(rule(199).await.unwrap().ids, [old, bounded, retried]);
}

#[tokio::test(start_paused = true)]
async fn a_recently_ended_process_is_not_pruned_for_its_size() {
    let mut world = World::with(|settings| {
        settings.retention_bytes = Some(1);
        settings.output_total = Some(1);
    })
    .await;
    let id = world.printed(40).await;
    world.pass(seconds(50)).await;
    world.crash().await;
    world.settle().await;
    assert!(world.knows(id).await && world.has_output(id).await);
    world.pass(HOUR + seconds(5)).await;
    assert!(!world.knows(id).await);
}

#[tokio::test(start_paused = true)]
async fn past_the_total_the_oldest_output_goes_and_its_record_stays() {
    let world = World::with(|settings| settings.output_total = Some(100)).await;
    let live = world.launch("run").await;
    world.settle().await;
    let key = AttemptKey { id: live, attempt: AttemptNo(1) };
    world.spawner.output().write(key, OutputSource::Stdout, &[b'x'; 30]);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.printed(30).await);
        world.pass(seconds(90)).await;
    }
    world.pass(HOUR).await;
    let mut kept = Vec::new();
    for id in &ids {
        assert!(world.knows(*id).await);
        kept.push(world.has_output(*id).await);
    }
    assert_eq!(kept, [false, false, true, true]);
    assert!(world.has_output(live).await);
    world.pass(HOUR).await;
    assert!(world.has_output(ids[2]).await, "pruned output is not counted again");
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_a_prune_leaks_no_output() {
    for fault in [Fault::CrashAfter, Fault::Unknown] {
        let mut world = World::with(|settings| settings.retention = Some(older_than(seconds(60)))).await;
        let ids = [world.printed(10).await, world.printed(20).await];
        let live = world.launch("run").await;
        world.pass(seconds(60)).await;
        world.store.fail_on(PortCall::Prune, 1, fault);
        world.pass(seconds(16)).await;
        assert!(!world.knows(ids[0]).await);
        if fault == Fault::CrashAfter {
            assert!(world.has_output(ids[0]).await);
            world.crash().await;
        }
        world.pass(seconds(20)).await;
        assert!(!world.has_output(ids[0]).await && !world.has_output(ids[1]).await, "{fault:?}");
        assert!(world.has_output(live).await);
    }
}

#[tokio::test(start_paused = true)]
async fn output_of_unknown_processes_is_not_deleted() {
    let world = World::with(|settings| settings.retention = Some(older_than(seconds(60)))).await;
    let foreign: Vec<ProcessId> =
        (1..=3).map(|n| ProcessId::new(uuid::Uuid::from_u128(0xfeed_0000 + n))).collect();
    for id in &foreign {
        let key = AttemptKey { id: *id, attempt: AttemptNo(1) };
        world.spawner.output().write(key, OutputSource::Stdout, b"of another store");
    }
    world.printed(10).await;
    world.pass(48 * HOUR).await;
    assert_eq!(world.engine.pruned_total(), 1);
    for id in foreign {
        assert!(world.has_output(id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_is_pruned_when_it_returns() {
    let world = World::with(|settings| settings.retention = Some(older_than(8 * HOUR))).await;
    let id = world.printed(10).await;
    world.pass(8 * HOUR - seconds(10)).await;
    world.store.set_down(true);
    world.pass(HOUR + seconds(10)).await;
    world.store.set_down(false);
    assert!(world.knows(id).await);
    world.pass(seconds(61)).await;
    assert!(!world.knows(id).await);
}

#[tokio::test(start_paused = true)]
async fn an_ended_one_that_still_ends_its_descendants_stays_until_it_has() {
    let world = World::new().await;
    let parent = world.launch("run").await;
    let child = Launch {
        spec: command("stubborn"),
        parent: Some(parent),
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    world.engine.launch(child).await.unwrap();
    world.settle().await;
    world.ask(parent, Action::Terminate { cause: StopCause::User, force: false }).await.unwrap();
    world.settle().await;
    assert_eq!(world.status(parent).await, Status::Cancelled);
    let everything = Retention { before: Some(Timestamp(i64::MAX)), ..NOTHING };
    for dry_run in [true, false] {
        assert_eq!(world.engine.prune(&everything, None, dry_run).await.unwrap().ids, []);
    }
    world.pass(seconds(10)).await;
    assert_eq!(world.engine.prune(&everything, None, false).await.unwrap().ids.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_prune_covers_any_number_of_batches() {
    let world = World::new().await;
    for _ in 0..450 {
        let id = world.launch_spec(reported(|_| {})).await;
        let done = longhaul_domain::Action::Complete { result: None };
        world.ask(id, done).await.unwrap();
    }
    world.pass(seconds(10)).await;
    let pruned = world.engine.prune(&older_than(seconds(1)), None, false).await.unwrap();
    assert_eq!((pruned.ids.len(), pruned.total), (450, 450));
    let sweeps = world.store.calls().into_iter().filter(|call| *call == PortCall::Prune).count();
    assert_eq!(sweeps, 2 + 3, "two batches by the engine itself, then 200 records each");
}
