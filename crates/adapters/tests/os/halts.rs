//! Tests of shims that are halted by a signal.

use crate::bench::{Bench, by_user, code, go_on, halt, is_halted, key, kill, state, until};
use longhaul_domain::{Condition, Exit, ExitStatus, Observation, StopCause, Timestamp};
use longhaul_ports::{Adopted, Clock, Spawner};
use std::time::Duration;

const WAITS: &str = "echo ready; while [ ! -e go ]; do sleep 0.01; done; echo over; exit 7";

/// Returns the next observation, which must be about a halted shim. Returns true if the shim is halted, and the time of
/// the observation.
async fn stopped(bench: &Bench) -> (bool, Timestamp) {
    match bench.seen().await {
        Observation::ConditionObserved { condition: Condition::SupervisorStopped, holds, at, .. } => {
            (holds, at)
        }
        other => panic!("{other:?}"),
    }
}

/// Starts a command and halts its shim. Returns the pids of the command and of the shim.
async fn halted(bench: &Bench, script: &str) -> (u32, u32) {
    bench.start(key(1), script).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let shim = bench.identity(key(1)).shim_pid;
    halt(shim);
    until(async || state(shim) == Some('T')).await;
    (pid, shim)
}

#[tokio::test]
async fn a_stopped_shim_is_reported_until_it_continues() {
    let bench = Bench::new();
    let before = bench.clock().now();
    let (_, shim) = halted(&bench, WAITS).await;
    let (holds, since) = stopped(&bench).await;
    assert!(holds && since >= before);
    go_on(shim);
    let (holds, until) = stopped(&bench).await;
    assert!(!holds && until >= since);
    std::fs::write(bench.path().join("go"), "").unwrap();
    assert_eq!(code(&bench.exited().await), 7);
}

#[tokio::test]
async fn the_end_of_a_command_is_reported_although_its_shim_is_stopped() {
    let bench = Bench::new();
    halted(&bench, WAITS).await;
    assert!(stopped(&bench).await.0);
    let before = bench.clock().now();
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.exited().await;
    assert_eq!((code(&exit), exit.stopped, exit.circumstances.exit_unobserved), (7, None, false));
    assert!(!exit.circumstances.end_time_unknown);
    assert!(before <= exit.at && exit.at <= bench.clock().now());
    assert_eq!(bench.text(key(1)).await, "ready\nover\n");
}

#[tokio::test]
async fn a_shim_that_is_stopped_when_its_command_starts_hides_neither_start_nor_end() {
    let bench = Bench::new();
    bench.start(key(1), "kill -STOP $PPID; sleep 0.1; exit 3").await;
    bench.spawned().await;
    assert_eq!(code(&bench.exited().await), 3);
}

#[tokio::test]
async fn an_action_that_needs_a_stopped_shim_resumes_the_shim() {
    let bench = Bench::new();
    let (pid, _) = halted(&bench, WAITS).await;
    bench.spawner.pause(key(1)).await.unwrap();
    assert!(is_halted(pid));
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 15, core: false });
    assert_eq!(exit.stopped, Some(StopCause::User));
}

#[tokio::test]
async fn a_resume_continues_a_stopped_shim_and_then_the_tree() {
    let bench = Bench::new();
    let (pid, shim) = halted(&bench, WAITS).await;
    bench.spawner.pause(key(1)).await.unwrap();
    halt(shim);
    until(async || state(shim) == Some('T')).await;
    bench.spawner.resume(key(1)).await.unwrap();
    until(async || !is_halted(pid)).await;
    std::fs::write(bench.path().join("go"), "").unwrap();
    assert_eq!(code(&bench.exited().await), 7);
}

/// Event that affects the shim. A name with `Is` means that the event happens while the manager is suspended, and a
/// name with `Was` means that it happens before the manager is suspended.
#[derive(Clone, Copy, Debug)]
enum Supervisor {
    IsHalted,
    WasHalted,
    IsKilled,
    WasKilled,
}

/// Runs a command that exits while the whole manager is suspended. If `is_stop_ordered` is true, the manager receives a
/// stop request before it can observe the exit. Returns the reported exit.
async fn ended_unseen(supervisor: Supervisor, is_stop_ordered: bool) -> Exit {
    let bench = Bench::new();
    bench.start(key(1), WAITS).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let shim = bench.identity(key(1)).shim_pid;
    match supervisor {
        Supervisor::WasHalted => {
            halt(shim);
            assert!(stopped(&bench).await.0);
        }
        Supervisor::WasKilled => {
            kill(shim);
            until(async || bench.spawner.usage(key(1)).await.is_ok()).await;
        }
        Supervisor::IsHalted => halt(shim),
        Supervisor::IsKilled => kill(shim),
    }
    // This code awaits nothing, so the spawner in the same thread cannot run. This simulates a suspended manager.
    std::fs::write(bench.path().join("go"), "").unwrap();
    while state(pid).is_some_and(|state| state != 'Z') {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(700));
    if is_stop_ordered {
        bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    }
    bench.exited().await
}

const SUPERVISORS: [Supervisor; 4] =
    [Supervisor::IsHalted, Supervisor::WasHalted, Supervisor::IsKilled, Supervisor::WasKilled];

#[tokio::test]
async fn an_end_while_the_manager_was_stopped_has_the_latest_possible_time() {
    for supervisor in SUPERVISORS {
        let exit = ended_unseen(supervisor, false).await;
        assert_eq!((code(&exit), exit.circumstances.end_time_unknown), (7, true), "{supervisor:?}: {exit:?}");
    }
}

#[tokio::test]
async fn a_stop_is_not_the_cause_of_an_end_before_the_stop() {
    for supervisor in SUPERVISORS {
        let exit = ended_unseen(supervisor, true).await;
        assert_eq!((code(&exit), exit.stopped), (7, None), "{supervisor:?}: {exit:?}");
    }
}

#[tokio::test]
async fn the_next_manager_reports_an_end_that_a_stopped_shim_did_not_observe() {
    let mut bench = Bench::new();
    bench.start(key(1), WAITS).await;
    let pid = bench.spawned().await;
    let identity = bench.identity(key(1));
    // This call drops the old spawner. From then on, no spawner watches the attempt, so nothing resumes the halted
    // shim.
    bench.next_life();
    halt(identity.shim_pid);
    until(async || state(identity.shim_pid) == Some('T')).await;
    std::fs::write(bench.path().join("go"), "").unwrap();
    until(async || state(pid) == Some('Z')).await;
    let over = bench.clock().now();
    until(async || bench.clock().now() > over).await;
    let exit = match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => exit,
        other => panic!("{other:?}"),
    };
    assert_eq!((code(&exit), exit.stopped, exit.circumstances.exit_unobserved), (7, None, true));
    assert!(exit.circumstances.end_time_unknown && exit.at >= over, "the end time is unknown: {exit:?}");
}

#[tokio::test]
async fn an_end_during_this_manager_run_has_its_exact_time_although_its_shim_was_stopped_before() {
    let mut bench = Bench::new();
    bench.start(key(1), WAITS).await;
    bench.spawned().await;
    let identity = bench.identity(key(1));
    bench.next_life();
    halt(identity.shim_pid);
    until(async || state(identity.shim_pid) == Some('T')).await;
    let ends = async {
        assert!(stopped(&bench).await.0);
        let lived = bench.clock().now();
        std::fs::write(bench.path().join("go"), "").unwrap();
        lived
    };
    let (found, lived) = tokio::join!(bench.adopt(key(1)), ends);
    let exit = match found.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => exit,
        Adopted::Alive(_) => bench.exited().await,
        other @ Adopted::Over(_) => panic!("{other:?}"),
    };
    assert_eq!(
        (code(&exit), exit.circumstances.end_time_unknown, exit.circumstances.exit_unobserved),
        (7, false, false)
    );
    assert!(lived <= exit.at && exit.at <= bench.clock().now(), "{exit:?}");
}
