//! Tests of attempts that outlive their manager.

use crate::bench::{Bench, by_user, code, go_on, halt, key, kill, state, until};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_domain::{ExitStatus, Interruption, Observation, StopCause};
use longhaul_ports::{Adopted, Spawner};

/// Script that prints a line, waits for the file `go`, prints another line and exits with code 7.
const WAITS: &str = "echo before; while [ ! -e go ]; do sleep 0.01; done; echo after; exit 7";

#[tokio::test]
async fn the_next_manager_finds_a_running_command_and_observes_its_end() {
    let mut bench = Bench::new();
    bench.start(key(1), WAITS).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "before").await;
    bench.next_life();
    let found = bench.adopt(key(1)).await.unwrap();
    let again = bench.adopt(key(1)).await.unwrap();
    assert_eq!(found, again);
    assert!(matches!(found, Adopted::Alive(Observation::Spawned { pid: found, .. }) if found == Some(pid)));
    std::fs::write(bench.path().join("go"), "").unwrap();
    assert_eq!(code(&bench.exited().await), 7);
    assert_eq!(bench.text(key(1)).await, "before\nafter\n");
}

#[tokio::test]
async fn the_next_manager_keeps_the_cgroup_of_a_live_shim_and_reports_the_end() {
    for is_removed in [false, true] {
        let mut bench = Bench::with(ContainmentChoice::Auto);
        bench.start(key(1), WAITS).await;
        let pid = bench.spawned().await;
        let identity = bench.identity(key(1));
        let Some(group) = identity.cgroup else {
            eprintln!("SKIPPED: no control group can be made here");
            return;
        };
        bench.says(key(1), "before").await;
        // Simulates a busy machine: the command has ended, but the shim has not observed that yet. No spawner may be
        // watching the attempt, because it would resume a halted shim.
        bench.next_life();
        halt(identity.shim_pid);
        until(async || state(identity.shim_pid) == Some('T')).await;
        std::fs::write(bench.path().join("go"), "").unwrap();
        until(async || state(pid) == Some('Z')).await;
        bench.next_life();
        assert!(group.exists(), "the group was removed from under its supervisor");
        if is_removed {
            std::fs::remove_dir(&group).unwrap();
        }
        go_on(identity.shim_pid);
        match bench.adopt(key(1)).await.unwrap() {
            Adopted::Alive(_) => assert_eq!(code(&bench.exited().await), 7),
            Adopted::Over(Observation::Exited { exit, .. }) => assert_eq!(code(&exit), 7),
            other @ Adopted::Over(_) => panic!("{other:?}"),
        }
        until(async || !group.exists()).await;
    }
}

#[tokio::test]
async fn no_cgroup_is_left_of_a_supervisor_that_is_killed_after_it_has_recorded_the_end() {
    for is_adopted in [false, true] {
        let mut bench = Bench::with(ContainmentChoice::Auto);
        bench.start(key(1), WAITS).await;
        bench.spawned().await;
        let identity = bench.identity(key(1));
        let Some(group) = identity.cgroup else {
            eprintln!("SKIPPED: no control group can be made here");
            return;
        };
        bench.says(key(1), "before").await;
        if is_adopted {
            bench.next_life();
            bench.adopt(key(1)).await.unwrap();
        }
        std::fs::write(bench.path().join("go"), "").unwrap();
        assert_eq!(code(&bench.exited().await), 7);
        // The shim is still running, because it waits until the manager has stored the end of the attempt.
        kill(identity.shim_pid);
        assert!(group.exists(), "the shim has already removed the cgroup");
        bench.spawner.end_recorded(key(1)).await;
        until(async || !group.exists()).await;
    }
}

#[tokio::test]
async fn the_next_manager_finds_and_stops_a_command_that_just_started() {
    for number in 0..5 {
        let mut bench = Bench::new();
        let key = key(number);
        bench.start(key, "exec sleep 1000").await;
        let pid = bench.spawned().await;
        // The shim creates its socket some time after its start, so at first the next manager finds no socket.
        bench.next_life();
        let found = bench.adopt(key).await.unwrap();
        assert!(
            matches!(found, Adopted::Alive(Observation::Spawned { pid: found, .. }) if found == Some(pid))
        );
        bench.spawner.stop(key, by_user(false)).await.unwrap();
        assert_eq!(bench.exited().await.stopped, Some(StopCause::User));
    }
}

#[tokio::test]
async fn the_next_manager_finds_an_end_between_the_runs() {
    let mut bench = Bench::new();
    bench.start(key(1), WAITS).await;
    bench.spawned().await;
    bench.next_life();
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.attempt(key(1)).join("exit");
    crate::bench::until(async || exit.exists()).await;
    match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => assert_eq!(code(&exit), 7),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.text(key(1)).await, "before\nafter\n");
}

#[tokio::test]
async fn the_next_manager_pauses_and_stops_a_command_that_it_found() {
    let mut bench = Bench::new();
    bench.start(key(1), WAITS).await;
    let pid = bench.spawned().await;
    bench.next_life();
    bench.adopt(key(1)).await.unwrap();
    bench.spawner.pause(key(1)).await.unwrap();
    assert!(crate::bench::is_halted(pid));
    bench.spawner.resume(key(1)).await.unwrap();
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 15, core: false });
    assert_eq!(exit.stopped, Some(StopCause::User));
}

#[tokio::test]
async fn an_attempt_that_was_never_started_never_ran_and_never_will() {
    let bench = Bench::new();
    let found = bench.adopt(key(1)).await.unwrap();
    assert!(matches!(found, Adopted::Over(Observation::NeverRan { .. })));
    bench.spawner.end_recorded(key(1)).await;
    bench.start(key(1), "echo ran > ran").await;
    let again = bench.adopt(key(1)).await.unwrap();
    assert!(matches!(again, Adopted::Over(Observation::NeverRan { .. })));
    assert!(!bench.path().join("ran").exists());
}

#[tokio::test]
async fn an_attempt_of_an_earlier_boot_is_interrupted_by_the_reboot() {
    let bench = Bench::new();
    bench.start(key(1), "exit 0").await;
    bench.spawned().await;
    bench.exited().await;
    let mut identity = bench.identity(key(1));
    identity.boot_id = "another".to_owned();
    let other = bench.attempt(key(2));
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("identity"), identity.encode()).unwrap();
    let found = bench.adopt(key(2)).await.unwrap();
    let Adopted::Over(Observation::SupervisorLost { why, .. }) = found else { panic!("{found:?}") };
    assert_eq!(why, Interruption::Reboot);
}
