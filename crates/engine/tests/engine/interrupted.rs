use crate::trees::child;
use crate::world::{World, command, reported, seconds};
use longhaul_domain::{
    ActionKind, AttemptNo, Interruption, LaunchKey, ProcessId, ProcessName, ProjectName, Rejection,
    ReportedSpec, Revision, Spec, Status,
};
use longhaul_engine::ports::{AttemptKey, StoredProcess};
use longhaul_engine::{
    EngineError, InterruptedRestart, InterruptedRestartOptions, Launch, Launcher, RestartScope, SkipReason,
};

impl World {
    async fn lost(&self) -> ProcessId {
        let id = self.launch("lost 1000").await;
        assert_eq!(self.end(id).await, Status::Interrupted);
        id
    }

    async fn restarted(&self, ids: Option<&[ProcessId]>) -> Vec<(Option<ProcessId>, bool)> {
        let revived = ids.map_or(RestartScope::All, RestartScope::These);
        let launched = self
            .engine
            .restart_interrupted(revived, InterruptedRestartOptions::default())
            .await
            .unwrap()
            .launched;
        launched.iter().map(|one| (one.stored.process.lineage.restarted_from, one.created)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn all_interrupted_work_is_brought_back_once_however_often_it_is_asked_for() {
    let world = World::new().await;
    let first = world.launch("run").await;
    let second = world.launch("exit 0 60000").await;
    let well = world.launch("exit 0").await;
    world.end(well).await;
    let with_heartbeat = |reported: &mut ReportedSpec| reported.heartbeat = Some(seconds(1));
    let silent = world.launch_spec(reported(with_heartbeat)).await;
    world.pass(seconds(5)).await;
    world.spawner.reboot();
    world.settle().await;
    for id in [first, second, silent] {
        assert_eq!(world.status(id).await, Status::Interrupted);
    }
    assert_eq!(world.restarted(None).await, [(Some(first), true), (Some(second), true)]);
    assert_eq!(world.restarted(None).await, []);
    assert_eq!(world.restarted(Some(&[first])).await, [(Some(first), false)], "a named process is reported");
    world.settle().await;
    assert_eq!(world.spawner.live().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn work_that_is_interrupted_again_is_brought_back_again() {
    let world = World::new().await;
    let first = world.lost().await;
    let again = world
        .engine
        .restart_interrupted(RestartScope::All, InterruptedRestartOptions::default())
        .await
        .unwrap()
        .launched[0]
        .stored
        .process
        .id;
    assert_eq!(world.end(again).await, Status::Interrupted);
    assert_eq!(world.restarted(None).await, [(Some(again), true)]);
    assert_eq!(world.restarted(Some(&[first])).await, [(Some(first), false)]);
}

#[tokio::test(start_paused = true)]
async fn a_manually_restarted_process_is_not_restarted_again() {
    let world = World::new().await;
    let id = world.lost().await;
    world.engine.restart(id, None).await.unwrap();
    assert_eq!(world.restarted(None).await, []);
    assert_eq!(world.restarted(Some(&[id])).await, [(Some(id), true)], "unless it is named");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_not_interrupted_is_refused_and_nothing_is_started() {
    let world = World::new().await;
    let lost = world.lost().await;
    let well = world.launch("exit 0").await;
    world.end(well).await;
    let live = world.launch("run").await;
    world.settle().await;
    let refused = world
        .engine
        .restart_interrupted(RestartScope::These(&[lost, well]), InterruptedRestartOptions::default())
        .await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "process", .. })), "{refused:?}");
    match world
        .engine
        .restart_interrupted(RestartScope::These(&[lost, live]), InterruptedRestartOptions::default())
        .await
    {
        Err(EngineError::Rejected { id, rejection: Rejection::InvalidStatusTransition { .. } }) => {
            assert_eq!(id, live);
        }
        other => panic!("{other:?}"),
    }
    let unknown = ProcessId::new(uuid::Uuid::from_u128(9));
    let refused = world
        .engine
        .restart_interrupted(RestartScope::These(&[unknown]), InterruptedRestartOptions::default())
        .await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
    assert_eq!(world.restarted(Some(&[lost])).await, [(Some(lost), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_key_of_another_client_does_not_count_as_a_restart() {
    let world = World::new().await;
    let id = world.lost().await;
    let launch_key = Some(LaunchKey::new(&format!("restart:{id}")).unwrap());
    world.launch_spec(Spec { launch_key, ..command("run") }).await;
    let refused = world
        .engine
        .restart_interrupted(RestartScope::These(&[id]), InterruptedRestartOptions::default())
        .await;
    assert!(matches!(refused, Err(EngineError::KeyConflict { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_on_an_older_revision_is_refused() {
    let world = World::new().await;
    let id = world.lost().await;
    let now = world.stored(id).await.revision;
    match world.engine.restart(id, Some(Revision(now.0 - 1))).await {
        Err(EngineError::RevisionMoved { found, .. }) => assert_eq!(found, now),
        other => panic!("{other:?}"),
    }
    assert!(world.engine.restart(id, Some(now)).await.unwrap().created);
}

/// Creates four processes and then simulates a reboot. Afterwards, a grandparent, its child and its grandchild are
/// interrupted, and so is a child whose parent had completed before.
async fn interrupted_family(world: &World) -> [ProcessId; 4] {
    let in_project = |name| Spec { project: Some(ProjectName::new(name).unwrap()), ..command("run") };
    let grandparent = world.launch_spec(in_project("p")).await;
    let parent = child(world, grandparent, in_project("p")).await;
    let grandchild = child(world, parent, in_project("q")).await;
    let well = world.launch("exit 0 1000").await;
    let alone = child(world, well, command("run")).await;
    assert_eq!(world.end(well).await, Status::Completed);
    world.spawner.reboot();
    world.settle().await;
    [grandparent, parent, grandchild, alone]
}

fn ids<'a>(all: impl IntoIterator<Item = &'a StoredProcess>) -> Vec<ProcessId> {
    all.into_iter().map(|stored| stored.process.id).collect()
}

fn origins(revival: &InterruptedRestart) -> Vec<ProcessId> {
    revival.launched.iter().filter_map(|one| one.stored.process.lineage.restarted_from).collect()
}

fn skipped(revival: &InterruptedRestart) -> Vec<(ProcessId, SkipReason)> {
    revival.skipped.iter().map(|one| (one.stored.process.id, one.reason.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn children_of_a_restarted_process_are_left_to_their_parent() {
    let world = World::new().await;
    let [grandparent, parent, grandchild, alone] = interrupted_family(&world).await;
    let all = InterruptedRestartOptions::default();
    let restart = async |options| world.engine.restart_interrupted(RestartScope::All, options).await.unwrap();
    let planned = restart(InterruptedRestartOptions { dry_run: true, ..all }).await;
    assert_eq!((ids(&planned.planned), origins(&planned)), (vec![grandparent, alone], Vec::new()));
    assert!(world.spawner.live().is_empty(), "nothing was changed");
    let done = restart(all).await;
    assert_eq!(origins(&done), [grandparent, alone]);
    let left = [parent, grandchild].map(|id| (id, SkipReason::AncestorRestarted { ancestor: grandparent }));
    assert_eq!((skipped(&planned), skipped(&done)), (left.to_vec(), left.to_vec()));
    let again = restart(all).await;
    assert_eq!(
        (origins(&again), skipped(&again)),
        (Vec::new(), left.to_vec()),
        "the process is reported again"
    );
    let with_children = InterruptedRestartOptions { with_children: true, ..all };
    assert_eq!(skipped(&restart(with_children).await), left, "the grandparent may still launch them");
    world.cancel(done.launched[0].stored.process.id).await;
    world.settle().await;
    let children = restart(with_children).await;
    assert_eq!(origins(&children), [parent], "the grandparent has ended and cannot launch them");
    assert_eq!(skipped(&children), [(grandchild, SkipReason::AncestorRestarted { ancestor: parent })]);
    world.cancel(children.launched[0].stored.process.id).await;
    world.settle().await;
    assert_eq!(origins(&restart(with_children).await), [grandchild]);
    assert_eq!(skipped(&restart(all).await), [], "the processes were restarted");
}

#[tokio::test(start_paused = true)]
async fn children_are_never_restarted_beside_a_launcher_that_may_launch_them_again() {
    let world = World::new().await;
    let options = InterruptedRestartOptions { with_children: true, ..InterruptedRestartOptions::default() };
    let restart = async || world.engine.restart_interrupted(RestartScope::All, options).await.unwrap();
    let parent = world.launch("run").await;
    let left = child(&world, parent, command("run")).await;
    let awaited = [(left, SkipReason::AncestorRestarted { ancestor: parent })];
    for round in 0..3 {
        world.settle().await;
        world.spawner.reboot();
        world.settle().await;
        let first = restart().await;
        assert_eq!(first.launched.len(), 1, "the first request after crash {round}");
        assert_eq!(skipped(&first), awaited);
        world.settle().await;
        assert_eq!(world.spawner.live().len(), 1);
        assert_eq!(skipped(&restart().await), awaited, "the parent is alive");
    }
}

#[tokio::test(start_paused = true)]
async fn child_that_was_launched_from_outside_is_restarted_in_addition_to_its_parent() {
    let world = World::new().await;
    let launch = async |words, parent, launcher| {
        let launch =
            Launch { spec: command(words), parent: Some(parent), launcher, captured: None, no_queue: false };
        world.engine.launch(launch).await.unwrap().stored.process.id
    };
    let parent = world.launch("run").await;
    let attached = launch("run", parent, Launcher::Outside).await;
    let below_attached = launch("run", attached, Launcher::Process(attached)).await;
    let other = world.launch("run").await;
    let from_other = launch("run", parent, Launcher::Process(other)).await;
    let own = launch("run", attached, Launcher::Process(parent)).await;
    world.settle().await;
    world.spawner.reboot();
    world.settle().await;
    let done = world
        .engine
        .restart_interrupted(RestartScope::All, InterruptedRestartOptions::default())
        .await
        .unwrap();
    assert_eq!(origins(&done), [parent, attached, other, from_other]);
    let left = |id, ancestor| (id, SkipReason::AncestorRestarted { ancestor });
    assert_eq!(skipped(&done), [left(below_attached, attached), left(own, attached)]);
    let restart_of = |old| {
        let one = done.launched.iter().find(|one| one.stored.process.lineage.restarted_from == Some(old));
        one.unwrap().stored.process.clone()
    };
    for child in [attached, from_other] {
        let lineage = restart_of(child).lineage;
        assert_eq!(lineage.ancestors, [restart_of(parent).id], "a child of the parent that runs now");
        assert_eq!(lineage.launchers(), [], "the parent did not launch the child");
    }
}

#[tokio::test(start_paused = true)]
async fn child_that_its_restarted_parent_launched_again_is_not_restarted() {
    let world = World::new().await;
    let parent = world.launch("run").await;
    let first = child(&world, parent, command("exit 0 60000")).await;
    let second = child(&world, parent, command("exit 0 70000")).await;
    world.settle().await;
    world.spawner.reboot();
    world.settle().await;
    let restart = async |with_children| {
        let options = InterruptedRestartOptions { with_children, ..InterruptedRestartOptions::default() };
        world.engine.restart_interrupted(RestartScope::All, options).await.unwrap()
    };
    let restarted = restart(false).await.launched.remove(0).stored.process.id;
    let again = child(&world, restarted, command("exit 0 60000")).await;
    let left = (second, SkipReason::AncestorRestarted { ancestor: parent });
    assert_eq!(skipped(&restart(false).await), [left], "the other one has come back");
    world.cancel(restarted).await;
    world.settle().await;
    let all = restart(true).await;
    assert_eq!(origins(&all), [second]);
    assert_eq!(skipped(&all), [(first, SkipReason::Replaced { by: again })]);
}

#[tokio::test(start_paused = true)]
async fn one_relaunched_child_replaces_one_of_several_that_are_alike() {
    let world = World::new().await;
    let parent = world.launch("run").await;
    let children = [child(&world, parent, command("run")).await, child(&world, parent, command("run")).await];
    world.settle().await;
    world.spawner.reboot();
    world.settle().await;
    let restart = async |revived, with_children| {
        let options = InterruptedRestartOptions { with_children, ..InterruptedRestartOptions::default() };
        world.engine.restart_interrupted(revived, options).await.unwrap()
    };
    let restarted = restart(RestartScope::All, false).await.launched.remove(0).stored.process.id;
    let again = child(&world, restarted, command("run")).await;
    let replaced = (children[0], SkipReason::Replaced { by: again });
    let named = restart(RestartScope::These(&children[..1]), true).await;
    assert_eq!((origins(&named), skipped(&named)), (vec![], vec![replaced.clone()]));
    world.cancel(restarted).await;
    world.settle().await;
    let all = restart(RestartScope::All, true).await;
    assert_eq!((origins(&all), skipped(&all)), (vec![children[1]], vec![replaced]));
}

/// Creates two interrupted children of one parent. Returns the children and the process that restarted the parent.
async fn twins_below_a_restart(world: &World, specs: [Spec; 2]) -> ([ProcessId; 2], ProcessId) {
    let parent = world.launch("run").await;
    let [first, second] = specs;
    let twins = [child(world, parent, first).await, child(world, parent, second).await];
    world.settle().await;
    world.spawner.reboot();
    world.settle().await;
    let done = world
        .engine
        .restart_interrupted(RestartScope::All, InterruptedRestartOptions::default())
        .await
        .unwrap();
    assert_eq!(origins(&done), [parent]);
    (twins, done.launched[0].stored.process.id)
}

/// Ends the restarted parent, and restarts the children that it has not launched again.
async fn with_children(world: &World, parent: ProcessId) -> (Vec<ProcessId>, Vec<(ProcessId, SkipReason)>) {
    world.cancel(parent).await;
    world.settle().await;
    let options = InterruptedRestartOptions { with_children: true, ..InterruptedRestartOptions::default() };
    let done = world.engine.restart_interrupted(RestartScope::All, options).await.unwrap();
    (origins(&done), skipped(&done))
}

#[tokio::test(start_paused = true)]
async fn replacement_that_was_restarted_replaces_no_second_child() {
    let world = World::new().await;
    let ([first, second], restarted) =
        twins_below_a_restart(&world, [command("exit 0 60000"), command("exit 0 60000")]).await;
    let again = child(&world, restarted, command("exit 0 60000")).await;
    assert_eq!(world.end(again).await, Status::Completed);
    world.engine.restart(again, None).await.unwrap();
    let replaced = (first, SkipReason::Replaced { by: again });
    assert_eq!(with_children(&world, restarted).await, (vec![second], vec![replaced]));
}

#[tokio::test(start_paused = true)]
async fn replacement_counts_as_the_child_with_its_name() {
    let world = World::new().await;
    let named = |name| Spec { name: Some(ProcessName::new(name).unwrap()), ..command("run") };
    let ([first, second], restarted) = twins_below_a_restart(&world, [named("a"), named("b")]).await;
    let again = child(&world, restarted, named("b")).await;
    let replaced = (second, SkipReason::Replaced { by: again });
    assert_eq!(with_children(&world, restarted).await, (vec![first], vec![replaced]));
}

#[tokio::test(start_paused = true)]
async fn named_child_is_restarted_though_it_was_replaced_and_leaves_the_replacement_to_its_twin() {
    let world = World::new().await;
    let ([first, second], restarted) = twins_below_a_restart(&world, [command("run"), command("run")]).await;
    let again = child(&world, restarted, command("run")).await;
    assert_eq!(world.restarted(Some(&[first])).await, [(Some(first), true)]);
    let replaced = (second, SkipReason::Replaced { by: again });
    assert_eq!(with_children(&world, restarted).await, (vec![], vec![replaced]));
}

#[tokio::test(start_paused = true)]
async fn child_of_a_process_that_ended_by_itself_is_restarted_though_that_one_was_run_again() {
    let world = World::new().await;
    let parent = world.launch("exit 0 1000").await;
    let left = child(&world, parent, command("run")).await;
    assert_eq!(world.end(parent).await, Status::Completed);
    world.engine.restart(parent, None).await.unwrap();
    world.settle().await;
    world.spawner.reboot();
    world.settle().await;
    let done = world
        .engine
        .restart_interrupted(RestartScope::All, InterruptedRestartOptions::default())
        .await
        .unwrap();
    assert!(origins(&done).contains(&left), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_child_is_restarted_if_no_ancestor_is_restarted() {
    let world = World::new().await;
    let [grandparent, _, grandchild, _] = interrupted_family(&world).await;
    let restart = async |revived| {
        world.engine.restart_interrupted(revived, InterruptedRestartOptions::default()).await.unwrap()
    };
    let project = ProjectName::new("q").unwrap();
    assert_eq!(origins(&restart(RestartScope::OfProject(&project)).await), [grandchild]);
    let world = World::new().await;
    let [grandparent_2, _, grandchild_2, _] = interrupted_family(&world).await;
    assert_eq!((grandparent_2, grandchild_2), (grandparent, grandchild), "ids are in sequence");
    let restart = async |ids: &[ProcessId]| {
        world
            .engine
            .restart_interrupted(RestartScope::These(ids), InterruptedRestartOptions::default())
            .await
            .unwrap()
    };
    let both = restart(&[grandchild, grandparent]).await;
    assert_eq!(origins(&both), [grandparent]);
    assert_eq!(skipped(&both), [(grandchild, SkipReason::AncestorRestarted { ancestor: grandparent })]);
    assert_eq!(origins(&restart(&[grandchild]).await), [grandchild], "a single named process is restarted");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_may_still_run_is_skipped_and_named() {
    let mut world = World::new().await;
    let (lost, unknown) = (world.launch("run").await, world.launch("run").await);
    world.settle().await;
    world.engine.abandon();
    let key = |id| AttemptKey { id, attempt: AttemptNo(1) };
    world.spawner.lose(key(lost), &Interruption::Reboot);
    world.spawner.set_unreachable(key(unknown), true);
    world.crash().await;
    let revival = world
        .engine
        .restart_interrupted(RestartScope::All, InterruptedRestartOptions::default())
        .await
        .unwrap();
    assert_eq!(origins(&revival), [lost]);
    assert_eq!(skipped(&revival), [(unknown, SkipReason::Unexamined)]);
}

#[tokio::test(start_paused = true)]
async fn reported_work_is_registered_again_only_by_its_reporter() {
    let world = World::new().await;
    let silent = world.launch_spec(reported(|work| work.heartbeat = Some(seconds(1)))).await;
    assert_eq!(world.end(silent).await, Status::Interrupted);
    let revival = world
        .engine
        .restart_interrupted(RestartScope::All, InterruptedRestartOptions::default())
        .await
        .unwrap();
    assert_eq!((origins(&revival), skipped(&revival)), (Vec::new(), vec![(silent, SkipReason::Reported)]));
    match world.engine.restart(silent, None).await {
        Err(EngineError::Rejected { rejection: Rejection::Unsupported { attempted, .. }, .. }) => {
            assert_eq!(attempted, ActionKind::Restart);
        }
        other => panic!("{other:?}"),
    }
}
