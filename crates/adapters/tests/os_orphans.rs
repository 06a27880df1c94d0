//! Tests in which this program adopts orphans. They are in a separate program, because adoption affects the whole
//! program.
#![cfg(all(feature = "os", feature = "system"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking too"
)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one observation among many")]
#![expect(dead_code, reason = "the bench has more than one test needs")]

#[path = "os/bench.rs"]
mod bench;

use bench::{Bench, code, key, kill, state, until};
use longhaul_adapters::os::OsSpawner;
use longhaul_domain::{Interruption, Leftovers, Observation};
use longhaul_ports::{Adopted, Clock, Spawner};
use rustix::process::{getpid, set_child_subreaper};
use tokio::sync::Mutex;

/// Lock that runs these tests one at a time, because each test changes which program adopts orphans.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn end_of_an_unreaped_command_counts_as_unobserved() {
    let _alone = ALONE.lock().await;
    // The test program adopts orphans and never reaps them, like the first process of many containers.
    set_child_subreaper(Some(getpid())).unwrap();
    let mut bench = Bench::new();
    bench.start(key(1), "while [ ! -e go ]; do sleep 0.01; done; exit 7").await;
    let pid = bench.spawned().await;
    let shim = bench.identity(key(1)).shim_pid;
    bench.next_life();
    kill(shim);
    until(async || parent(pid) == Some(std::process::id())).await;
    std::fs::write(bench.path().join("go"), "").unwrap();
    until(async || state(pid) == Some('Z')).await;
    let over = bench.clock().now();
    until(async || bench.clock().now() > over).await;
    match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => {
            assert_eq!((code(&exit), exit.circumstances.exit_unobserved), (7, true));
            assert!(
                exit.circumstances.end_time_unknown && exit.at >= over,
                "the end time is unknown: {exit:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    set_child_subreaper(None).unwrap();
}

#[tokio::test]
async fn kill_of_command_and_shim_is_detected_whichever_process_reaps_them() {
    let _alone = ALONE.lock().await;
    // The test program becomes the parent of orphans and never reaps them, so that they remain zombies.
    set_child_subreaper(Some(getpid())).unwrap();
    for wait_for_zombie in [false, true] {
        let mut bench = Bench::new();
        bench.start(key(1), "sleep 1000 & sleep 1001").await;
        let pid = bench.spawned().await;
        let shim = bench.identity(key(1)).shim_pid;
        bench.next_life();
        kill(shim);
        kill(pid);
        if wait_for_zombie {
            until(async || state(pid) == Some('Z')).await;
        }
        match bench.adopt(key(1)).await.unwrap() {
            Adopted::Over(Observation::SupervisorLost {
                why: Interruption::SupervisorKilled { .. }, ..
            }) => {}
            other => panic!("{other:?}"),
        }
    }
    set_child_subreaper(None).unwrap();
}

#[tokio::test]
async fn orphans_are_adopted_and_leave_no_zombie() {
    let _alone = ALONE.lock().await;
    let mut bench = Bench::new();
    let mut options = bench.options();
    options.adopt_orphans = true;
    bench.spawner = OsSpawner::open(options).unwrap();

    let script = "setsid sh -c 'while [ ! -e go ]; do sleep 0.01; done' >/dev/null 2>&1 & echo $! ready";
    let mut order = bench.order(key(1), script);
    order.command.leftovers = Leftovers::Keep;
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
    assert!(bench.exited().await.leftovers_found >= 1);
    let orphan: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    bench.spawner.end_recorded(key(1)).await;
    until(async || parent(orphan) == Some(std::process::id())).await;
    std::fs::write(bench.path().join("go"), "").unwrap();
    until(async || state(orphan).is_none()).await;

    // A command that has lost its shim also becomes a child of this program. Its exit must still be recorded as the
    // exit of the command.
    std::fs::remove_file(bench.path().join("go")).unwrap();
    bench.start(key(2), "while [ ! -e go ]; do sleep 0.01; done; exit 7").await;
    let pid = bench.spawned().await;
    bench.kill_shim(key(2));
    until(async || parent(pid) == Some(std::process::id())).await;
    std::fs::write(bench.path().join("go"), "").unwrap();
    assert_eq!(code(&bench.exited().await), 7);
    until(async || state(pid).is_none()).await;
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
