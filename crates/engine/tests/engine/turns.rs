//! Tests of single steps in which a write, a claim or a lease is rejected or not answered.

use crate::attention::piped;
use crate::nodes::{Cluster, GRACE, LEASE, Node, anywhere, id, requeued};
use crate::queues::{key, keyed, with_slots};
use crate::trees::child;
use crate::world::{World, command, reported, seconds};
use longhaul_domain::{
    Action, Capabilities, Capability, Ending, Interruption, Placement, ProcessId, ReadyWhen, Spec, Status,
    StopCause, Work,
};
use longhaul_engine::ports::{NodeAdvertisement, StoreError};
use longhaul_engine::{
    EngineError, InputRefusal, InterruptedRestartOptions, Launch, Launcher, RestartScope, Shutdown,
    SkipReason,
};
use longhaul_testkit::fakes::{Fault, PortCall};
use std::time::Duration;

const STOP: Action = Action::Cancel { cause: StopCause::User };

#[tokio::test(start_paused = true)]
async fn write_without_an_answer_is_sent_six_times_and_its_stop_is_not_called_unrecorded() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    for _ in 0..6 {
        world.store.fail_on(PortCall::Commit, 1, Fault::Unknown);
    }
    let answer = world.ask(id, STOP).await;
    assert!(matches!(answer, Err(EngineError::Store { source: StoreError::Unknown { .. } })), "{answer:?}");
    world.pass(seconds(10)).await;
    assert_eq!(world.status(id).await, Status::Cancelled, "it was written anyway");
}

#[tokio::test(start_paused = true)]
async fn launch_without_an_answer_is_sent_three_times() {
    let world = World::new().await;
    for _ in 0..3 {
        world.store.fail_on(PortCall::Submit, 1, Fault::Unknown);
    }
    assert!(world.try_launch(command("run")).await.is_err());
    let sent = world.store.calls().iter().filter(|call| **call == PortCall::Submit).count();
    assert_eq!(sent, 3);
}

#[tokio::test(start_paused = true)]
async fn stop_on_a_revision_is_not_carried_out_without_the_store() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    let revision = world.stored(id).await.revision;
    world.store.set_down(true);
    let answer = world.engine.command(id, STOP, Some(revision)).await;
    assert!(
        matches!(answer, Err(EngineError::Store { source: StoreError::Unavailable { .. } })),
        "{answer:?}"
    );
    world.pass(seconds(1)).await;
    assert_eq!(world.spawner.live().len(), 1);
    world.store.set_down(false);
    world.engine.terminate(id, false, Some(revision)).await.unwrap();
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn process_is_started_though_the_answer_to_its_claim_was_lost() {
    let world = with_slots(&[("k", 1)]).await;
    let holder = world.launch_spec(keyed("run", "k")).await;
    let waits = world.launch_spec(keyed("run", "k")).await;
    world.settle().await;
    world.store.fail_on(PortCall::Claim, 1, Fault::Unknown);
    world.cancel(holder).await;
    world.pass(Duration::from_millis(100)).await;
    assert_eq!((world.status(waits).await, world.spawner.runs(waits)), (Status::Running, 1));
    world.cancel(waits).await;
    let queued = |heartbeat| {
        let spec = reported(|reported| {
            reported.queued = true;
            reported.heartbeat = heartbeat;
        });
        Spec { key: Some(key("k")), ..spec }
    };
    world.pass(seconds(1)).await;
    let holder = world.launch_spec(queued(None)).await;
    let watched = world.launch_spec(queued(Some(seconds(5)))).await;
    world.settle().await;
    assert_eq!(world.status(watched).await, Status::Pending);
    world.store.fail_on(PortCall::Claim, 1, Fault::Unknown);
    world.ask(holder, STOP).await.unwrap();
    let done = Action::Fail { error: "stopped".to_owned() };
    world.ask(holder, done).await.unwrap();
    world.pass(seconds(1)).await;
    assert_eq!(world.status(watched).await, Status::Running);
    world.pass(seconds(6)).await;
    assert_eq!(world.status(watched).await, Status::Interrupted, "its heartbeat is watched");
}

#[tokio::test(start_paused = true)]
async fn launch_follows_a_policy_that_another_node_has_just_changed() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    cluster.pass(seconds(1)).await;
    a.engine.set_slots("k", Some(1)).await.unwrap();
    let first = b.launch(keyed("run", "k")).await;
    let second = b.launch(keyed("run", "k")).await;
    cluster.pass(seconds(1)).await;
    assert_eq!((b.status(first).await, b.status(second).await), (Status::Running, Status::Pending));
}

#[tokio::test(start_paused = true)]
async fn an_action_for_a_lost_node_is_decided_on_the_current_record() {
    let cluster = Cluster::new();
    let (a, _b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    a.cut(false);
    let answer = a.engine.command(process, Action::Pause, None).await;
    assert!(matches!(answer, Err(EngineError::Rejected { .. })), "{answer:?}");
    let stored = a.stored(process).await;
    assert_eq!(stored.process.status(), Status::Interrupted);
    let later = a.launch(command("run")).await;
    cluster.pass(seconds(10)).await;
    assert_eq!(a.status(later).await, Status::Running, "the node has joined again");
}

#[tokio::test(start_paused = true)]
async fn process_that_was_taken_from_its_node_is_recorded_as_lost_before_an_action() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE - seconds(1)).await;
    // Node b takes over the process, but its commits fail, so the loss is not recorded. The seventh try comes 3 s after
    // the first try.
    for _ in 0..6 {
        b.trouble.fail_on(PortCall::Commit, 1, Fault::Unavailable);
    }
    cluster.pass(Duration::from_millis(2_800)).await;
    let stored = b.stored(process).await;
    assert_eq!((stored.process.status(), stored.owner), (Status::Running, None));
    b.tell(process, STOP).await;
    let stored = b.stored(process).await;
    let longhaul_domain::State::Ended(ended) = &stored.process.state else { panic!("{stored:?}") };
    assert_eq!(ended.ending, Ending::Interrupted { why: Interruption::NodeGone });
}

#[tokio::test(start_paused = true)]
async fn process_of_another_node_is_neither_inspected_nor_written_to_here() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(piped("run")).await;
    cluster.pass(seconds(1)).await;
    assert!(a.engine.look(process).await.unwrap().is_some());
    assert_eq!(b.engine.look(process).await.unwrap(), None);
    assert_eq!(b.engine.usage(process).await.unwrap(), None);
    let stored = b.stored(process).await;
    assert_eq!(a.engine.silent_for(&stored).await, Some(seconds(1)));
    assert_eq!(b.engine.silent_for(&stored).await, None);
    let refused = b.engine.write_input(process, b"x".to_vec(), false).await;
    assert!(
        matches!(&refused, Err(EngineError::InputRefused { refusal: InputRefusal::Elsewhere { node }, .. })
            if *node == id("a")),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn labels_of_a_node_are_known_to_the_others_also_after_it_was_lost() {
    let cluster = Cluster::new();
    let label = Capability::new("gpu").unwrap();
    let offer = NodeAdvertisement { labels: [label.clone()].into(), ..NodeAdvertisement::default() };
    let a = cluster.node_with("a", 1, offer).await;
    let b = cluster.node("b", 2).await;
    let labels = Placement::Labels(vec![label.clone()]);
    let check = async || {
        let known = b.engine.nodes().await.unwrap();
        let known = known.iter().find(|node| node.facts.id == id("a")).unwrap();
        assert!(known.offer.labels.contains(&label));
        for node in [&a, &b] {
            assert_eq!(node.engine.runners().await.unwrap().unavailable(&labels), None);
        }
    };
    check().await;
    a.cut(true);
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    assert_eq!(b.engine.runners().await.unwrap().unavailable(&labels), Some(Vec::new()));
    a.cut(false);
    cluster.pass(seconds(5)).await;
    check().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_stops_the_running_processes_of_its_node_and_keeps_waiting_processes() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let (own, other) = (a.launch(command("run")).await, b.launch(command("run")).await);
    let not_before = Some(a.engine.now().plus(seconds(3600)));
    let waits = a.launch(Spec { not_before, ..command("run") }).await;
    cluster.pass(seconds(1)).await;
    let began = a.engine.now();
    let done = a.engine.shut_down(Shutdown::StopAll);
    cluster.clock.run_until(seconds(60), done).await.unwrap().unwrap();
    assert!(a.engine.now().since(began) < seconds(1), "nothing else is waited for");
    assert_eq!(b.status(own).await, Status::Cancelled);
    assert_eq!((b.status(other).await, b.status(waits).await), (Status::Running, Status::Pending));
}

#[tokio::test(start_paused = true)]
async fn launch_for_another_node_may_use_features_that_this_node_does_not_support() {
    let world = World::able(Capabilities { inspection: false, ..Capabilities::ALL }).await;
    let listening = |placement| {
        let mut spec = Spec { placement, ..command("run") };
        if let Work::Command(command) = &mut spec.work {
            command.ready_when = Some(ReadyWhen::Port(80));
        }
        spec
    };
    let refused = world.try_launch(listening(Placement::Here)).await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "launch", .. })), "{refused:?}");
    let refused = world.try_launch(listening(Placement::Node(crate::world::node()))).await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "launch", .. })), "{refused:?}");
    world.try_launch(listening(Placement::Node(id("elsewhere")))).await.unwrap();
}

async fn interrupted_twins(world: &World) -> [ProcessId; 2] {
    let ids = [world.launch("lost 1000").await, world.launch("lost 1000").await];
    for id in ids {
        assert_eq!(world.end(id).await, Status::Interrupted);
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn restart_that_fails_is_an_error_where_the_process_was_named_or_no_other_was_started() {
    let options = InterruptedRestartOptions::default();
    let world = World::new().await;
    let [first, second] = interrupted_twins(&world).await;
    world.store.fail_on(PortCall::Submit, 1, Fault::Unavailable);
    let done = world.engine.restart_interrupted(RestartScope::All, options).await.unwrap();
    assert_eq!(done.launched.len(), 1);
    assert_eq!(done.skipped.len(), 1);
    assert_eq!(done.skipped[0].stored.process.id, first);
    assert!(matches!(done.skipped[0].reason, SkipReason::LaunchFailed { .. }));
    world.store.fail_on(PortCall::Submit, 1, Fault::Unavailable);
    let failed = world.engine.restart_interrupted(RestartScope::All, options).await;
    assert!(failed.is_err(), "nothing was started: {failed:?}");
    world.store.fail_on(PortCall::Submit, 1, Fault::Unavailable);
    let failed = world.engine.restart_interrupted(RestartScope::These(&[first, second]), options).await;
    assert!(failed.is_err(), "a named one was not started: {failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_named_processes_reports_no_other_process() {
    let world = World::new().await;
    let [first, _] = interrupted_twins(&world).await;
    let silent = world.launch_spec(reported(|reported| reported.heartbeat = Some(seconds(1)))).await;
    assert_eq!(world.end(silent).await, Status::Interrupted);
    let options = InterruptedRestartOptions { with_children: true, ..InterruptedRestartOptions::default() };
    let done = world.engine.restart_interrupted(RestartScope::These(&[first]), options).await.unwrap();
    assert_eq!((done.launched.len(), done.skipped.len()), (1, 0));
    let done = world.engine.restart_interrupted(RestartScope::All, options).await.unwrap();
    let skipped: Vec<_> =
        done.skipped.iter().map(|one| (one.stored.process.id, one.reason.clone())).collect();
    assert_eq!(skipped, [(silent, SkipReason::Reported)]);
}

#[tokio::test(start_paused = true)]
async fn process_that_was_cancelled_or_ended_late_is_skipped_with_that_reason() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let cancelled = a.launch(command("run")).await;
    let ended = a.launch(command("exit 0 30000")).await;
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    b.tell(cancelled, STOP).await;
    let skipped = async || {
        let options = InterruptedRestartOptions { dry_run: true, ..InterruptedRestartOptions::default() };
        let plan = b.engine.restart_interrupted(RestartScope::All, options).await.unwrap();
        plan.skipped.into_iter().map(|one| (one.stored.process.id, one.reason)).collect::<Vec<_>>()
    };
    assert_eq!(skipped().await, [(cancelled, SkipReason::Cancelled)]);
    cluster.pass(seconds(30)).await;
    a.cut(false);
    cluster.pass(seconds(10)).await;
    assert_eq!(skipped().await, [(cancelled, SkipReason::Cancelled), (ended, SkipReason::EndKnown)]);
}

#[tokio::test(start_paused = true)]
async fn recovery_examines_only_live_commands_and_a_silent_one_delays_no_other() {
    let mut world = World::with(|settings| settings.max_parallel = 0).await;
    let ended = world.launch("exit 0").await;
    world.end(ended).await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(world.launch("run").await);
    }
    world.settle().await;
    let first = world.key(ids[0]).await;
    world.spawner.set_unreachable(first, true);
    world.crash().await;
    assert_eq!(world.engine.unexamined(), 1);
    assert!(world.spawner.adopted().iter().all(|(key, _)| key.id != ended));
    world.spawner.set_unreachable(first, false);
    world.settle().await;
    assert_eq!(world.engine.unexamined(), 0);
}

#[tokio::test(start_paused = true)]
async fn end_of_a_session_of_its_parent_leaves_a_child_without_one_to_the_cascade() {
    let world = World::new().await;
    let root = world.launch("run").await;
    let below = child(&world, root, command("exit 0 60000")).await;
    world.settle().await;
    world.engine.terminate(root, false, None).await.unwrap();
    world.pass(seconds(1)).await;
    assert_eq!((world.status(root).await, world.status(below).await), (Status::Cancelled, Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn older_attempts_on_a_node_are_stopped_when_their_process_runs_elsewhere() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let moved = a.launch(requeued("run")).await;
    let kept = a.launch(anywhere("run")).await;
    let done = a.launch(command("exit 0 100")).await;
    cluster.pass(seconds(2)).await;
    a.engine.abandon();
    cluster.pass(LEASE + GRACE + seconds(10)).await;
    assert_eq!((b.status(moved).await, b.status(kept).await), (Status::Running, Status::Interrupted));
    let again: Node =
        cluster.start(a.settings.clone(), std::sync::Arc::new(a.spawner.reopened()), a.ids.clone()).await;
    cluster.pass(seconds(10)).await;
    let left: Vec<ProcessId> = again.spawner.live().into_iter().map(|key| key.id).collect();
    assert_eq!(left, [kept]);
    let asked: Vec<ProcessId> = again.spawner.adopted().into_iter().map(|(key, _)| key.id).collect();
    assert!(!asked.contains(&done), "its end is known: {asked:?}");
    let stored = again.stored(kept).await;
    assert!(again.engine.is_orphaned(&stored));
    assert!(!b.engine.is_orphaned(&stored));
    let launch = Launch {
        spec: command("exit 0 100"),
        parent: None,
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let next = again.engine.launch(launch).await.unwrap().stored.process.id;
    cluster.pass(seconds(1)).await;
    assert_eq!(again.status(next).await, Status::Completed);
}
