use crate::world::{World, command, seconds};
use longhaul_domain::{Command, Status, StopCause};
use longhaul_engine::EngineError;
use longhaul_engine::ports::StoreError;
use longhaul_testkit::fakes::{Call, Fault};

#[tokio::test(start_paused = true)]
async fn a_launch_without_an_answer_is_sent_again_and_starts_once() {
    let world = World::new().await;
    world.store.fail_on(Call::Submit, 1, Fault::Unknown);
    let id = world.launch("exit 0 100").await;
    assert_eq!(world.end(id).await, Status::Completed);
    assert_eq!(world.spawner.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_recorded_as_soon_as_the_store_is_back() {
    let world = World::new().await;
    let id = world.launch("exit 7 1000").await;
    world.settle().await;
    world.store.set_down(true);
    world.pass(seconds(60)).await;
    world.store.set_down(false);
    assert_eq!(world.end(id).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_ahead_when_the_store_cannot_write_and_is_recorded_later() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    world.store.fail_on(Call::Commit, 1, Fault::ReadOnly);
    let answer = world.ask(id, Command::Cancel { cause: StopCause::User }).await;
    let read_only = matches!(answer, Err(EngineError::Store { source: StoreError::ReadOnly { .. } }));
    assert!(read_only, "the answer says so: {answer:?}");
    assert_eq!(world.end(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_the_store_cannot_take_is_an_error_and_starts_nothing() {
    let world = World::new().await;
    world.store.set_down(true);
    let refused = world.try_launch(command("run")).await;
    assert!(matches!(refused, Err(EngineError::Store { .. })), "{refused:?}");
    world.store.set_down(false);
    world.pass(seconds(10)).await;
    assert!(world.spawner.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_answers_everywhere_change_no_truth() {
    for seed in 0..20 {
        let world = World::new().await;
        world.store.set_chaos(seed, 4);
        let mut ids = Vec::new();
        for number in 0..10 {
            if let Ok(launched) = world.try_launch(command(&format!("exit {} 500", number % 2))).await {
                ids.push((launched.stored.process.id, number % 2));
            }
        }
        world.pass(seconds(30)).await;
        world.store.set_chaos(seed, 0);
        for (id, code) in ids {
            let expected = if code == 0 { Status::Completed } else { Status::Failed };
            assert_eq!(world.end(id).await, expected, "seed {seed}");
            assert_eq!(world.spawner.runs(id), 1, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_cannot_be_recorded_halts_nothing() {
    let world = World::new().await;
    let id = world.launch("exit 0 10000").await;
    world.settle().await;
    world.store.fail_on(Call::Commit, 1, Fault::ReadOnly);
    let answer = world.ask(id, Command::Pause).await;
    assert!(matches!(answer, Err(EngineError::Store { .. })), "{answer:?}");
    assert_eq!(world.status(id).await, Status::Running);
    world.pass(seconds(10)).await;
    assert_eq!(world.status(id).await, Status::Completed);
}
