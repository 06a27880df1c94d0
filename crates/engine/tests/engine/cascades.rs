use crate::trees::{asked, cancelled_by, child, family, with_children};
use crate::world::{World, command, node, seconds};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{ChildrenPolicy, NodeId, Placement, ProcessId, Spec, State, Status, Work};
use longhaul_engine::ports::{Clock, NodeDescriptor, Store};
use longhaul_engine::{Engine, EngineError, EnginePorts, EngineSettings, Launch, Launcher};
use longhaul_testkit::fakes::{
    FakeEnvironmentStore, Fault, FaultyStore, PortCall, ScriptedSpawner, SequentialIds, VirtualClock,
};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_cascade_ends_the_tree_wherever_the_engine_crashes() {
    // There is one commit for the cascade, and four for the cancelled processes. Commands that obey the stop end
    // immediately.
    for (fault, words, commits) in [
        (Fault::CrashBefore, "run", 7),
        (Fault::CrashAfter, "run", 7),
        (Fault::CrashBefore, "stubborn", 5),
        (Fault::CrashAfter, "stubborn", 5),
    ] {
        for nth in 1..=commits {
            let mut world = World::new().await;
            let ids = family(&world, words).await;
            world.store.fail_on(PortCall::Commit, nth, fault);
            let (engine, root) = (world.engine.clone(), ids[0]);
            let asked = tokio::spawn(async move { engine.terminate(root, false, None).await });
            world.settle().await;
            let answered = asked.is_finished();
            asked.abort();
            world.crash().await;
            if nth == 1 && fault == Fault::CrashBefore {
                assert!(!answered, "nothing was durable, so nothing was promised");
                world.engine.terminate(root, false, None).await.unwrap();
            }
            world.pass(seconds(20)).await;
            for id in &ids {
                assert!(world.status(*id).await.is_ended(), "{fault:?} at commit {nth}: {id}");
            }
            assert_eq!(world.stored(root).await.process.cascade, None, "{fault:?} at commit {nth}");
            assert!(world.spawner.live().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_meanwhile_only_delays_a_cascade() {
    for fault in [Fault::Unavailable, Fault::Unknown] {
        for nth in 2..=9 {
            let world = World::new().await;
            let ids = family(&world, "run").await;
            world.store.fail_on(PortCall::Commit, nth, fault);
            world.store.fail_on(PortCall::Read, nth, Fault::Unavailable);
            let told = world.engine.terminate(ids[0], false, None).await;
            world.pass(seconds(30)).await;
            if told.is_err() {
                world.engine.terminate(ids[0], false, None).await.unwrap();
                world.pass(seconds(30)).await;
            }
            for _ in 0..10 {
                // Uses up the planned fault if it has not occurred yet.
                let _ = world.engine.process(ids[0]).await;
            }
            for id in &ids {
                assert_eq!(world.status(*id).await, Status::Cancelled, "{fault:?} {nth}");
            }
            assert_eq!(world.stored(ids[0]).await.process.cascade, None, "{fault:?} {nth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_descendant_that_hangs_in_the_store_does_not_keep_the_others_waiting() {
    let world = World::new().await;
    let ids = family(&world, "stubborn").await;
    let began = world.clock.now();
    // The first commit records the cascade. The following commits cancel the deepest level.
    world.store.fail_on(PortCall::Commit, 2, Fault::Late(seconds(30)));
    world.engine.terminate(ids[0], false, None).await.unwrap();
    world.pass(seconds(1)).await;
    let asked = asked(&world);
    assert_eq!(asked.len(), 5, "the process itself is stopped again: {asked:?}");
    assert!(asked.iter().all(|(at, _)| at - began.0 <= 200), "{asked:?}");
    world.pass(seconds(60)).await;
    for id in ids {
        assert_eq!(world.status(id).await, Status::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_write_does_not_keep_a_tree_from_being_stopped() {
    let world = World::new().await;
    let ids = family(&world, "run").await;
    for nth in 1..=5 {
        world.store.fail_on(PortCall::Commit, nth, Fault::ReadOnly);
    }
    let answer = world.engine.terminate(ids[0], false, None).await;
    assert!(matches!(answer, Err(EngineError::StopUnrecorded { .. })), "the reply says so: {answer:?}");
    world.pass(seconds(6)).await;
    assert!(world.spawner.live().is_empty());
    for id in ids {
        assert_eq!(world.end(id).await, Status::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_joins_in_the_instant_of_the_end_is_waited_for() {
    let world = World::new().await;
    let root = world.launch_spec(with_children("exit 0 1000", ChildrenPolicy::Wait)).await;
    child(&world, root, command("exit 0 2000")).await;
    world.settle().await;
    // There are three commits: the end of the root, the end of the child, and the end that is decided after the check
    // has found no live descendant.
    world.store.fail_on(PortCall::Commit, 3, Fault::Late(seconds(1)));
    world.pass(Duration::from_millis(2_500)).await;
    assert_eq!(world.status(root).await, Status::Running);
    let late = child(&world, root, command("exit 0 5000")).await;
    world.pass(seconds(3)).await;
    assert_eq!(world.status(late).await, Status::Running);
    assert_eq!(world.status(root).await, Status::Running, "a child is live");
    world.pass(seconds(3)).await;
    assert_eq!(world.status(late).await, Status::Completed);
    assert_eq!(world.status(root).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn children_of_a_process_that_ends_by_itself_are_kept_or_cancelled_as_it_says() {
    let mut world = World::new().await;
    for (policy, crash, expected) in [
        (ChildrenPolicy::Keep, false, Status::Running),
        (ChildrenPolicy::Cancel, false, Status::Cancelled),
        (ChildrenPolicy::Cancel, true, Status::Cancelled),
    ] {
        let root = world.launch_spec(with_children("exit 3 2000", policy)).await;
        let below = child(&world, root, command("run")).await;
        let deeper = child(&world, below, command("run")).await;
        world.settle().await;
        if crash {
            // The end is durable. After that, this run of the manager does nothing more.
            world.store.fail_on(PortCall::Commit, 1, Fault::CrashAfter);
            world.pass(seconds(2)).await;
            world.crash().await;
        }
        world.pass(seconds(10)).await;
        assert_eq!(world.status(root).await, Status::Failed);
        assert_eq!(world.status(below).await, expected, "{policy:?} {crash}");
        assert_eq!(world.status(deeper).await, expected, "{policy:?} {crash}");
        assert_eq!(world.stored(root).await.process.cascade, None);
    }
}

#[tokio::test(start_paused = true)]
async fn failing_parent_does_to_its_children_what_its_policy_for_failures_says() {
    let with = |words: &str, children, on_failure| Spec {
        children_on_failure: Some(on_failure),
        ..with_children(words, children)
    };
    let timing_out = |children, on_failure| {
        let mut spec = with("run", children, on_failure);
        let Work::Command(command) = &mut spec.work else { unreachable!() };
        command.timeout = Some(seconds(2));
        spec
    };
    let (keep, cancel, wait) = (ChildrenPolicy::Keep, ChildrenPolicy::Cancel, ChildrenPolicy::Wait);
    for (spec, parent, expected) in [
        (with("exit 3 2000", keep, cancel), Status::Failed, Status::Cancelled),
        (with("exit 3 2000", cancel, keep), Status::Failed, Status::Running),
        (with("exit 3 2000", cancel, wait), Status::Running, Status::Running),
        (with("exit 0 2000", keep, cancel), Status::Completed, Status::Running),
        (with("exit 0 2000", cancel, keep), Status::Completed, Status::Cancelled),
        (timing_out(keep, cancel), Status::Timeout, Status::Cancelled),
        (timing_out(cancel, keep), Status::Timeout, Status::Running),
        (with("lost 2000", keep, cancel), Status::Interrupted, Status::Cancelled),
        (with("lost 2000", cancel, keep), Status::Interrupted, Status::Running),
    ] {
        let world = World::new().await;
        let shown = format!("{spec:?}");
        let root = world.launch_spec(spec).await;
        let below = child(&world, root, command("run")).await;
        world.pass(seconds(15)).await;
        assert_eq!((world.status(root).await, world.status(below).await), (parent, expected), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_waits_for_its_children_runs_on_without_a_slot_and_ends_as_it_did() {
    let world = World::with(|settings| settings.max_parallel = 1).await;
    let root = world.launch_spec(with_children("exit 3 1000", ChildrenPolicy::Wait)).await;
    let below = child(&world, root, command("exit 0 5000")).await;
    let deeper = child(&world, below, command("exit 0 9000")).await;
    let next = world.launch("exit 0 3000").await;
    world.pass(seconds(2)).await;
    assert_eq!(world.status(root).await, Status::Running);
    assert_eq!(world.status(next).await, Status::Running, "the process holds no slot");
    // The children can still launch processes.
    let late = child(&world, deeper, command("exit 0 10000")).await;
    world.pass(seconds(8)).await;
    assert!(world.status(below).await.is_ended() && world.status(deeper).await.is_ended());
    assert_eq!(world.status(root).await, Status::Running);
    assert_eq!(world.end(late).await, Status::Completed);
    assert_eq!(world.end(root).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_waits_for_its_children_ends_when_the_last_was_cancelled_or_ended_unseen() {
    for unseen in [false, true] {
        let mut world = World::new().await;
        let root = world.launch_spec(with_children("exit 0 1000", ChildrenPolicy::Wait)).await;
        let below = child(&world, root, command(if unseen { "exit 0 9000" } else { "run" })).await;
        world.pass(seconds(2)).await;
        assert_eq!(world.status(root).await, Status::Running);
        if unseen {
            world.engine.abandon();
            world.pass(seconds(20)).await;
            world.crash().await;
            assert!(world.status(below).await.is_ended());
            world.pass(seconds(1)).await;
        } else {
            world.cancel(below).await;
            world.pass(seconds(6)).await;
        }
        assert_eq!(world.status(root).await, Status::Completed, "unseen {unseen}");
    }
}

#[tokio::test(start_paused = true)]
async fn cancel_of_a_process_that_waits_for_its_children_ends_only_it_and_terminate_ends_the_children() {
    for all in [false, true] {
        let world = World::new().await;
        let root = world.launch_spec(with_children("exit 0 1000", ChildrenPolicy::Wait)).await;
        let below = child(&world, root, command("stubborn")).await;
        world.pass(seconds(2)).await;
        if all {
            world.engine.terminate(root, false, None).await.unwrap();
            world.pass(seconds(1)).await;
            assert_eq!(world.status(root).await, Status::Running, "the children are still ending");
            world.pass(seconds(6)).await;
            assert_eq!(world.status(below).await, Status::Cancelled);
        } else {
            world.cancel(root).await;
            assert_eq!(world.status(below).await, Status::Running);
        }
        assert_eq!(world.status(root).await, Status::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn descendants_on_another_node_are_cancelled_through_their_owner() {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(shared.clone()));
    let store = Arc::new(FaultyStore::new(memory, shared));
    let there = NodeId::new("there").unwrap();
    let (here, _near) = second_node(&clock, &store, node(), 1).await;
    let (_other, far) = second_node(&clock, &store, there.clone(), 2).await;
    let launch =
        |spec, parent| Launch { spec, parent, launcher: Launcher::Parent, captured: None, no_queue: false };
    let root = here.launch(launch(command("run"), None)).await.unwrap().stored.process.id;
    let mut placed = Spec { placement: Placement::Node(there.clone()), ..command("stubborn") };
    if let Work::Command(command) = &mut placed.work {
        command.stop.grace = seconds(20);
    }
    let below = here.launch(launch(placed, Some(root))).await.unwrap().stored.process.id;
    clock.settle().await;
    assert_eq!(far.live().len(), 1, "the process runs on the other node");
    here.terminate(root, false, None).await.unwrap();
    clock.run_for(seconds(4)).await;
    assert_eq!(here.process(root).await.unwrap().process.status(), Status::Cancelled);
    assert_eq!(here.process(below).await.unwrap().process.status(), Status::Stopping);
    here.terminate(root, false, None).await.unwrap();
    clock.run_for(seconds(30)).await;
    assert_eq!(here.process(below).await.unwrap().process.status(), Status::Cancelled);
    assert_eq!(here.process(root).await.unwrap().process.cascade, None);
    let pending_actions = store.calls().iter().filter(|call| **call == PortCall::Wish).count();
    assert_eq!(pending_actions, 1, "the action is queued once");
}

#[tokio::test(start_paused = true)]
async fn a_tree_whose_top_is_on_another_node_ends_through_its_owner_even_if_its_store_fails_then() {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(shared.clone()));
    let (near_store, far_store) = (
        Arc::new(FaultyStore::new(memory.clone(), shared.clone())),
        Arc::new(FaultyStore::new(memory, shared)),
    );
    let there = NodeId::new("there").unwrap();
    let (here, near) = second_node(&clock, &near_store, node(), 1).await;
    let (_other, far) = second_node(&clock, &far_store, there.clone(), 2).await;
    let launch =
        |spec, parent| Launch { spec, parent, launcher: Launcher::Parent, captured: None, no_queue: false };
    let placed = Spec { placement: Placement::Node(there), ..command("run") };
    let root = here.launch(launch(placed, None)).await.unwrap().stored.process.id;
    let below = here.launch(launch(command("run"), Some(root))).await.unwrap().stored.process.id;
    clock.settle().await;
    assert_eq!((far.live().len(), near.live().len()), (1, 1));
    far_store.fail_on(PortCall::Read, 1, Fault::Unavailable);
    assert!(here.terminate(root, false, None).await.unwrap().changed);
    clock.run_for(seconds(20)).await;
    for id in [root, below] {
        let process = here.process(id).await.unwrap().process;
        assert_eq!((process.status(), process.cascade), (Status::Cancelled, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_waits_for_children_on_another_node_ends_soon_after_them() {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(shared.clone()));
    let store = Arc::new(FaultyStore::new(memory, shared));
    let there = NodeId::new("there").unwrap();
    let (here, _near) = second_node(&clock, &store, node(), 1).await;
    let (_other, _far) = second_node(&clock, &store, there.clone(), 2).await;
    let launch =
        |spec, parent| Launch { spec, parent, launcher: Launcher::Parent, captured: None, no_queue: false };
    let waits = with_children("exit 3 1000", ChildrenPolicy::Wait);
    let root = here.launch(launch(waits, None)).await.unwrap().stored.process.id;
    let placed = Spec { placement: Placement::Node(there), ..command("exit 0 30000") };
    here.launch(launch(placed, Some(root))).await.unwrap();
    clock.run_for(seconds(29)).await;
    assert_eq!(here.process(root).await.unwrap().process.status(), Status::Running);
    clock.run_for(seconds(7)).await;
    assert_eq!(here.process(root).await.unwrap().process.status(), Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_stopped_even_while_the_store_cannot_be_reached_at_all() {
    let world = World::new().await;
    let ids = family(&world, "run").await;
    world.store.set_down(true);
    let answer = world.engine.terminate(ids[0], false, None).await;
    assert!(matches!(answer, Err(EngineError::StopUnrecorded { .. })), "the reply says so: {answer:?}");
    world.pass(seconds(1)).await;
    assert!(world.spawner.live().is_empty());
    world.store.set_down(false);
    for id in ids {
        assert_eq!(world.end(id).await, Status::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn every_cancelled_tree_ends_despite_failures_and_crashes() {
    for seed in 0..60 {
        let mut dice = crate::why::Dice(seed);
        let mut world = World::new().await;
        let policies = [ChildrenPolicy::Keep, ChildrenPolicy::Cancel, ChildrenPolicy::Wait];
        let (mut ids, mut told) = (Vec::new(), Vec::new());
        for _ in 0..18 {
            let words = ["run", "exit 0 3000", "exit 1 9000", "stubborn", "slow 700"][dice.below(5) as usize];
            let spec = with_children(words, policies[dice.below(3) as usize]);
            let parent =
                (!ids.is_empty() && dice.below(5) > 0).then(|| ids[dice.below(ids.len() as u64) as usize]);
            let launch = Launch { spec, parent, launcher: Launcher::Parent, captured: None, no_queue: false };
            if let Ok(launched) = world.engine.launch(launch).await {
                ids.push(launched.stored.process.id);
            }
        }
        world.settle().await;
        for round in 0..4 {
            world.store.set_chaos(seed * 10 + round, 5);
            let target = ids[dice.below(ids.len() as u64) as usize];
            let force = dice.below(4) == 0;
            if world.engine.terminate(target, force, None).await.is_ok() {
                told.push(target);
            }
            world.pass(Duration::from_millis(dice.below(4_000))).await;
            world.store.set_chaos(seed, 0);
            if dice.below(2) == 0 {
                // In the next run, recovery is waiting for the answer to a start.
                world.engine.abandon();
                world.settle().await;
                world.spawner = Arc::new(world.spawner.reopened());
                let clock = world.clock.clone();
                clock.run_until(seconds(10), world.start()).await.expect("it starts");
            }
        }
        world.pass(seconds(120)).await;
        check_trees(&world, &ids, &told, seed).await;
    }
}

async fn check_trees(world: &World, ids: &[ProcessId], told: &[ProcessId], seed: u64) {
    for id in ids {
        let process = world.stored(*id).await.process;
        let live_below = world.engine.tree(*id).await.unwrap()[1..]
            .iter()
            .filter(|stored| !stored.process.status().is_ended())
            .count();
        assert_eq!(process.cascade, None, "seed {seed}: {id}");
        assert!(process.status() != Status::Stopping, "seed {seed}: {id}");
        if let State::AwaitingChildren(_) = &process.state {
            assert!(live_below > 0, "seed {seed}: {id}");
        }
        if let State::Ended(ended) = &process.state
            && process.spec.children == ChildrenPolicy::Cancel
            && cancelled_by(&ended.ending).is_none()
        {
            assert_eq!(live_below, 0, "seed {seed}: {id}");
        }
        if told.contains(id) {
            assert!(process.status().is_ended() && live_below == 0, "seed {seed}: {id}");
        }
        assert!(world.spawner.runs(*id) <= 1, "seed {seed}: {id}");
    }
}

async fn second_node(
    clock: &VirtualClock,
    store: &Arc<FaultyStore>,
    id: NodeId,
    first_id: u64,
) -> (Engine, Arc<ScriptedSpawner>) {
    let spawner = Arc::new(ScriptedSpawner::new(clock.clone()));
    let parts = EnginePorts {
        store: store.clone(),
        spawner: spawner.clone(),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        environments: Arc::new(FakeEnvironmentStore::default()),
        clock: Arc::new(clock.clone()),
        ids: Arc::new(SequentialIds::seeded(first_id)),
    };
    let facts = NodeDescriptor { id, home: None, boot: "boot-1".to_owned(), version: "0".to_owned() };
    (Engine::start(parts, EngineSettings::of(facts)).await.unwrap(), spawner)
}
