use crate::trees::child;
use crate::world::{World, command, reported, seconds};
use longhaul_domain::{
    Ending, NoOpReason, Policy, ProcessId, SessionId, SessionPolicy, SlotKey, Spec, State, Status, StopCause,
};
use longhaul_engine::MemberOutcome;
use std::collections::BTreeMap;
use std::time::Duration;

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn of(name: &str, on_session_end: SessionPolicy, spec: Spec) -> Spec {
    Spec { session: Some(session(name)), on_session_end, ..spec }
}

fn ids(told: &[MemberOutcome]) -> Vec<ProcessId> {
    told.iter().map(|told| told.id).collect()
}

async fn cause(world: &World, id: ProcessId) -> Option<StopCause> {
    let State::Ended(ended) = world.stored(id).await.process.state else {
        return None;
    };
    if let Ending::Cancelled { by, .. } = ended.ending { Some(by) } else { None }
}

#[tokio::test(start_paused = true)]
async fn a_session_end_applies_the_policy_of_each_process() {
    let world = World::new().await;
    let keeps = world.launch_spec(of("s", SessionPolicy::Keep, command("run"))).await;
    let goes = world.launch_spec(of("s", SessionPolicy::Cancel, command("run"))).await;
    let leaves = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), command("run"))).await;
    let over = world.launch_spec(of("s", SessionPolicy::Cancel, command("exit 0"))).await;
    world.end(over).await;
    let told = world.engine.end_session(&session("s"), None).await.unwrap();
    assert_eq!(ids(&told), [keeps, goes, leaves], "an ended process gets no request");
    let notes: Vec<Option<NoOpReason>> =
        told.iter().map(|told| told.outcome.as_ref().unwrap().note).collect();
    assert_eq!(notes, [Some(NoOpReason::KeptByPolicy), None, None]);
    world.pass(seconds(59)).await;
    assert_eq!(cause(&world, goes).await, Some(StopCause::Session));
    assert_eq!(world.status(leaves).await, Status::Running);
    world.pass(seconds(2)).await;
    assert_eq!(cause(&world, leaves).await, Some(StopCause::Session));
    assert_eq!(world.status(keeps).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn process_whose_ancestor_is_cancelled_with_the_session_is_not_reported_as_kept() {
    let world = World::new().await;
    let cancelled = world.launch_spec(of("s", SessionPolicy::Cancel, command("run"))).await;
    let below = child(&world, cancelled, of("s", SessionPolicy::Keep, command("run"))).await;
    let leaves = world.launch_spec(of("s", SessionPolicy::Grace(seconds(10)), command("run"))).await;
    let later = child(&world, leaves, of("s", SessionPolicy::Grace(seconds(60)), command("run"))).await;
    let sooner = child(&world, leaves, of("s", SessionPolicy::Grace(seconds(5)), command("run"))).await;
    let kept = world.launch_spec(of("s", SessionPolicy::Keep, command("run"))).await;
    let told = world.engine.end_session(&session("s"), None).await.unwrap();
    let notes: BTreeMap<ProcessId, Option<NoOpReason>> =
        told.iter().map(|told| (told.id, told.outcome.as_ref().unwrap().note)).collect();
    let ends = Some(NoOpReason::EndsWithAncestor);
    let expected = [
        (cancelled, None),
        (below, ends),
        (leaves, None),
        (later, ends),
        (sooner, None),
        (kept, Some(NoOpReason::KeptByPolicy)),
    ];
    assert_eq!(notes, BTreeMap::from(expected));
    world.pass(seconds(20)).await;
    let live = world.spawner.live().len();
    assert_eq!((live, world.status(kept).await), (1, Status::Running));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_another_session_is_touched() {
    let world = World::new().await;
    let mine = world.launch_spec(of("s", SessionPolicy::Cancel, command("run"))).await;
    let other = world.launch_spec(of("t", SessionPolicy::Cancel, command("run"))).await;
    let none = world.launch("run").await;
    // The parent of the process is in the session that ends, but the process itself belongs to another session.
    let below = child(&world, mine, of("t", SessionPolicy::Cancel, command("run"))).await;
    let told = world.engine.end_session(&session("s"), Some(SessionPolicy::Cancel)).await.unwrap();
    assert_eq!(ids(&told), [mine]);
    world.pass(seconds(100)).await;
    assert_eq!(cause(&world, mine).await, Some(StopCause::Session));
    for id in [other, none, below] {
        assert_eq!(world.status(id).await, Status::Running);
    }
    assert!(world.engine.end_session(&session("unknown"), None).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_child_belongs_to_the_session_of_its_parent_unless_it_names_one() {
    let world = World::new().await;
    let top = world.launch_spec(of("s", SessionPolicy::Cancel, command("run"))).await;
    let below = child(&world, top, command("run")).await;
    let grandchild = child(&world, below, reported(|_| {})).await;
    let other = child(&world, below, of("t", SessionPolicy::Keep, command("run"))).await;
    let sessions = async |id| world.stored(id).await.process.spec.session.clone();
    for id in [below, grandchild] {
        assert_eq!(sessions(id).await, Some(session("s")));
    }
    assert_eq!(sessions(other).await, Some(session("t")));
    let nobodys = world.launch("run").await;
    assert_eq!(sessions(child(&world, nobodys, command("run")).await).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_policy_in_the_request_overrides_the_declared_policy() {
    let world = World::new().await;
    let id = world.launch_spec(of("s", SessionPolicy::Keep, command("run"))).await;
    world.settle().await;
    world.engine.end_session(&session("s"), Some(SessionPolicy::Grace(seconds(10)))).await.unwrap();
    // A second end of the session does not extend the grace period.
    let again =
        world.engine.end_session(&session("s"), Some(SessionPolicy::Grace(seconds(100)))).await.unwrap();
    assert_eq!(again[0].outcome.as_ref().unwrap().note, Some(NoOpReason::NoChange));
    world.pass(seconds(11)).await;
    assert_eq!(cause(&world, id).await, Some(StopCause::Session));
}

#[tokio::test(start_paused = true)]
async fn the_grace_of_a_session_ends_after_a_restart_too() {
    for away in [Duration::ZERO, seconds(5), seconds(100)] {
        let mut world = World::new().await;
        let running = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), command("run"))).await;
        let paused = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), command("run"))).await;
        let reporting = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), reported(|_| {}))).await;
        world.settle().await;
        world.ask(paused, longhaul_domain::Action::Pause).await.unwrap();
        world.engine.end_session(&session("s"), None).await.unwrap();
        world.engine.abandon();
        world.pass(away).await;
        world.crash().await;
        world.pass(seconds(55).saturating_sub(away)).await;
        if away < seconds(60) {
            for id in [running, paused, reporting] {
                assert!(!world.status(id).await.is_ended());
            }
            world.pass(seconds(6)).await;
        }
        world.pass(seconds(6)).await;
        assert_eq!(cause(&world, running).await, Some(StopCause::Session), "away {away:?}");
        assert_eq!(cause(&world, paused).await, Some(StopCause::Session), "away {away:?}");
        assert_eq!(world.status(reporting).await, Status::Stopping, "away {away:?}");
        assert_eq!(world.end(reporting).await, Status::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_of_a_session_ends_for_waiting_processes() {
    let world = World::with(|settings| {
        let slots = BTreeMap::from([("k".to_owned(), 1)]);
        settings.policy = Some(Policy { slots, ..Policy::default() });
    })
    .await;
    let keyed = |words| Spec { key: SlotKey::new("k").ok(), ..command(words) };
    let holder = world.launch_spec(keyed("run")).await;
    let waits = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), keyed("run"))).await;
    let until = Some(world.engine.now().plus(seconds(3_600)));
    let delayed = Spec { not_before: until, ..command("run") };
    let delayed = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), delayed)).await;
    world.engine.end_session(&session("s"), None).await.unwrap();
    world.pass(seconds(50)).await;
    assert_eq!(world.status(waits).await, Status::Pending);
    world.pass(seconds(11)).await;
    assert_eq!(cause(&world, waits).await, Some(StopCause::Session));
    assert_eq!(cause(&world, delayed).await, Some(StopCause::Session));
    assert_eq!(world.spawner.runs(waits), 0);
    assert_eq!(world.status(holder).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_process_claimed_after_the_session_end_is_cancelled_in_time() {
    let world = World::with(|settings| settings.max_parallel = 1).await;
    let first = world.launch("exit 0 10000").await;
    let waits = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), command("run"))).await;
    world.engine.end_session(&session("s"), None).await.unwrap();
    world.end(first).await;
    world.pass(seconds(45)).await;
    assert_eq!(world.status(waits).await, Status::Running);
    world.pass(seconds(16)).await;
    assert_eq!(cause(&world, waits).await, Some(StopCause::Session));
}

#[tokio::test(start_paused = true)]
async fn a_grace_is_taken_back_by_keeping_it_in_so_many_words() {
    let world = World::new().await;
    let leaves = world.launch_spec(of("s", SessionPolicy::Grace(seconds(60)), command("run"))).await;
    let stays = world.launch_spec(of("s", SessionPolicy::Keep, command("run"))).await;
    world.engine.end_session(&session("s"), Some(SessionPolicy::Grace(seconds(30)))).await.unwrap();
    // An explicit policy overrides the policy in the spec.
    world.engine.end_session(&session("s"), None).await.unwrap();
    assert!(world.stored(stays).await.process.cancel_at.is_some());
    let kept = world.engine.end_session(&session("s"), Some(SessionPolicy::Keep)).await.unwrap();
    assert!(kept.iter().all(|told| told.outcome.as_ref().unwrap().changed));
    world.pass(seconds(100)).await;
    for id in [leaves, stays] {
        assert_eq!(world.status(id).await, Status::Running);
        assert_eq!(world.stored(id).await.process.cancel_at, None);
    }
    // The policy in the spec is unchanged, so the next end of the session applies it.
    world.engine.end_session(&session("s"), None).await.unwrap();
    world.pass(seconds(61)).await;
    assert_eq!(cause(&world, leaves).await, Some(StopCause::Session));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_joins_after_a_session_end_is_affected_by_the_next_one() {
    let world = World::new().await;
    let before = world.launch_spec(of("s", SessionPolicy::Keep, command("run"))).await;
    world.engine.end_session(&session("s"), Some(SessionPolicy::Grace(seconds(60)))).await.unwrap();
    let after = world.launch_spec(of("s", SessionPolicy::Keep, command("run"))).await;
    world.pass(seconds(61)).await;
    assert_eq!(cause(&world, before).await, Some(StopCause::Session));
    assert_eq!(
        world.status(after).await,
        Status::Running,
        "the end of the session does not concern the process"
    );
    let told = world.engine.end_session(&session("s"), Some(SessionPolicy::Cancel)).await.unwrap();
    assert_eq!(ids(&told), [after]);
    assert_eq!(world.end(after).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_child_with_the_grace_of_its_parent_ends_by_its_own_policy() {
    let world = World::new().await;
    let session = SessionId::new("s").unwrap();
    let of = || Spec {
        session: Some(session.clone()),
        on_session_end: SessionPolicy::Grace(seconds(5)),
        ..command("run")
    };
    let parent = world.launch_spec(of()).await;
    crate::trees::child(&world, parent, of()).await;
    world.settle().await;
    let outcomes = world.engine.end_session(&session, None).await.unwrap();
    let notes: Vec<_> = outcomes.into_iter().map(|member| member.outcome.unwrap().note).collect();
    assert_eq!(notes, [None, None]);
}
