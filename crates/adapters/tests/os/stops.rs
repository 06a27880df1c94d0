//! Tests of stopping, pausing and resuming commands.

use crate::bench::{Bench, by_user, code, halt, is_halted, key, state, until};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_domain::{ExitStatus, Observation, StopCause};
use longhaul_ports::{SpawnError, Spawner};

/// Script that ignores SIGTERM, starts a grandchild and prints the pid of the grandchild. The grandchild also ignores
/// SIGTERM and is in its own session.
const STUBBORN: &str = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & \
    echo $! ready; while :; do sleep 1; done";

#[tokio::test]
async fn a_stop_ends_a_command_that_ignores_it_and_all_its_descendants() {
    let bench = Bench::new();
    bench.start(key(1), STUBBORN).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core: false });
    assert_eq!((exit.stopped, exit.last_signal), (Some(StopCause::User), Some(9)));
    let text = bench.text(key(1)).await;
    let grandchild: u32 = text.split(' ').next().unwrap().parse().unwrap();
    assert!(state(pid).is_none() && state(grandchild).is_none_or(|state| state == 'Z'));
}

#[tokio::test]
async fn a_forced_stop_does_not_wait() {
    let bench = Bench::new();
    let mut order = bench.order(key(1), STUBBORN);
    order.command.stop.grace = std::time::Duration::from_secs(3_600);
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
    bench.says(key(1), "ready").await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    assert_eq!(bench.exited().await.last_signal, Some(9));
}

#[tokio::test]
async fn a_stopped_shim_is_resumed_to_execute_a_stop_request() {
    let bench = Bench::new();
    bench.start(key(1), "trap 'exit 8' TERM; echo ready; while :; do sleep 0.01; done").await;
    bench.spawned().await;
    bench.says(key(1), "ready").await;
    let shim = bench.identity(key(1)).shim_pid;
    halt(shim);
    until(async || state(shim) == Some('T')).await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!((exit.status, exit.stopped), (ExitStatus::Code(8), Some(StopCause::User)));
}

#[tokio::test]
async fn a_tree_is_killed_even_if_its_shim_stays_stopped() {
    let bench = Bench::new();
    bench.start(key(1), STUBBORN).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let shim = bench.identity(key(1)).shim_pid;
    halt(shim);
    until(async || state(shim) == Some('T')).await;
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core: false });
    assert_eq!((exit.stopped, exit.last_signal), (Some(StopCause::User), Some(9)));
    let text = bench.text(key(1)).await;
    let grandchild: u32 = text.split(' ').next().unwrap().parse().unwrap();
    let is_over = |pid| state(pid).is_none_or(|state| state == 'Z');
    assert!(is_over(pid) && is_over(grandchild));
}

#[tokio::test]
async fn a_tree_is_killed_even_if_the_socket_of_its_shim_was_removed() {
    let mut bench = Bench::new();
    bench.start(key(1), STUBBORN).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let socket = bench.attempt(key(1)).join("ctl");
    until(async || socket.exists()).await;
    std::fs::remove_file(&socket).unwrap();
    bench.next_life();
    let (found, ()) = tokio::join!(bench.adopt(key(1)), async {
        until(async || bench.spawner.stop(key(1), by_user(true)).await.is_ok()).await;
    });
    assert!(matches!(found, Err(SpawnError::Unreachable { .. })), "{found:?}");
    assert_eq!(bench.spawned().await, pid);
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core: false });
    assert_eq!((exit.stopped, exit.last_signal), (Some(StopCause::User), Some(9)));
    let text = bench.text(key(1)).await;
    let grandchild: u32 = text.split(' ').next().unwrap().parse().unwrap();
    let is_over = |pid| state(pid).is_none_or(|state| state == 'Z');
    assert!(is_over(pid) && is_over(grandchild));
}

#[tokio::test]
async fn a_stop_before_the_start_is_answered_takes_effect() {
    let bench = Bench::new();
    let order = bench.order(key(1), "sleep 1000");
    let (started, ()) = tokio::join!(bench.spawner.start(order), async {
        let stop = async || bench.spawner.stop(key(1), by_user(false)).await.is_ok();
        until(stop).await;
    });
    started.unwrap();
    loop {
        match bench.next().await {
            Observation::Spawned { .. } => {}
            Observation::NeverRan { .. } => break,
            Observation::Exited { exit, .. } => {
                assert_eq!(exit.stopped, Some(StopCause::User));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_paused_tree_does_not_run_until_it_is_resumed() {
    let bench = Bench::new();
    bench.start(key(1), "setsid sh -c 'while :; do :; done' & echo $! ready; while :; do :; done").await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let grandchild: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    bench.spawner.pause(key(1)).await.unwrap();
    assert_eq!((state(pid), state(grandchild)), (Some('T'), Some('T')));
    bench.spawner.pause(key(1)).await.unwrap();
    bench.spawner.resume(key(1)).await.unwrap();
    until(async || state(pid) == Some('R') && state(grandchild) == Some('R')).await;
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    bench.exited().await;
}

#[tokio::test]
async fn a_growing_tree_is_paused_completely_or_not_at_all() {
    let bench = Bench::new();
    bench.start(key(1), "while :; do /bin/true; echo; done").await;
    let pid = bench.spawned().await;
    for _ in 0..10 {
        bench.spawner.pause(key(1)).await.unwrap();
        assert!(is_halted(pid), "{:?}", state(pid));
        let a_moment = std::time::Duration::from_millis(20);
        // Wait for a short time, because output that was written before the pause is still being copied.
        tokio::time::sleep(a_moment).await;
        let before = bench.text(key(1)).await.len();
        tokio::time::sleep(a_moment).await;
        assert_eq!(bench.text(key(1)).await.len(), before);
        bench.spawner.resume(key(1)).await.unwrap();
    }
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    bench.exited().await;
}

#[tokio::test]
async fn a_paused_tree_can_be_stopped() {
    let bench = Bench::new();
    bench.start(key(1), "trap 'exit 5' TERM; echo ready; while :; do :; done").await;
    bench.spawned().await;
    bench.says(key(1), "ready").await;
    bench.spawner.pause(key(1)).await.unwrap();
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    assert_eq!(code(&bench.exited().await), 5);
}

#[tokio::test]
async fn an_ended_attempt_can_be_neither_paused_nor_stopped() {
    let bench = Bench::new();
    bench.start(key(1), "exit 0").await;
    bench.spawned().await;
    bench.exited().await;
    assert!(matches!(bench.spawner.pause(key(1)).await, Err(SpawnError::Unreachable { .. })));
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    bench.spawner.end_recorded(key(1)).await;
    until(async || matches!(bench.spawner.pause(key(1)).await, Err(SpawnError::Unknown { .. }))).await;
}

/// Inner manager of the next test: opens a spawner, writes its pid to a file, and waits.
#[tokio::test]
#[ignore = "run by another test as a program of its own"]
async fn inner_manager() {
    let inner = Bench::new();
    let place = std::path::PathBuf::from(std::env::var("LONGHAUL_TEST_PLACE").unwrap());
    std::fs::write(place.join("opened"), std::process::id().to_string()).unwrap();
    until(async || place.join("go").exists()).await;
    drop(inner);
}

#[tokio::test]
async fn a_manager_inside_a_managed_process_is_not_stopped_with_it() {
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Auto] {
        let bench = Bench::with(containment);
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "'{}' --ignored --exact stops::inner_manager >/dev/null 2>&1 & sleep 3600",
            program.display()
        );
        let mut order = bench.order(key(1), &script);
        order.environment.push(("LONGHAUL_TEST_PLACE".to_owned(), bench.path().to_str().unwrap().to_owned()));
        bench.spawner.start(order).await.unwrap();
        bench.spawned().await;
        let opened = bench.path().join("opened");
        until(async || std::fs::read_to_string(&opened).is_ok_and(|text| !text.is_empty())).await;
        let manager: u32 = std::fs::read_to_string(&opened).unwrap().parse().unwrap();
        bench.spawner.stop(key(1), by_user(true)).await.unwrap();
        bench.exited().await;
        assert!(
            state(manager).is_some_and(|state| state != 'Z'),
            "the inner command was stopped with the outer one"
        );
        std::fs::write(bench.path().join("go"), "").unwrap();
        until(async || state(manager).is_none_or(|state| state == 'Z')).await;
    }
}
