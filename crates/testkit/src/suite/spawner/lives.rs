//! Rules for spawners about attempts that an earlier run of the manager started.

use super::{GRACEFUL, SpawnerFixture};
use crate::suite::{instead_of, must, some};
use longhaul_domain::{Observation, StopCause};
use longhaul_ports::Adopted;
use std::time::Duration;

/// An attempt that an earlier run of the manager started is not started a second time. Its current state is reported
/// instead.
pub async fn an_attempt_of_an_earlier_manager_is_not_started_again(world: &SpawnerFixture) {
    if !world.can().await.survives {
        return;
    }
    let order = world.order(world.actors.exits(Duration::from_millis(300), 5));
    let key = order.key;
    must(world.spawner().await.start(order.clone()).await);
    world.next().await;
    must(world.crash().await.start(order).await);
    let first = world.next().await;
    assert!(matches!(first.observation, Observation::Spawned { .. }), "{first:?}");
    let exit = world.exit(key).await;
    world.assert_code(&exit, 5).await;
    world.assert_silence().await;
}

/// The next run of the manager finds the commands that are still running, can stop them, and observes their exit.
pub async fn the_next_manager_finds_running_commands(world: &SpawnerFixture) {
    if !world.can().await.survives {
        return;
    }
    let short = world.run(world.actors.exits(Duration::from_millis(500), 4)).await;
    let long = world.run(world.actors.runs()).await;
    let spawner = world.crash().await;
    for key in [short, long] {
        let found = world.adopt(key).await;
        assert!(
            matches!(
                found,
                Adopted::Alive(Observation::Spawned { attempt, .. }) if attempt == key.attempt
            ),
            "{found:?}"
        );
    }
    let exit = world.exit(short).await;
    world.assert_code(&exit, 4).await;
    must(spawner.stop(long, GRACEFUL).await);
    assert_eq!(world.exit(long).await.stopped, Some(StopCause::User));
    world.assert_silence().await;
}

/// The next run of the manager finds the exit of a command that has already ended. The exit is reported only one time.
pub async fn the_next_manager_finds_the_exit_of_ended_commands(world: &SpawnerFixture) {
    if !world.can().await.survives {
        return;
    }
    let key = world.run(world.actors.exits(Duration::from_millis(50), 9)).await;
    let first = world.exit(key).await;
    world.crash().await;
    let found = world.adopt(key).await;
    let mut exit = some(match found {
        Adopted::Over(Observation::Exited { exit, .. }) => Some(exit),
        Adopted::Over(_) | Adopted::Alive(_) => None,
    });
    // The later run found the exit only in the record, so this field may differ.
    exit.circumstances.exit_unobserved = first.circumstances.exit_unobserved;
    assert_eq!(exit, first);
    world.assert_silence().await;
}

/// If commands do not survive the manager, the next manager reports their exit as not observed. The next manager never
/// reports the attempt as alive or as never started.
pub async fn the_next_manager_reports_an_unobserved_exit(world: &SpawnerFixture) {
    if world.can().await.survives {
        return;
    }
    let key = world.run(world.actors.runs()).await;
    world.crash().await;
    let found = world.adopt(key).await;
    let is_lost = matches!(&found, Adopted::Over(Observation::SupervisorLost { attempt, .. }) if *attempt == key.attempt);
    assert!(is_lost, "{found:?}");
    world.assert_silence().await;
}

/// While an attempt is running, its exit is not durable. A durable exit is reported again to the next run of the
/// manager.
pub async fn a_durable_exit_is_reported_again(world: &SpawnerFixture) {
    let key = world.run(world.actors.exits(Duration::from_millis(200), 9)).await;
    assert!(!world.spawner().await.exit_is_durable(key).await);
    let status = world.exit(key).await.status;
    if !world.spawner().await.exit_is_durable(key).await {
        return;
    }
    let spawner = world.crash().await;
    let found = world.adopt(key).await;
    let Adopted::Over(Observation::Exited { exit, .. }) = found else {
        instead_of("the end", &found);
    };
    assert_eq!(exit.status, status);
    spawner.end_recorded(key).await;
    assert!(!spawner.exit_is_durable(key).await, "it is not watched any more");
}

/// An attempt whose start was never requested is reported as never run. It cannot run later either.
pub async fn an_attempt_without_a_start_request_never_ran(world: &SpawnerFixture) {
    if !world.can().await.survives {
        return;
    }
    let order = world.order(world.actors.runs());
    let attempt = order.key.attempt;
    let found = world.adopt(order.key).await;
    assert_eq!(found, Adopted::Over(Observation::NeverRan { attempt }));
    world.assert_silence().await;
}
