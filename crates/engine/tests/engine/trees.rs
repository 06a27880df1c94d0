use crate::world::{World, command, reported, retrying, seconds};
use longhaul_domain::{
    Action, AgentDescriptor, AgentId, ChildrenPolicy, Ending, Level, NoOpReason, Policy, ProcessId,
    RetryPolicy, Spec, State, Status, StopCause, TreeLimits,
};
use longhaul_engine::ports::{Clock, StoreRejection};
use longhaul_engine::{EngineError, Launch, Launcher, MemberOutcome};
use longhaul_testkit::fakes::{FakeCall, PortCall};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) async fn try_child(
    world: &World,
    parent: ProcessId,
    spec: Spec,
) -> Result<ProcessId, EngineError> {
    let launch =
        Launch { spec, parent: Some(parent), launcher: Launcher::Parent, captured: None, no_queue: false };
    Ok(world.engine.launch(launch).await?.stored.process.id)
}

pub(crate) async fn child(world: &World, parent: ProcessId, spec: Spec) -> ProcessId {
    try_child(world, parent, spec).await.unwrap()
}

pub(crate) fn with_children(words: &str, children: ChildrenPolicy) -> Spec {
    Spec { children, ..command(words) }
}

pub(crate) async fn ending(world: &World, id: ProcessId) -> Ending {
    let State::Ended(ended) = world.stored(id).await.process.state else {
        unreachable!("{id} has not ended");
    };
    ended.ending
}

pub(crate) fn cancelled_by(ending: &Ending) -> Option<StopCause> {
    if let Ending::Cancelled { by, .. } = ending { Some(*by) } else { None }
}

/// Returns the processes in the order of their first stop requests, with the times of these requests.
pub(crate) fn asked(world: &World) -> Vec<(i64, ProcessId)> {
    let mut seen = Vec::new();
    for entry in world.spawner.journal() {
        if matches!(entry.act, FakeCall::StopAsked(_)) && !seen.iter().any(|(_, id)| *id == entry.key.id) {
            seen.push((entry.at.0, entry.key.id));
        }
    }
    seen
}

/// Launches a root with two children. The first child launches two children itself.
pub(crate) async fn family(world: &World, words: &str) -> Vec<ProcessId> {
    let root = world.launch(words).await;
    let first = child(world, root, command(words)).await;
    let second = child(world, root, command(words)).await;
    let third = child(world, first, command(words)).await;
    let fourth = child(world, first, command(words)).await;
    world.settle().await;
    vec![root, first, second, third, fourth]
}

#[tokio::test(start_paused = true)]
async fn terminate_stops_a_whole_tree_deepest_first_within_one_grace_period() {
    let world = World::new().await;
    let ids = family(&world, "stubborn").await;
    let answer = world.engine.terminate(ids[0], false, None).await.unwrap();
    assert!(answer.changed && answer.stored.process.status() == Status::Stopping);
    world.settle().await;
    let asked = asked(&world);
    let levels: Vec<usize> = asked
        .iter()
        .map(|(_, id)| [0, 1, 1, 2, 2][ids.iter().position(|known| known == id).unwrap()])
        .collect();
    assert_eq!(levels, [2, 2, 1, 1, 0]);
    assert!(asked.iter().all(|(at, _)| *at == asked[0].0), "one grace period for the tree: {asked:?}");
    world.pass(seconds(6)).await;
    assert_eq!(cancelled_by(&ending(&world, ids[0]).await), Some(StopCause::User));
    for id in &ids[1..] {
        assert_eq!(cancelled_by(&ending(&world, *id).await), Some(StopCause::Parent));
    }
    assert_eq!(
        world.stored(ids[0]).await.process.cascade,
        None,
        "the cascade ends when no descendant is live"
    );
}

#[tokio::test(start_paused = true)]
async fn no_process_joins_a_tree_that_is_ending() {
    let world = World::new().await;
    let ids = family(&world, "stubborn").await;
    world.engine.terminate(ids[0], false, None).await.unwrap();
    for parent in ids {
        let refused = try_child(&world, parent, command("run")).await;
        let closing =
            matches!(refused, Err(EngineError::Refused { refusal: StoreRejection::AncestorClosing { .. } }));
        assert!(closing, "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_joined_just_before_the_mark_ends_with_the_tree() {
    for settled in [false, true] {
        let world = World::new().await;
        let root = world.launch("run").await;
        world.settle().await;
        let late = child(&world, root, command("slow 400")).await;
        if settled {
            world.settle().await;
        }
        world.engine.terminate(root, false, None).await.unwrap();
        assert_eq!(world.end(late).await, Status::Cancelled);
        assert_eq!(world.end(root).await, Status::Cancelled);
        assert!(world.spawner.live().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn terminate_of_an_ended_process_without_descendants_commits_nothing() {
    let world = World::new().await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    let commits = || world.store.calls().iter().filter(|call| **call == PortCall::Commit).count();
    let before = commits();
    let answer = world.engine.terminate(id, false, None).await.unwrap();
    assert_eq!((answer.changed, answer.note), (false, Some(NoOpReason::AlreadyEnded)));
    assert_eq!(commits(), before);
    let stale = longhaul_domain::Revision(1);
    let moved = world.engine.terminate(id, false, Some(stale)).await;
    assert!(matches!(moved, Err(EngineError::RevisionMoved { .. })), "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn terminate_of_an_ended_process_reaches_its_live_descendants() {
    let mut world = World::new().await;
    let root = world.launch("exit 0 1000").await;
    let below = child(&world, root, command("run")).await;
    let deeper = child(&world, below, command("run")).await;
    assert_eq!(world.end(root).await, Status::Completed);
    assert_eq!(world.status(below).await, Status::Running, "children keep running by default");
    let answer = world.engine.terminate(root, false, None).await.unwrap();
    assert!(answer.changed);
    // The cascade also continues after a crash.
    world.crash().await;
    assert_eq!(world.end(below).await, Status::Cancelled);
    assert_eq!(world.end(deeper).await, Status::Cancelled);
    world.pass(seconds(6)).await;
    assert_eq!(world.stored(root).await.process.cascade, None);
    assert_eq!(world.status(root).await, Status::Completed, "the ending is final");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_descendant_of_a_terminated_process_never_runs() {
    let world = World::with(|settings| {
        let slots = BTreeMap::from([("k".to_owned(), 1)]);
        settings.policy = Some(Policy { slots, ..Policy::default() });
    })
    .await;
    let keyed = |words| Spec { key: longhaul_domain::SlotKey::new("k").ok(), ..command(words) };
    world.launch_spec(keyed("run")).await;
    let root = world.launch("run").await;
    let queued = child(&world, root, keyed("exit 0")).await;
    let again = child(&world, root, retrying("exit 1", 9)).await;
    world.settle().await;
    assert_eq!(world.status(again).await, Status::Pending);
    world.engine.terminate(root, false, None).await.unwrap();
    world.pass(seconds(3600)).await;
    assert_eq!(cancelled_by(&ending(&world, queued).await), Some(StopCause::Parent));
    assert_eq!(cancelled_by(&ending(&world, again).await), Some(StopCause::Parent));
    assert_eq!((world.spawner.runs(queued), world.spawner.runs(again)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn force_after_terminate_kills_the_whole_tree_at_once() {
    let world = World::new().await;
    let ids = family(&world, "stubborn").await;
    world.engine.terminate(ids[0], false, None).await.unwrap();
    world.pass(seconds(1)).await;
    assert_eq!(world.spawner.live().len(), 5);
    world.engine.terminate(ids[0], true, None).await.unwrap();
    world.settle().await;
    for id in ids {
        assert_eq!(world.status(id).await, Status::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_descendants_are_all_signalled_within_a_second() {
    let world = World::with(|settings| {
        settings.tree = TreeLimits { max_level: Level(10), per_level: 200 };
    })
    .await;
    let root = world.launch("stubborn").await;
    let mut parents = vec![root];
    for _ in 0..5 {
        let mut next = Vec::new();
        for place in 0..200 {
            next.push(child(&world, parents[place % parents.len()], command("stubborn")).await);
        }
        parents = next;
    }
    world.settle().await;
    assert_eq!(world.spawner.live().len(), 1_001);
    let began = world.clock.now();
    world.engine.terminate(root, false, None).await.unwrap();
    world.settle().await;
    let asked = asked(&world);
    assert_eq!(asked.len(), 1_001);
    assert!(asked.iter().all(|(at, _)| at - began.0 <= 1_000));
    world.pass(seconds(7)).await;
    assert!(world.spawner.live().is_empty());
    assert_eq!(world.stored(root).await.process.cascade, None);
}

#[tokio::test(start_paused = true)]
async fn a_reporter_below_a_terminated_process_is_asked_and_given_its_grace() {
    let world = World::new().await;
    let root = world.launch("run").await;
    let below = child(&world, root, reported(|_| {})).await;
    world.settle().await;
    world.engine.terminate(root, false, None).await.unwrap();
    world.pass(seconds(30)).await;
    assert_eq!(world.status(root).await, Status::Cancelled);
    assert_eq!(world.status(below).await, Status::Stopping);
    assert!(world.stored(root).await.process.cascade.is_some());
    world.pass(seconds(40)).await;
    assert_eq!(world.status(below).await, Status::Cancelled);
    assert_eq!(world.stored(root).await.process.cascade, None);
}

#[tokio::test(start_paused = true)]
async fn terminate_of_a_level_ends_this_level_of_the_tree_and_all_descendants() {
    let world = World::new().await;
    let (one, other) = (family(&world, "run").await, family(&world, "run").await);
    // A tree can be selected by any of its processes.
    let told = world.engine.terminate_level(Level(1), Some(one[4]), false).await.unwrap();
    assert_eq!(told.iter().map(|told| told.id).collect::<Vec<_>>(), [one[1], one[2]]);
    assert!(told.iter().all(|told| told.outcome.as_ref().is_ok_and(|answer| answer.changed)));
    world.pass(seconds(6)).await;
    assert_eq!(world.status(one[0]).await, Status::Running);
    for id in &one[1..] {
        assert_eq!(world.status(*id).await, Status::Cancelled);
    }
    for id in &other {
        assert_eq!(world.status(*id).await, Status::Running);
    }
    assert_eq!(world.engine.terminate_level(Level(2), None, true).await.unwrap().len(), 2);
    let told = world.engine.terminate_level(Level(0), Some(other[3]), false).await.unwrap();
    assert_eq!(told.iter().map(|told| told.id).collect::<Vec<_>>(), [other[0]]);
    world.pass(seconds(6)).await;
    assert_eq!(world.status(other[2]).await, Status::Cancelled);
    assert_eq!(world.status(one[0]).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_paused_and_resumed_as_one_and_those_that_cannot_say_so() {
    let world = World::new().await;
    let ids = family(&world, "exit 0 10000").await;
    let reporting = child(&world, ids[3], reported(|_| {})).await;
    let outsider = world.launch("exit 0 10000").await;
    world.settle().await;
    let told = world.engine.pause_tree(ids[0]).await.unwrap();
    assert_eq!(told[0].id, ids[0], "itself first");
    assert_eq!(told.len(), 6);
    for MemberOutcome { id, outcome } in &told {
        assert_eq!(outcome.is_err(), *id == reporting, "{outcome:?}");
    }
    world.pass(seconds(100)).await;
    for id in &ids {
        assert_eq!(world.status(*id).await, Status::Paused);
    }
    assert_eq!(world.status(outsider).await, Status::Completed);
    world.engine.resume_tree(ids[0]).await.unwrap();
    for id in &ids {
        assert_eq!(world.status(*id).await, Status::Running);
    }
    for id in &ids {
        assert_eq!(world.end(*id).await, Status::Completed);
    }
    assert!(matches!(
        world.engine.pause_tree(ProcessId::new(uuid::Uuid::from_u128(7))).await,
        Err(EngineError::NotFound { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_tree_lists_a_process_and_all_that_were_below_it_oldest_first() {
    let world = World::new().await;
    let ids = family(&world, "exit 0 1000").await;
    world.end(ids[4]).await;
    family(&world, "run").await;
    let tree = |id| {
        let engine = world.engine.clone();
        async move {
            let found: Vec<ProcessId> =
                engine.tree(id).await.unwrap().into_iter().map(|stored| stored.process.id).collect();
            found
        }
    };
    assert_eq!(tree(ids[0]).await, ids);
    assert_eq!(tree(ids[1]).await, [ids[1], ids[3], ids[4]]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_id_selects_the_newest_live_process_or_the_newest_process() {
    let world = World::new().await;
    let agent = AgentId::new("a-1").unwrap();
    let of = |words: &str| Spec {
        agent: AgentDescriptor { agent_id: Some(agent.clone()), ..AgentDescriptor::default() },
        ..command(words)
    };
    assert!(world.engine.agent(&agent).await.unwrap().is_none());
    let first = world.launch_spec(of("exit 0 5000")).await;
    let second = world.launch_spec(of("exit 0")).await;
    world.end(second).await;
    assert_eq!(world.engine.agent(&agent).await.unwrap().unwrap().process.id, first);
    world.end(first).await;
    assert_eq!(world.engine.agent(&agent).await.unwrap().unwrap().process.id, second);
}

#[tokio::test(start_paused = true)]
async fn usage_is_reported_only_for_processes_of_this_node() {
    let world = World::new().await;
    let id = world.launch("exit 0 1000").await;
    world.settle().await;
    assert!(world.engine.usage(id).await.unwrap().is_some());
    let outside = world.launch_spec(reported(|_| {})).await;
    assert!(world.engine.usage(outside).await.unwrap().is_none());
    world.end(id).await;
    assert!(world.engine.usage(id).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_a_timeout_scheduled_does_not_escape_a_terminate() {
    let world = World::new().await;
    let root = world.launch("run").await;
    let retry = RetryPolicy { after_timeout: true, ..retrying("x", 9).retry };
    let spec = Spec { retry, ..crate::world::with_timeout("stubborn", seconds(1)) };
    let below = child(&world, root, spec).await;
    // The process is stopping because of its timeout. It would be retried afterwards.
    world.pass(Duration::from_millis(1_500)).await;
    assert_eq!(world.status(below).await, Status::Stopping);
    world.engine.terminate(root, false, None).await.unwrap();
    world.pass(seconds(600)).await;
    assert_eq!(cancelled_by(&ending(&world, below).await), Some(StopCause::Parent));
    assert_eq!(world.spawner.runs(below), 1);
}

#[tokio::test(start_paused = true)]
async fn terminate_with_an_old_revision_is_refused() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    let seen = world.stored(id).await.revision;
    world.ask(id, Action::Pause).await.unwrap();
    let moved = world.engine.terminate(id, false, Some(seen)).await;
    assert!(matches!(moved, Err(EngineError::RevisionMoved { .. })), "{moved:?}");
    assert_eq!(world.status(id).await, Status::Paused);
}
