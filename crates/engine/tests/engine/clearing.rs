use crate::world::{World, command, reported, seconds};
use longhaul_domain::{Action, ProcessId, Spec, Status, Timestamp};
use longhaul_engine::ports::{Clock, OutputLog, ProcessFilter, StoreError, StoreRejection, StoredProcess};
use longhaul_engine::{EngineError, Launch, Launcher, ResetResult};
use std::time::Duration;

impl World {
    async fn clear(&self) -> ResetResult {
        let cleared = self.engine.clear(false);
        self.clock.run_until(Duration::from_secs(600), cleared).await.expect("it ends").unwrap()
    }

    async fn everything(&self) -> Vec<StoredProcess> {
        let page = longhaul_engine::ports::PageRequest {
            order: longhaul_engine::ports::SortOrder::OldestFirst,
            after: None,
            limit: 1_000,
        };
        self.engine.list(&ProcessFilter::default(), &page).await.unwrap().processes
    }

    /// Launches a process of every kind. Returns the ended processes and the live processes.
    async fn populated(&self) -> (Vec<ProcessId>, Vec<ProcessId>) {
        let ended = vec![self.launch("exit 0").await, self.launch("exit 1").await];
        for id in &ended {
            self.end(*id).await;
        }
        let parent = self.launch("run").await;
        let child = Launch {
            spec: command("run"),
            parent: Some(parent),
            launcher: Launcher::Parent,
            captured: None,
            no_queue: false,
        };
        let live = vec![
            parent,
            self.engine.launch(child).await.unwrap().stored.process.id,
            self.launch("stubborn").await,
            self.launch("slow 100").await,
            self.launch_spec(reported(|_| {})).await,
            self.launch_spec(Spec { not_before: Some(Timestamp(i64::MAX)), ..command("run") }).await,
            self.launch("run").await,
        ];
        self.settle().await;
        (ended, live)
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_stopped_and_nothing_is_left() {
    let world = World::with(|settings| settings.max_parallel = 3).await;
    let (ended, live) = world.populated().await;
    let asked_at = world.clock.now();
    let cleared = world.clear().await;
    assert_eq!(cleared.stopped, live);
    assert_eq!(cleared.removed, (ended.len() + live.len()) as u64);
    assert_eq!(cleared.left, []);
    assert!(world.everything().await.is_empty());
    assert!(world.spawner.live().is_empty());
    assert_eq!(live.iter().map(|id| world.spawner.runs(*id)).collect::<Vec<_>>(), [1, 1, 1, 1, 0, 0, 0]);
    assert!(world.spawner.output().kept(None, u32::MAX).await.unwrap().is_empty());
    assert!(
        world.clock.now().since(asked_at) < seconds(8),
        "one grace period in total, not one for each process"
    );
}

#[tokio::test(start_paused = true)]
async fn no_waiting_process_starts_during_a_reset() {
    let world = World::with(|settings| settings.max_parallel = 1).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(world.launch("run").await);
    }
    world.settle().await;
    assert_eq!(world.clear().await.stopped, ids);
    assert_eq!(ids.iter().map(|id| world.spawner.runs(*id)).sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_reset_reports_the_effect_of_the_reset() {
    let world = World::new().await;
    world.populated().await;
    let before = world.everything().await;
    let would = world.engine.clear(true).await.unwrap();
    assert_eq!(world.everything().await, before);
    assert_eq!(would, world.clear().await);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_end_is_named_and_keeps_its_record() {
    let world = World::new().await;
    let undying = world.launch("undying").await;
    let other = world.launch("run").await;
    world.settle().await;
    let cleared = world.clear().await;
    assert_eq!(cleared, ResetResult { stopped: vec![undying, other], removed: 1, left: vec![undying] });
    assert_eq!(world.status(undying).await, Status::Stopping);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_launched_meanwhile_and_everything_can_be_afterwards() {
    let world = World::new().await;
    let ended = world.launch("exit 0").await;
    world.end(ended).await;
    world.launch("stubborn").await;
    world.settle().await;
    let engine = world.engine.clone();
    let clearing = tokio::spawn(async move { engine.clear(false).await });
    world.settle().await;
    let launched = world.try_launch(command("run")).await;
    assert!(matches!(launched, Err(EngineError::ResetInProgress)), "{launched:?}");
    let restarted = world.engine.restart(ended, None).await;
    assert!(matches!(restarted, Err(EngineError::ResetInProgress)), "{restarted:?}");
    let second = world.engine.clear(false).await;
    assert!(matches!(second, Err(EngineError::ResetInProgress)), "{second:?}");
    world.pass(seconds(10)).await;
    assert_eq!(clearing.await.unwrap().unwrap().removed, 2);
    let id = world.launch("exit 0").await;
    assert_eq!(world.end(id).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_clear_that_fails_lets_launches_in_again() {
    let world = World::new().await;
    world.launch("run").await;
    world.settle().await;
    world.store.set_down(true);
    assert!(world.engine.clear(false).await.is_err());
    world.store.set_down(false);
    assert!(world.try_launch(command("run")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_caller_does_not_stop_a_reset() {
    let world = World::new().await;
    world.launch("stubborn").await;
    world.settle().await;
    let clearing = world.engine.clear(false);
    tokio::select! {
        _ = clearing => panic!("a command that ignores signals takes its full grace period"),
        () = world.settle() => {}
    }
    world.pass(seconds(10)).await;
    assert!(world.everything().await.is_empty());
    assert!(world.try_launch(command("run")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_tree_whose_end_is_being_seen_to_is_cleared_too() {
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
    let cause = longhaul_domain::StopCause::User;
    world.ask(parent, Action::Terminate { cause, force: false }).await.unwrap();
    world.settle().await;
    assert_eq!(world.status(parent).await, Status::Cancelled);
    let cleared = world.clear().await;
    assert_eq!((cleared.removed, cleared.left), (2, vec![]));
    assert!(world.everything().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reset_on_a_full_disk_stops_all_processes_and_names_the_next_step() {
    let world = World::new().await;
    let (ended, live) = world.populated().await;
    world.store.set_full(true);
    let asked_at = world.clock.now();
    let cleared = world.clock.run_until(seconds(600), world.engine.clear(false)).await.expect("it ends");
    let Err(EngineError::ResetUnfinished { stopped, removed, source }) = cleared else {
        panic!("{cleared:?}")
    };
    assert!(matches!(source, StoreError::Refused(StoreRejection::Full)), "{source:?}");
    // Reported work and waiting processes have no command that could be stopped.
    assert_eq!((stopped, removed), ([&live[..4], &live[6..]].concat(), 0));
    assert!(world.clock.now().since(asked_at) < seconds(2), "the engine does not wait without need");
    world.pass(seconds(10)).await;
    assert!(world.spawner.live().is_empty());
    world.store.set_full(false);
    assert_eq!(world.clear().await.removed, (ended.len() + live.len()) as u64);
}

#[tokio::test(start_paused = true)]
async fn a_clear_that_can_let_nothing_go_says_so() {
    let world = World::new().await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    world.store.set_full(true);
    let cleared = world.engine.clear(false).await;
    let Err(EngineError::ResetUnfinished { stopped, removed: 0, source: StoreError::Refused(_) }) = cleared
    else {
        panic!("{cleared:?}")
    };
    assert!(stopped.is_empty());
}
