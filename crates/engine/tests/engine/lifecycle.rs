use crate::world::{World, command, percent, retrying, seconds, with_timeout};
use longhaul_domain::{
    Action, ActionKind, Ending, ExitStatus, Failure, Rejection, Spec, Status, StopCause, Timestamp, Work,
};
use longhaul_engine::ports::Clock;
use longhaul_engine::{EngineError, Launch, Launcher, Shutdown};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_command_runs_and_completes() {
    let world = World::new().await;
    let id = world.launch("exit 0 1000").await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Running);
    assert_eq!(world.end(id).await, Status::Completed);
    assert_eq!(world.spawner.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn another_code_than_zero_is_a_failure_with_that_code() {
    let world = World::new().await;
    let id = world.launch("exit 7 10").await;
    assert_eq!(world.end(id).await, Status::Failed);
    let longhaul_domain::State::Ended(ended) = world.stored(id).await.process.state else { panic!("ended") };
    let Ending::Failed { failure: Failure::Exit(exit) } = ended.ending else { panic!("{:?}", ended.ending) };
    assert_eq!(exit.status, ExitStatus::Code(7));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_cannot_be_started_fails_without_a_retry() {
    let world = World::new().await;
    let id = world.launch_spec(retrying("missing", 5)).await;
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.stored(id).await.process.retries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_asks_and_the_tree_ends_by_the_signal() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    world.cancel(id).await;
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_is_ignored_becomes_a_kill_after_the_grace() {
    let world = World::new().await;
    let id = world.launch("stubborn").await;
    world.settle().await;
    let asked = world.clock.now();
    world.cancel(id).await;
    world.pass(Duration::from_millis(4_900)).await;
    assert_eq!(world.status(id).await, Status::Stopping);
    assert_eq!(world.end(id).await, Status::Cancelled);
    let took = world.clock.now().since(asked);
    assert!(took >= seconds(5) && took <= seconds(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_force_kills_at_once() {
    let world = World::new().await;
    let id = world.launch("stubborn").await;
    world.settle().await;
    let asked = world.clock.now();
    world.ask(id, Action::Force { cause: StopCause::User }).await.unwrap();
    assert_eq!(world.end(id).await, Status::Cancelled);
    assert!(world.clock.now().since(asked) < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_the_start_is_answered_takes_effect_then() {
    let world = World::new().await;
    let id = world.launch("slow 3000").await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Starting);
    world.cancel(id).await;
    assert_eq!(world.end(id).await, Status::Cancelled);
    assert!(world.spawner.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_stops_the_tree_and_is_called_timeout() {
    let world = World::new().await;
    let id = world.launch_spec(with_timeout("run", seconds(30))).await;
    world.pass(seconds(29)).await;
    assert_eq!(world.status(id).await, Status::Running);
    assert_eq!(world.end(id).await, Status::Timeout);
}

#[tokio::test(start_paused = true)]
async fn neither_a_pause_nor_a_suspended_machine_uses_up_a_timeout() {
    let world = World::new().await;
    let id = world.launch_spec(with_timeout("run", seconds(30))).await;
    world.pass(seconds(10)).await;
    world.ask(id, Action::Pause).await.unwrap();
    world.pass(seconds(1_000)).await;
    assert_eq!(world.status(id).await, Status::Paused);
    world.ask(id, Action::Resume).await.unwrap();
    world.clock.suspend(seconds(1_000));
    world.pass(seconds(19)).await;
    assert_eq!(world.status(id).await, Status::Running);
    assert_eq!(world.end(id).await, Status::Timeout);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_longer_each_time_and_end_with_the_last_failure() {
    let world = World::new().await;
    let id = world.launch_spec(retrying("exit 1", 3)).await;
    let begin = world.clock.now();
    assert_eq!(world.end(id).await, Status::Failed);
    let stored = world.stored(id).await;
    assert_eq!((stored.process.attempt.0, stored.process.retries), (4, 3));
    // The retry delays are 1 s, 2 s and 4 s. Jitter shortens each delay by at most half.
    let took = world.clock.now().since(begin);
    assert!(took >= Duration::from_millis(3_500) && took <= seconds(8), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_now_does_not_wait() {
    let world = World::new().await;
    let id = world.launch_spec(retrying("exit 1", 1)).await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Pending);
    let begin = world.clock.now();
    world.ask(id, Action::RetryNow).await.unwrap();
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.clock.now(), begin);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_a_new_process_with_the_same_details() {
    let world = World::new().await;
    let id = world.launch("exit 3 1000").await;
    let refused = world.engine.restart(id, None).await;
    let running = matches!(
        refused,
        Err(EngineError::Rejected {
            rejection: Rejection::InvalidStatusTransition { attempted: ActionKind::Restart, .. },
            ..
        })
    );
    assert!(running, "{refused:?}");
    world.end(id).await;
    let again = world.engine.restart(id, None).await.unwrap().stored.process;
    assert_ne!(again.id, id);
    assert_eq!(again.lineage.restarted_from, Some(id));
    assert_eq!(again.spec, world.stored(id).await.process.spec);
    assert_eq!(world.end(again.id).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_launch_starts_at_its_start_time() {
    let world = World::new().await;
    let not_before = Some(world.clock.now().plus(seconds(60)));
    let id = world.launch_spec(Spec { not_before, ..command("exit 0") }).await;
    world.pass(seconds(59)).await;
    assert_eq!((world.status(id).await, world.spawner.runs(id)), (Status::Pending, 0));
    world.pass(seconds(2)).await;
    assert_eq!(world.status(id).await, Status::Completed);
    let _: Timestamp = world.clock.now();
}

#[tokio::test(start_paused = true)]
async fn children_get_the_captured_environment_without_the_managers_secrets() {
    let world = World::new().await;
    let captured =
        [("PATH", "/bin"), ("SECRET", "x"), ("LONGHAUL_ID", "other"), ("KEEP", "1"), ("DROP", "2")];
    let captured = captured.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut spec = command("run");
    if let Work::Command(command) = &mut spec.work {
        command.environment.declared = vec![("KEEP".to_owned(), "mine".to_owned())];
        command.environment.removed = vec!["DROP".to_owned()];
    }
    let launch =
        Launch { spec, parent: None, launcher: Launcher::Parent, captured: Some(captured), no_queue: false };
    let id = world.engine.launch(launch).await.unwrap().stored.process.id;
    world.settle().await;
    let seen = world.orders.lock().unwrap().iter().find(|order| order.key.id == id).cloned().unwrap();
    let value = |name: &str| {
        seen.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (value("PATH"), value("KEEP"), value("LONGHAUL_SOCKET")),
        (Some("/bin"), Some("mine"), Some("/socket"))
    );
    assert_eq!((value("SECRET"), value("DROP"), value("LONGHAUL_ID")), (None, None, None));
    assert_eq!((value("PAGER"), value("CI")), (Some("cat"), Some("1")));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_processes_running_or_stops_them_all() {
    let mut world = World::new().await;
    let (gentle, stubborn) = (world.launch("run").await, world.launch("stubborn").await);
    world.settle().await;
    world.shut_down(Shutdown::Leave).await;
    assert_eq!(world.spawner.live().len(), 2);
    let refused = world.try_launch(command("run")).await;
    assert!(matches!(refused, Err(EngineError::ShuttingDown)), "{refused:?}");
    world.spawner = std::sync::Arc::new(world.spawner.reopened());
    world.start().await;
    assert_eq!(world.status(gentle).await, Status::Running);
    world.shut_down(Shutdown::StopAll).await;
    assert!(world.spawner.live().is_empty());
    world.spawner = std::sync::Arc::new(world.spawner.reopened());
    world.start().await;
    assert_eq!(
        (world.status(gentle).await, world.status(stubborn).await),
        (Status::Cancelled, Status::Cancelled)
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_in_progress_is_recorded_before_a_shutdown_ends() {
    let world = World::new().await;
    let id = world.launch("slow 800").await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Starting);
    world.shut_down(Shutdown::Leave).await;
    assert_eq!(world.status(id).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_never_answered_delays_a_shutdown_for_a_bounded_time() {
    let world = World::new().await;
    let id = world.launch("slow 3600000").await;
    world.settle().await;
    let done = world.engine.shut_down(Shutdown::Leave);
    world.clock.run_until(seconds(3), done).await.expect("the process ends in time").unwrap();
    assert_eq!(world.status(id).await, Status::Starting);
}

#[tokio::test(start_paused = true)]
async fn record_tells_when_it_last_changed() {
    let mut world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    let at = async |world: &World| {
        let stored = world.stored(id).await;
        (stored.process.updated_at, stored.live_stats.updated_at())
    };
    let (started, _) = at(&world).await;
    assert_eq!(Some(started), world.stored(id).await.process.started_at);
    world.pass(seconds(5)).await;
    world.ask(id, Action::Pause).await.unwrap();
    let (paused, _) = at(&world).await;
    assert_eq!(paused, started.plus(seconds(5)));
    world.pass(seconds(5)).await;
    world.crash().await;
    assert_eq!(at(&world).await.0, paused, "a restart of the manager changes nothing");
    world.ask(id, Action::Resume).await.unwrap();
    world.pass(seconds(5)).await;
    world.ask(id, percent(40.0)).await.unwrap();
    let (resumed, reported) = at(&world).await;
    assert_eq!(resumed, started.plus(seconds(10)));
    assert_eq!(reported, Some(started.plus(seconds(15))), "a percentage creates no event");
    world.cancel(id).await;
    world.end(id).await;
    assert_eq!(Some(at(&world).await.0), world.stored(id).await.process.completed_at());
}
