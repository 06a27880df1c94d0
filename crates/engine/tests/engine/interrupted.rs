use crate::world::{World, command, reported, seconds};
use longhaul_domain::{LaunchKey, ProcessId, Rejection, ReportedSpec, Revision, Spec, Status};
use longhaul_engine::{EngineError, Revived};

impl World {
    async fn lost(&self) -> ProcessId {
        let id = self.launch("lost 1000").await;
        assert_eq!(self.end(id).await, Status::Interrupted);
        id
    }

    async fn restarted(&self, ids: Option<&[ProcessId]>) -> Vec<(Option<ProcessId>, bool)> {
        let revived = ids.map_or(Revived::All, Revived::These);
        let launched = self.engine.restart_interrupted(revived).await.unwrap().launched;
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
    assert_eq!(world.restarted(Some(&[first])).await, [(Some(first), false)], "who names it is told");
    world.settle().await;
    assert_eq!(world.spawner.live().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn work_that_is_interrupted_again_is_brought_back_again() {
    let world = World::new().await;
    let first = world.lost().await;
    let again = world.engine.restart_interrupted(Revived::All).await.unwrap().launched[0].stored.process.id;
    assert_eq!(world.end(again).await, Status::Interrupted);
    assert_eq!(world.restarted(None).await, [(Some(again), true)]);
    assert_eq!(world.restarted(Some(&[first])).await, [(Some(first), false)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_restarted_by_hand_is_not_brought_back_once_more() {
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
    let refused = world.engine.restart_interrupted(Revived::These(&[lost, well])).await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "process", .. })), "{refused:?}");
    match world.engine.restart_interrupted(Revived::These(&[lost, live])).await {
        Err(EngineError::Rejected { id, rejection: Rejection::InvalidStatusTransition { .. } }) => {
            assert_eq!(id, live);
        }
        other => panic!("{other:?}"),
    }
    let unknown = ProcessId::new(uuid::Uuid::from_u128(9));
    let refused = world.engine.restart_interrupted(Revived::These(&[unknown])).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
    assert_eq!(world.restarted(Some(&[lost])).await, [(Some(lost), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_key_that_somebody_else_chose_is_no_restart() {
    let world = World::new().await;
    let id = world.lost().await;
    let launch_key = Some(LaunchKey::new(&format!("restart:{id}")).unwrap());
    world.launch_spec(Spec { launch_key, ..command("run") }).await;
    let refused = world.engine.restart_interrupted(Revived::These(&[id])).await;
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
