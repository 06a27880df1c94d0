use crate::world::{World, command, reported, seconds};
use longhaul_domain::{Action, LaunchKey, Policy, Priority, ProcessId, Retention, SlotKey, Spec, Status};
use longhaul_engine::ports::{Maintenance, StoreRejection};
use longhaul_engine::{EngineError, Launch, Launcher};
use std::collections::BTreeMap;

fn keyed(words: &str, key: &str) -> Spec {
    Spec { key: Some(SlotKey::new(key).unwrap()), ..command(words) }
}

async fn with_slots(key: &str, slots: u32) -> World {
    let policy = Policy { slots: BTreeMap::from([(key.to_owned(), slots)]), ..Policy::default() };
    World::with(|settings| settings.policy = Some(policy)).await
}

#[tokio::test(start_paused = true)]
async fn no_more_roots_run_than_the_limit_and_all_get_their_turn() {
    let world = World::with(|settings| settings.max_parallel = 3).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(world.launch("exit 0 1000").await);
    }
    for _ in 0..10 {
        world.pass(std::time::Duration::from_millis(400)).await;
        assert!(world.spawner.live().len() <= 3);
    }
    for id in ids {
        assert_eq!(world.end(id).await, Status::Completed);
        assert_eq!(world.spawner.runs(id), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn within_a_key_priority_goes_first_and_then_the_earlier_submit() {
    let world = with_slots("k", 1).await;
    let first = world.launch_spec(keyed("exit 0 1000", "k")).await;
    let second = world.launch_spec(keyed("exit 0 1000", "k")).await;
    let third = world.launch_spec(keyed("exit 0 1000", "k")).await;
    let urgent = Spec { priority: Priority::new(5).unwrap(), ..keyed("exit 0 1000", "k") };
    let urgent = world.launch_spec(urgent).await;
    let mut order = Vec::new();
    for _ in 0..8 {
        world.pass(std::time::Duration::from_millis(600)).await;
        for key in world.spawner.live() {
            if order.last() != Some(&key.id) {
                order.push(key.id);
            }
        }
    }
    assert_eq!(order, [first, urgent, second, third]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_returns_on_every_ending() {
    let world = with_slots("k", 1).await;
    for words in ["exit 0", "exit 1", "missing", "lost 10", "run", "stubborn"] {
        let id = world.launch_spec(keyed(words, "k")).await;
        world.pass(seconds(1)).await;
        if !world.status(id).await.is_ended() {
            world.cancel(id).await;
        }
        world.end(id).await;
        let next = world.launch_spec(keyed("exit 0", "k")).await;
        assert_eq!(world.end(next).await, Status::Completed, "after {words}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_launch_past_the_limit_is_refused_and_names_the_holders() {
    let world = with_slots("k", 1).await;
    let holder: ProcessId = world.launch_spec(keyed("run", "k")).await;
    let launch = Launch {
        spec: keyed("run", "k"),
        parent: None,
        launcher: Launcher::Parent,
        captured: None,
        no_queue: true,
    };
    match world.engine.launch(launch).await {
        Err(EngineError::Refused { refusal: StoreRejection::NoSlot { holders, .. } }) => {
            assert_eq!(holders, [holder])
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn reported_work_without_a_queue_takes_a_slot_of_its_key_or_is_refused() {
    let world = with_slots("k", 1).await;
    let start = |key: Option<&str>| Launch {
        launcher: Launcher::Parent,
        spec: Spec { key: key.map(|key| SlotKey::new(key).unwrap()), ..reported(|_| {}) },
        parent: None,
        captured: None,
        no_queue: true,
    };
    let first = world.engine.launch(start(Some("k"))).await.unwrap().stored.process.id;
    assert_eq!(world.status(first).await, Status::Running, "the process starts at once");
    match world.engine.launch(start(Some("k"))).await {
        Err(EngineError::Refused { refusal: StoreRejection::NoSlot { holders, .. } }) => {
            assert_eq!(holders, [first]);
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..2 {
        let unbound = world.engine.launch(start(None)).await.unwrap().stored.process.id;
        assert_eq!(
            world.status(unbound).await,
            Status::Running,
            "without a key there is nothing to wait for"
        );
    }
    world.ask(first, Action::Complete { result: None }).await.unwrap();
    world.engine.launch(start(Some("k"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delayed_launch_cannot_use_no_queue() {
    let world = World::new().await;
    let launch = |not_before| Launch {
        launcher: Launcher::Parent,
        spec: Spec { not_before: Some(not_before), ..command("run") },
        parent: None,
        captured: None,
        no_queue: true,
    };
    let refused = world.engine.launch(launch(world.engine.now().plus(seconds(60)))).await;
    let Err(EngineError::Invalid { what: "launch", why, help: Some(_) }) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("with a delay"), "{why}");
    let past = world.engine.launch(launch(world.engine.now())).await.unwrap();
    world.settle().await;
    assert_eq!(world.status(past.stored.process.id).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_launch_key_never_starts_a_second_copy() {
    let world = World::new().await;
    let spec = |words: &str| Spec { launch_key: Some(LaunchKey::new("once").unwrap()), ..command(words) };
    let first = world.try_launch(spec("run")).await.unwrap();
    let again = world.try_launch(spec("run")).await.unwrap();
    assert!(first.created && !again.created);
    assert_eq!(first.stored.process.id, again.stored.process.id);
    let other = world.try_launch(spec("exit 0")).await;
    assert!(matches!(other, Err(EngineError::KeyConflict { .. })), "{other:?}");
    world.settle().await;
    assert_eq!(world.spawner.live().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn launch_key_of_a_pruned_process_starts_nothing_and_names_the_process() {
    let world = World::new().await;
    let spec = |words: &str| Spec { launch_key: Some(LaunchKey::new("once").unwrap()), ..command(words) };
    let first = world.try_launch(spec("exit 0")).await.unwrap().stored.process.id;
    world.end(first).await;
    world.pass(seconds(3_600)).await;
    let everything = Retention { age: Some(seconds(60)), count: None, before: None };
    assert_eq!(world.store.prune(&everything, 10).await.unwrap().ids, [first]);
    let again = world.try_launch(spec("exit 0")).await;
    assert!(matches!(&again, Err(EngineError::LaunchPruned { id, .. }) if *id == first), "{again:?}");
    let other = world.try_launch(spec("run")).await;
    assert!(matches!(&other, Err(EngineError::KeyConflict { .. })), "{other:?}");
    world.settle().await;
    assert_eq!(world.spawner.live().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_child_of_an_ending_parent_is_refused() {
    let world = World::new().await;
    let parent = world.launch("stubborn").await;
    world.settle().await;
    let child = || Launch {
        spec: command("run"),
        parent: Some(parent),
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let accepted = world.engine.launch(child()).await.unwrap().stored.process;
    assert_eq!((accepted.lineage.parent(), accepted.lineage.level().0), (Some(parent), 1));
    world.ask(parent, Action::Cancel { cause: longhaul_domain::StopCause::User }).await.unwrap();
    let refused = world.engine.launch(child()).await;
    let closing =
        matches!(refused, Err(EngineError::Refused { refusal: StoreRejection::AncestorClosing { .. } }));
    assert!(closing, "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn an_auxiliary_launch_waits_for_no_root_slot() {
    let world = World::with(|settings| settings.max_parallel = 1).await;
    let holder = world.launch_spec(command("run")).await;
    let waiter = world.launch_spec(command("run")).await;
    let spec = Spec { priority: longhaul_domain::Priority::new(100).unwrap(), ..command("exit 0 1000") };
    let launch = longhaul_engine::Launch {
        spec,
        parent: None,
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let beside = world.engine.launch_beside(launch).await.unwrap().stored.process.id;
    world.clock.settle().await;
    let statuses = [world.status(holder).await, world.status(waiter).await, world.status(beside).await];
    assert_eq!(statuses, [Status::Running, Status::Pending, Status::Running]);
    world.end(beside).await;
    world.clock.settle().await;
    assert_eq!(world.status(waiter).await, Status::Pending, "the limit applies to the other processes");
}
