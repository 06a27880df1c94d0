//! Contract of spawners that can write input or inspect process trees.

use super::{NOW, SpawnerFixture};
use crate::suite::{must, refused, some};
use longhaul_domain::ExitStatus;
use longhaul_ports::{AttemptKey, SpawnError, TreeSnapshot};
use std::time::Duration;

/// Time limit for a process tree to show an expected state.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two inspections.
const STEP: Duration = Duration::from_millis(100);

impl SpawnerFixture {
    async fn writes_input(&self) -> bool {
        self.spawner().await.capabilities().input
    }

    async fn looks(&self) -> bool {
        self.spawner().await.capabilities().inspection
    }

    async fn inspect(&self, key: AttemptKey) -> TreeSnapshot {
        must(self.spawner().await.inspect(key).await)
    }

    /// Returns the first snapshot with the expected state, or the last snapshot if the time limit is reached.
    async fn look_until(&self, key: AttemptKey, shows: impl Fn(&TreeSnapshot) -> bool) -> TreeSnapshot {
        let mut waited = Duration::ZERO;
        loop {
            let look = self.inspect(key).await;
            if shows(&look) || waited >= INSPECT_TIMEOUT {
                return look;
            }
            self.actors.pass(STEP).await;
            waited += STEP;
        }
    }

    async fn kill(&self, key: AttemptKey) {
        must(self.spawner().await.stop(key, NOW).await);
        self.exit(key).await;
        self.spawner().await.end_recorded(key).await;
    }
}

/// Input that is written in several calls arrives completely, and the command receives the end of its input.
pub async fn written_input_arrives_completely_and_ends(world: &SpawnerFixture) {
    if !world.writes_input().await {
        return;
    }
    let spawner = world.spawner().await;
    let key = world.run(some(world.actors.echoes())).await;
    assert_eq!(must(spawner.write_input(key, b"one\n".to_vec(), false).await), 4);
    assert_eq!(must(spawner.write_input(key, Vec::new(), false).await), 0);
    assert_eq!(must(spawner.write_input(key, b"two\n".to_vec(), true).await), 4);
    let exit = world.exit(key).await;
    assert_eq!((exit.status, exit.output_bytes), (ExitStatus::Code(0), 8));
    let key = world.run(some(world.actors.echoes())).await;
    assert_eq!(must(spawner.write_input(key, Vec::new(), true).await), 0);
    assert_eq!(world.exit(key).await.status, ExitStatus::Code(0));
    world.assert_silence().await;
}

/// Input is refused if the attempt has no input pipe, if the pipe was closed, or if the spawner does not watch the
/// attempt.
pub async fn input_is_refused_without_an_open_pipe(world: &SpawnerFixture) {
    if !world.writes_input().await {
        return;
    }
    let spawner = world.spawner().await;
    let write = |key| spawner.write_input(key, b"x".to_vec(), false);
    let stranger = world.order(world.actors.runs()).key;
    refused!(write(stranger).await, SpawnError::Unknown { key: named } if *named == stranger);
    let plain = world.run(world.actors.runs()).await;
    refused!(write(plain).await, SpawnError::InputClosed { key: named } if *named == plain);
    world.kill(plain).await;
    if let Some(asks) = world.actors.asks() {
        let closed = world.run(asks).await;
        must(spawner.write_input(closed, b"x\n".to_vec(), true).await);
        refused!(write(closed).await, SpawnError::InputClosed { key: named } if *named == closed);
        world.kill(closed).await;
    }
}

/// The next run of the manager can continue to write the input of a command. The input stays open when a manager ends.
pub async fn the_next_manager_can_write_input(world: &SpawnerFixture) {
    if !world.writes_input().await || !world.can().await.survives {
        return;
    }
    let key = world.run(some(world.actors.echoes())).await;
    must(world.spawner().await.write_input(key, b"one\n".to_vec(), false).await);
    let spawner = world.crash().await;
    world.adopt(key).await;
    world.actors.pass(STEP).await;
    must(spawner.write_input(key, b"two\n".to_vec(), true).await);
    let exit = world.exit(key).await;
    assert_eq!((exit.status, exit.output_bytes), (ExitStatus::Code(0), 8));
}

/// A command that reads its input is shown as waiting for input as long as no input has arrived.
pub async fn a_command_that_reads_input_is_shown_as_waiting(world: &SpawnerFixture) {
    if !world.looks().await || !world.writes_input().await {
        return;
    }
    let key = world.run(some(world.actors.asks())).await;
    assert!(world.look_until(key, |look| look.waits_for_input).await.waits_for_input);
    must(world.spawner().await.write_input(key, b"yes\n".to_vec(), false).await);
    assert!(!world.look_until(key, |look| !look.waits_for_input).await.waits_for_input);
    world.kill(key).await;
}

/// A command that does not read its input is never shown as waiting for input.
pub async fn a_command_that_does_not_read_is_never_shown_as_waiting(world: &SpawnerFixture) {
    if !world.looks().await {
        return;
    }
    let key = world.run(world.actors.runs()).await;
    let look = world.look_until(key, |look| look.waits_for_input).await;
    assert!(!look.waits_for_input && !look.has_terminal, "{look:?}");
    world.kill(key).await;
}

/// A snapshot shows the listening ports of the attempt's process tree and no others.
pub async fn an_inspection_shows_the_listening_ports_of_the_tree(world: &SpawnerFixture) {
    if !world.looks().await {
        return;
    }
    let (command, port) = some(world.actors.listens());
    let key = world.run(command).await;
    let other = world.run(world.actors.runs()).await;
    let listens = |look: &TreeSnapshot| look.listening.iter().any(|listening| listening.port == port);
    let look = world.look_until(key, listens).await;
    assert!(listens(&look), "{look:?}");
    assert_eq!(world.inspect(other).await.listening, []);
    world.kill(key).await;
    world.kill(other).await;
}

/// Only running attempts that the spawner watches can be inspected.
pub async fn an_inspection_requires_a_running_attempt(world: &SpawnerFixture) {
    if !world.looks().await {
        return;
    }
    let stranger = world.order(world.actors.runs()).key;
    let spawner = world.spawner().await;
    refused!(spawner.inspect(stranger).await, SpawnError::Unknown { key: named } if *named == stranger);
    let key = world.run(world.actors.runs()).await;
    let first = world.inspect(key).await;
    drop(spawner);
    if world.can().await.survives {
        let spawner = world.crash().await;
        refused!(spawner.inspect(key).await, SpawnError::Unknown { .. });
        world.adopt(key).await;
    }
    assert!(world.inspect(key).await.cpu >= first.cpu);
    world.kill(key).await;
    refused!(world.spawner().await.inspect(key).await, SpawnError::Unknown { .. });
}
