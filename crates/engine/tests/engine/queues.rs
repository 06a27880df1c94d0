use crate::world::{World, command, reported, seconds, with_timeout};
use longhaul_domain::{
    LaunchKey, Level, NoOpReason, Policy, Priority, ProcessId, QueueHold, ResourceLimits, SlotKey, Spec,
    Status, Work,
};
use longhaul_engine::{EngineError, Launch, Launcher};
use longhaul_testkit::fakes::{Fault, PortCall};
use std::collections::BTreeMap;

pub(crate) fn key(name: &str) -> SlotKey {
    SlotKey::new(name).unwrap()
}

pub(crate) fn keyed(words: &str, name: &str) -> Spec {
    Spec { key: Some(key(name)), ..command(words) }
}

pub(crate) async fn with_slots(slots: &[(&str, u32)]) -> World {
    let slots: BTreeMap<String, u32> = slots.iter().map(|(key, slots)| ((*key).to_owned(), *slots)).collect();
    World::with(|settings| settings.policy = Some(Policy { slots, ..Policy::default() })).await
}

async fn launch_many(world: &World, count: usize, name: &str) -> Vec<ProcessId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.launch_spec(keyed("run", name)).await);
    }
    world.settle().await;
    ids
}

async fn running(world: &World, ids: &[ProcessId]) -> usize {
    let mut running = 0;
    for id in ids {
        running += usize::from(world.status(*id).await == Status::Running);
    }
    running
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_starts_processes_and_a_lowered_limit_stops_none() {
    let world = with_slots(&[("k", 1)]).await;
    let ids = launch_many(&world, 6, "k").await;
    assert_eq!(running(&world, &ids).await, 1);
    world.engine.set_slots("k", Some(3)).await.unwrap();
    world.settle().await;
    assert_eq!(running(&world, &ids).await, 3);
    world.engine.set_slots("k", Some(1)).await.unwrap();
    world.cancel(ids[0]).await;
    world.pass(seconds(1)).await;
    assert_eq!(running(&world, &ids).await, 2, "running processes continue, and the next one waits");
    world.engine.set_slots("k", Some(0)).await.unwrap();
    world.settle().await;
    assert_eq!(running(&world, &ids).await, 5, "0 means no limit");
}

#[tokio::test(start_paused = true)]
async fn a_removed_limit_leaves_the_key_to_the_next_matching_pattern() {
    let world = with_slots(&[]).await;
    world.engine.set_slots("opus-1", Some(1)).await.unwrap();
    world.engine.set_slots("opus*", Some(2)).await.unwrap();
    world.engine.set_slots("*", Some(4)).await.unwrap();
    let slots = |policy: &Policy| policy.slots_of(&key("opus-1"));
    assert_eq!(slots(&world.engine.policy().await.unwrap()), Some(1));
    assert_eq!(slots(&world.engine.set_slots("opus-1", None).await.unwrap()), Some(2));
    assert_eq!(slots(&world.engine.set_slots("opus*", None).await.unwrap()), Some(4));
    assert_eq!(slots(&world.engine.set_slots("*", None).await.unwrap()), Some(Policy::DEFAULT_SLOTS));
    for bad in ["", "a*b", &"k".repeat(300), "a\u{7}"] {
        let refused = world.engine.set_slots(bad, Some(1)).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{bad:?}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_queue_starts_no_process_and_running_processes_continue() {
    let mut world = with_slots(&[("k", 2)]).await;
    let ids = launch_many(&world, 1, "k").await;
    let hold =
        world.engine.hold_queue(&key("k"), Some("ann".to_owned())).await.unwrap().held[&key("k")].clone();
    assert_eq!(hold, QueueHold { since: world.engine.now(), by: Some("ann".to_owned()) });
    let waits = launch_many(&world, 2, "k").await;
    assert_eq!((running(&world, &ids).await, running(&world, &waits).await), (1, 0));
    let other = launch_many(&world, 1, "other").await;
    assert_eq!(running(&world, &other).await, 1, "others pass");
    world.pass(seconds(10)).await;
    let again = world.engine.hold_queue(&key("k"), Some("bob".to_owned())).await.unwrap();
    assert_eq!(again.held[&key("k")], hold, "an existing hold is kept");
    world.crash().await;
    world.pass(seconds(10)).await;
    assert_eq!(running(&world, &waits).await, 0, "a restart releases no process");
    let view = world.engine.queues(Some(&key("k"))).await.unwrap().remove(0);
    assert_eq!((view.held, view.waiters.len(), view.holders), (Some(hold), 2, ids));
    assert!(world.engine.release_queue(&key("k")).await.unwrap().held.is_empty());
    world.settle().await;
    assert_eq!(running(&world, &waits).await, 1);
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_policy_at_the_same_time_are_all_kept() {
    let world = with_slots(&[]).await;
    let changes = (0..8_u32).map(|number| {
        let engine = world.engine.clone();
        tokio::spawn(async move {
            engine.set_slots(&format!("k{number}"), Some(number)).await.unwrap();
            engine.hold_queue(&key(&format!("k{number}")), None).await.unwrap();
        })
    });
    world.store.fail_on(PortCall::SetPolicy, 3, Fault::Unknown);
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let policy = world.engine.policy().await.unwrap();
    assert_eq!((policy.slots.len(), policy.held.len()), (8, 8));
}

#[tokio::test(start_paused = true)]
async fn a_limit_changed_at_run_time_survives_a_restart() {
    let mut world = with_slots(&[("k", 1)]).await;
    world.engine.set_slots("k", Some(7)).await.unwrap();
    world.engine.set_slots("live", Some(3)).await.unwrap();
    world.engine.hold_queue(&key("k"), None).await.unwrap();
    world.crash().await;
    let policy = world.engine.policy().await.unwrap();
    assert_eq!((policy.slots["k"], policy.slots["live"]), (7, 3));
    // Only changes of the configuration are applied. Holds, and limits that are not configured, remain.
    let slots = BTreeMap::from([("k".to_owned(), 2)]);
    world.settings.policy = Some(Policy { slots, default_slots: 9, ..Policy::default() });
    world.crash().await;
    let policy = world.engine.policy().await.unwrap();
    assert_eq!((policy.slots["k"], policy.slots["live"], policy.slots.len()), (2, 3, 2));
    assert_eq!((policy.default_slots, policy.held.len()), (9, 1));
    world.engine.set_slots("k", Some(7)).await.unwrap();
    let slots = BTreeMap::from([("k".to_owned(), 2), ("other".to_owned(), 4)]);
    world.settings.policy = Some(Policy { slots, default_slots: 9, ..Policy::default() });
    world.crash().await;
    let policy = world.engine.policy().await.unwrap();
    assert_eq!((policy.slots["k"], policy.slots["other"]), (7, 4), "another change does not affect the hold");
    world.engine.set_slots("k", Some(5)).await.unwrap();
    world.settings.policy = None;
    world.crash().await;
    assert_eq!(world.engine.policy().await.unwrap().slots["k"], 5, "an empty configuration changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_moved_first_is_the_next_to_run() {
    let world = with_slots(&[("k", 1)]).await;
    let ids = launch_many(&world, 4, "k").await;
    let urgent = Spec { priority: Priority::new(7).unwrap(), ..keyed("run", "k") };
    let urgent = world.launch_spec(urgent).await;
    let answer = world.engine.move_first(ids[3]).await.unwrap();
    assert_eq!((answer.changed, answer.stored.process.priority.value()), (true, 8));
    let again = world.engine.move_first(ids[3]).await.unwrap();
    assert_eq!((again.changed, again.note), (false, Some(NoOpReason::NoChange)));
    world.cancel(ids[0]).await;
    world.pass(seconds(1)).await;
    assert_eq!(world.status(ids[3]).await, Status::Running);
    assert_eq!(world.status(urgent).await, Status::Pending);
    let refused = world.engine.move_first(ids[3]).await;
    assert!(matches!(refused, Err(EngineError::Rejected { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_move_to_the_front_can_be_repeated_for_ever() {
    let world = with_slots(&[("k", 1)]).await;
    let ids = launch_many(&world, 3, "k").await;
    let highest = Spec { priority: Priority::new(100).unwrap(), ..keyed("run", "k") };
    let highest = world.launch_spec(highest).await;
    let mut order = vec![highest, ids[1], ids[2]];
    for nth in 0..250 {
        let moved = order[1 + nth % 2];
        assert!(world.engine.move_first(moved).await.unwrap().changed);
        order.retain(|id| *id != moved);
        order.insert(0, moved);
        let queue = world.engine.queues(None).await.unwrap();
        assert_eq!(queue[0].waiters, order);
    }
    world.cancel(ids[0]).await;
    world.pass(seconds(1)).await;
    assert_eq!(world.status(order[0]).await, Status::Running);
    assert_eq!(world.status(highest).await, Status::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_launch_key_conflict_names_the_differences() {
    let world = World::new().await;
    let once = |spec: Spec| Spec { launch_key: Some(LaunchKey::new("once").unwrap()), ..spec };
    world.launch_spec(once(command("run"))).await;
    for (other, expected) in [
        (once(command("run faster")), vec!["arguments"]),
        (once(with_timeout("run", seconds(1))), vec!["timeout"]),
        (once(reported(|_| {})), vec!["kind of work"]),
        (once(keyed("exit", "k")), vec!["program", "key"]),
    ] {
        match world.try_launch(other).await {
            Err(EngineError::KeyConflict { differs, .. }) => assert_eq!(differs, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_level_apply_if_a_launch_sets_none() {
    let world = World::with(|settings| {
        let bounds = |cpu| ResourceLimits {
            cpu_seconds: Some(cpu),
            memory_bytes: Some(1_000),
            ..ResourceLimits::default()
        };
        settings.level_limits = BTreeMap::from([(Level(0), bounds(10)), (Level(1), bounds(5))]);
    })
    .await;
    let limits = |id| {
        let engine = world.engine.clone();
        async move { engine.process(id).await.unwrap().process.spec.command().unwrap().limits }
    };
    let mut asked = command("run");
    if let Work::Command(command) = &mut asked.work {
        command.limits.cpu_seconds = Some(99);
    }
    let root = world.launch_spec(asked).await;
    let found = limits(root).await;
    assert_eq!((found.cpu_seconds, found.memory_bytes, found.open_files), (Some(99), Some(1_000), None));
    let launch = |parent| Launch {
        spec: command("run"),
        parent: Some(parent),
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let below = world.engine.launch(launch(root)).await.unwrap().stored.process.id;
    assert_eq!(limits(below).await.cpu_seconds, Some(5));
    let deepest = world.engine.launch(launch(below)).await.unwrap().stored.process.id;
    assert_eq!(limits(deepest).await, ResourceLimits::default(), "a level without bounds has none");
    world.settle().await;
    let orders = world.orders.lock().unwrap();
    assert_eq!(
        orders[1].command.limits.cpu_seconds,
        Some(5),
        "the limit is the one at the start of the command"
    );
}
