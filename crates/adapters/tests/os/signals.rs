//! Tests of signals that a user sends to a command.

use crate::bench::{Bench, code, is_halted, key, until};
use longhaul_domain::{Signal, SignalTarget};
use longhaul_ports::{SpawnError, Spawner};

/// Script that prints a line for each SIGUSR1, as its child does. On SIGTERM it kills the child and exits with code 7.
const LISTENER: &str = "(trap 'echo child usr' USR1; echo child up; while :; do sleep 0.05; done) & \
    trap 'echo main usr' USR1; trap 'kill $!; exit 7' TERM; echo main up; while :; do sleep 0.05; done";

fn usr1() -> Signal {
    Signal::named("USR1").unwrap()
}

async fn listening(bench: &Bench) {
    bench.start(key(1), LISTENER).await;
    bench.spawned().await;
    bench.says(key(1), "main up").await;
    bench.says(key(1), "child up").await;
}

#[tokio::test]
async fn a_signal_reaches_only_the_main_process_unless_it_is_for_the_tree() {
    let mut bench = Bench::new();
    listening(&bench).await;
    bench.spawner.signal(key(1), usr1(), SignalTarget::Main).await.unwrap();
    bench.says(key(1), "main usr").await;
    assert!(!bench.text(key(1)).await.contains("child usr"));
    // The next run of the manager can reach the command only through its shim.
    bench.next_life();
    bench.adopt(key(1)).await.unwrap();
    bench.spawner.signal(key(1), usr1(), SignalTarget::Tree).await.unwrap();
    bench.says(key(1), "child usr").await;
    bench.spawner.signal(key(1), Signal::named("TERM").unwrap(), SignalTarget::Main).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!((code(&exit), exit.stopped), (7, None), "an exit by itself is not a stop");
    let gone = bench.spawner.signal(key(1), usr1(), SignalTarget::Tree).await;
    assert!(matches!(gone, Err(SpawnError::Unreachable { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_signal_reaches_a_command_that_lost_its_supervisor() {
    let bench = Bench::new();
    listening(&bench).await;
    bench.kill_shim(key(1));
    until(async || bench.spawner.signal(key(1), usr1(), SignalTarget::Main).await.is_ok()).await;
    bench.says(key(1), "main usr").await;
    bench.spawner.signal(key(1), usr1(), SignalTarget::Tree).await.unwrap();
    bench.says(key(1), "child usr").await;
}

#[tokio::test]
async fn a_paused_process_stays_paused_and_gets_its_signal_when_it_is_resumed() {
    let bench = Bench::new();
    listening(&bench).await;
    bench.spawner.pause(key(1)).await.unwrap();
    bench.spawner.signal(key(1), usr1(), SignalTarget::Main).await.unwrap();
    assert!(is_halted(bench.identity(key(1)).pid));
    assert!(!bench.text(key(1)).await.contains("main usr"));
    bench.spawner.resume(key(1)).await.unwrap();
    bench.says(key(1), "main usr").await;
}

#[tokio::test]
async fn a_signal_to_an_unknown_attempt_is_refused() {
    let refused = Bench::new().spawner.signal(key(9), usr1(), SignalTarget::Main).await;
    assert!(matches!(refused, Err(SpawnError::Unknown { .. })), "{refused:?}");
}
