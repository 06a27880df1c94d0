//! Tests of leftovers: an attempt ends only when all leftovers of its command have ended.

use crate::bench::{Bench, by_user, code, key, kill, state, until};
use longhaul_domain::{Condition, Exit, ExitStatus, Leftovers, Observation, Timestamp};
use longhaul_ports::{Adopted, Spawner};
use longhaul_shim::{AttemptDirectory, ExitRecord};
use std::time::Duration;

/// Script that leaves a process behind and exits with code 7. The process ignores SIGTERM and is in its own session.
const LITTERS: &str = "setsid sh -c 'trap \"\" TERM; echo $$ up; while :; do sleep 0.05; done' & \
    while [ ! -e go ]; do sleep 0.01; done; exit 7";
/// Grace period that is longer than any test. A leftover that ends within this time was killed for another reason.
const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn the_end_is_reported_after_the_leftovers_with_the_time_of_the_exit() {
    let bench = Bench::new();
    let left = litter(&bench, Duration::from_secs(1)).await;
    let begun = std::time::Instant::now();
    end_command(&bench);
    let told = sweeping(&bench).await;
    assert!(is_alive(left), "the cleanup is reported while it is in progress");
    let exit = bench.exited().await;
    assert!(!is_alive(left) && begun.elapsed() >= Duration::from_secs(1));
    assert_eq!((code(&exit), exit.at, exit.stopped), (7, told, None));
    assert!(exit.leftovers_found >= 1 && exit.leftovers_killed >= 1, "{exit:?}");
}

#[tokio::test]
async fn kept_leftovers_do_not_delay_the_end() {
    let bench = Bench::new();
    let mut order = bench.order(key(1), LITTERS);
    order.command.leftovers = Leftovers::Keep;
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
    let left = leftover(&bench).await;
    end_command(&bench);
    assert_eq!(code(&bench.exited().await), 7);
    assert!(is_alive(left));
    kill(left);
}

#[tokio::test]
async fn a_stop_of_leftovers_does_not_change_the_end() {
    let bench = Bench::new();
    let left = litter(&bench, NEVER).await;
    end_command(&bench);
    sweeping(&bench).await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    assert!(bench.spawner.pause(key(1)).await.is_err());
    assert!(is_alive(left));
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    over(&bench.exited().await, left);
}

#[tokio::test]
async fn the_next_manager_waits_for_leftovers() {
    let mut bench = Bench::new();
    let left = litter(&bench, NEVER).await;
    end_command(&bench);
    until(async || recorded(&bench)).await;
    bench.next_life();
    let found = bench.adopt(key(1)).await.unwrap();
    assert!(matches!(found, Adopted::Alive(Observation::Spawned { .. })), "{found:?}");
    sweeping(&bench).await;
    assert!(is_alive(left));
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    over(&bench.exited().await, left);
}

#[tokio::test]
async fn the_cleanup_continues_when_the_shim_is_killed() {
    let bench = Bench::new();
    let left = litter(&bench, NEVER).await;
    end_command(&bench);
    sweeping(&bench).await;
    bench.kill_shim(key(1));
    over(&bench.exited().await, left);
    assert!(!record(&bench).sweeping && record(&bench).settled);
}

#[tokio::test]
async fn the_next_manager_finishes_a_cleanup_without_leftovers() {
    let mut bench = Bench::new();
    let left = litter(&bench, NEVER).await;
    end_command(&bench);
    until(async || recorded(&bench)).await;
    bench.next_life();
    let shim = bench.identity(key(1)).shim_pid;
    kill(shim);
    until(async || !is_alive(shim)).await;
    assert!(is_alive(left) && record(&bench).sweeping);
    // The first answer must already be the end. The spawner must not report the command as running while it kills
    // leftovers.
    match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => over(&exit, left),
        other => panic!("{other:?}"),
    }
    bench.next_life();
    match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => assert_eq!(code(&exit), 7),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tree_without_any_information_is_reported_as_unverified() {
    let mut bench = Bench::new();
    let left = litter(&bench, NEVER).await;
    end_command(&bench);
    until(async || recorded(&bench)).await;
    bench.next_life();
    let shim = bench.identity(key(1)).shim_pid;
    kill(shim);
    until(async || !is_alive(shim)).await;
    std::fs::remove_file(bench.attempt(key(1)).join("identity")).unwrap();
    match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => {
            assert_eq!((code(&exit), exit.circumstances.unverified), (7, true));
        }
        other => panic!("{other:?}"),
    }
    kill(left);
}

#[tokio::test]
async fn leftovers_of_a_command_without_shim_are_ended_before_its_end_is_reported() {
    let bench = Bench::new();
    let left = litter(&bench, NEVER).await;
    bench.kill_shim(key(1));
    end_command(&bench);
    over(&bench.exited().await, left);
}

#[tokio::test]
async fn a_cleanup_ends_although_its_directory_was_removed() {
    for is_shim_killed in [false, true] {
        let bench = Bench::new();
        let left = litter(&bench, Duration::from_secs(1)).await;
        let shim = bench.identity(key(1)).shim_pid;
        end_command(&bench);
        sweeping(&bench).await;
        std::fs::remove_dir_all(bench.attempt(key(1))).unwrap();
        if is_shim_killed {
            kill(shim);
        }
        over(&bench.exited().await, left);
    }
}

/// Starts a command that leaves a process behind. Returns the pid of that process.
async fn litter(bench: &Bench, grace: Duration) -> u32 {
    let mut order = bench.order(key(1), LITTERS);
    order.command.stop.grace = grace;
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
    leftover(bench).await
}

async fn leftover(bench: &Bench) -> u32 {
    bench.says(key(1), "up").await;
    bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap()
}

fn end_command(bench: &Bench) {
    std::fs::write(bench.path().join("go"), "").unwrap();
}

/// Waits for the observation that leftovers are being cleaned up. Returns the time at which the command ended.
async fn sweeping(bench: &Bench) -> Timestamp {
    match bench.next().await {
        Observation::ConditionObserved { condition: Condition::CleaningUp, holds: true, at, .. } => at,
        other => panic!("{other:?}"),
    }
}

/// Checks that the reported exit is the exit of the command and that the leftover has ended.
fn over(exit: &Exit, left: u32) {
    assert_eq!((exit.status, exit.stopped), (ExitStatus::Code(7), None));
    assert!(!is_alive(left), "the slot is released although the leftover is live");
    assert!(!exit.circumstances.unverified);
}

fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

fn recorded(bench: &Bench) -> bool {
    bench.attempt(key(1)).join("exit").exists()
}

fn record(bench: &Bench) -> ExitRecord {
    AttemptDirectory::open(&bench.attempt(key(1))).unwrap().exit_record().unwrap().unwrap()
}
