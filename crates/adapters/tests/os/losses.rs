//! Tests of shims that are killed.

use crate::bench::{Bench, by_user, code, go_on, is_halted, key, kill, state, until};
use longhaul_adapters::os::{ContainmentChoice, OsOptions, OsSpawner};
use longhaul_domain::{
    Condition, ExitCircumstances, ExitStatus, Interruption, Leftovers, Observation, OutputBound, StopCause,
};
use longhaul_ports::{Adopted, Spawner, StartRequest};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

const WAITS: &str =
    "echo before; while [ ! -e go ]; do sleep 0.01; done; echo after; sleep 0.05; echo error >&2; exit 7";

#[tokio::test]
async fn killing_the_shim_loses_neither_the_exit_code_nor_output() {
    let bench = Bench::new();
    bench.start(key(1), WAITS).await;
    bench.spawned().await;
    bench.says(key(1), "before").await;
    bench.kill_shim(key(1));
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.exited().await;
    assert_eq!(
        (code(&exit), exit.circumstances),
        (7, ExitCircumstances::PLAIN),
        "the command was watched all the time"
    );
    assert_eq!(bench.text(key(1)).await, "before\nafter\nerror\n");
}

/// The failpoint kills the shim when the command can already run and the manager is not yet notified. Release builds
/// have no failpoints.
#[cfg(debug_assertions)]
#[tokio::test]
async fn no_output_is_lost_if_the_shim_is_killed_when_the_command_starts() {
    let mut bench = Bench::new();
    let options = bench.options();
    let shim = bench.path().join("doomed-shim");
    let script = format!(
        "#!/bin/sh\nexport LONGHAUL_FAILPOINTS=shim.gate.open=kill LONGHAUL_FAILPOINTS_SEEN={}\nexec {} \"$@\"\n",
        bench.path().join("seen").display(),
        options.shim.display()
    );
    std::fs::write(&shim, script).unwrap();
    std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)).unwrap();
    bench.spawner = OsSpawner::open(OsOptions { shim, ..options }).unwrap();
    bench.start(key(1), "echo first; sleep 0.3; echo last; echo error >&2; exit 5").await;
    bench.spawned().await;
    let exit = bench.exited().await;
    assert_eq!((code(&exit), exit.dropped_bytes), (5, 0));
    assert_eq!(bench.text(key(1)).await, "first\nlast\nerror\n");
}

#[tokio::test]
async fn a_command_with_much_output_survives_the_loss_of_its_shim() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 3";
    bench.start(key(1), script).await;
    bench.spawned().await;
    bench.says(key(1), "line 1\n").await;
    bench.kill_shim(key(1));
    assert_eq!(code(&bench.exited().await), 3);
    let text = bench.text(key(1)).await;
    assert!(text.ends_with("line 19999\n"));
    assert_eq!(text.lines().count(), 20_000);
}

#[tokio::test]
async fn the_end_after_a_loss_is_found_by_the_next_life_too() {
    let mut bench = Bench::new();
    bench.start(key(1), WAITS).await;
    bench.spawned().await;
    bench.kill_shim(key(1));
    std::fs::write(bench.path().join("go"), "").unwrap();
    bench.exited().await;
    bench.next_life();
    match bench.adopt(key(1)).await.unwrap() {
        Adopted::Over(Observation::Exited { exit, .. }) => assert_eq!(code(&exit), 7),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_kill_of_shim_and_command_is_reported_within_half_a_second() {
    let bench = Bench::new();
    bench.start(key(1), "echo before; sleep 1000").await;
    let pid = bench.spawned().await;
    bench.says(key(1), "before").await;
    let begin = Instant::now();
    bench.kill_shim(key(1));
    kill(pid);
    match bench.next().await {
        Observation::SupervisorLost { why: Interruption::SupervisorKilled { evidence, .. }, .. } => {
            assert!(evidence.contains("signal 9"), "{evidence}");
        }
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn leftovers_of_a_killed_command_are_stopped() {
    let bench = Bench::new();
    bench.start(key(1), "setsid sh -c 'while :; do sleep 1; done' & echo $! ready; wait").await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let grandchild: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    bench.kill_shim(key(1));
    kill(pid);
    assert!(matches!(bench.next().await, Observation::SupervisorLost { .. }));
    until(async || state(grandchild).is_none_or(|state| state == 'Z')).await;
}

/// Script that exits with code 5 when the file `go` exists. A process in another session forks every 3 ms, and the
/// parent exits each time.
const HEIRS: &str = "exec python3 -c '
import os,time
if os.fork()==0:
    os.setsid()
    born=os.open(\"born\",os.O_WRONLY|os.O_CREAT|os.O_APPEND)
    for heir in range(8000):
        os.write(born,b\"%d\\n\"%os.getpid())
        time.sleep(0.003)
        if os.fork(): os._exit(0)
    os._exit(0)
while not os.path.exists(\"go\"): time.sleep(0.005)
os._exit(5)'";

#[tokio::test]
async fn constantly_forking_descendants_are_ended_before_the_end_is_reported_without_a_shim() {
    for containment in [ContainmentChoice::Auto, ContainmentChoice::Subreaper] {
        // The test is repeated, because a scan that inspects processes one after the other misses a process only
        // sometimes.
        for number in 0..10 {
            let mut bench = Bench::with(containment);
            let key = key(number);
            bench.start(key, HEIRS).await;
            bench.spawned().await;
            let list = bench.path().join("born");
            let born = || -> Vec<u32> {
                let text = std::fs::read_to_string(&list).unwrap_or_default();
                text.lines().filter_map(|line| line.parse().ok()).collect()
            };
            until(async || born().len() > 20).await;
            let group = bench.identity(key).cgroup;
            bench.kill_shim(key);
            if number % 2 == 1 {
                bench.next_life();
                bench.adopt(key).await.unwrap();
            }
            std::fs::write(bench.path().join("go"), "").unwrap();
            let exit = loop {
                match bench.next().await {
                    Observation::Exited { exit, .. } => break exit,
                    // On a busy machine, the clean-up may take so long that it is reported.
                    Observation::ConditionObserved { condition: Condition::CleaningUp, .. } => {}
                    other => panic!("{other:?}"),
                }
            };
            let alive = |pid: &u32| state(*pid).is_some_and(|state| state != 'Z');
            let before = born();
            assert!(!before.iter().any(alive), "{containment:?}: {exit:?}");
            // No process may be started after the end of the attempt. Wait for a short time before the check.
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(born().len(), before.len(), "{containment:?}: born after the end: {exit:?}");
            assert!(code(&exit) == 5 && exit.leftovers_found >= 1, "{containment:?}: {exit:?}");
            bench.spawner.end_recorded(key).await;
            until(async || group.as_ref().is_none_or(|group| !group.exists())).await;
        }
    }
}

#[tokio::test]
async fn a_descendant_without_variables_in_a_separate_session_is_found_without_a_shim() {
    // The parent has exited too, so the process can be identified as a descendant only by its resource limit.
    let script = "(setsid env -i /bin/sh -c 'echo $$ ready; exec sleep 1000' &); while [ ! -e go ]; do sleep 0.01; done";
    for is_adopted in [false, true] {
        let mut bench = Bench::new();
        bench.start(key(1), script).await;
        bench.spawned().await;
        bench.says(key(1), "ready").await;
        let grandchild: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
        let shim = bench.identity(key(1)).shim_pid;
        bench.kill_shim(key(1));
        if is_adopted {
            bench.next_life();
            bench.adopt(key(1)).await.unwrap();
        }
        until(async || state(shim).is_none_or(|state| state == 'Z')).await;
        bench.spawner.stop(key(1), by_user(false)).await.unwrap();
        let exit = bench.exited().await;
        assert!(state(grandchild).is_none_or(|state| state == 'Z'), "the descendant is live: {exit:?}");
        assert_eq!(exit.stopped, Some(StopCause::User));
    }
}

#[tokio::test]
async fn a_command_without_shim_is_paused_and_stopped_with_its_tree() {
    let bench = Bench::new();
    bench
        .start(
            key(1),
            "setsid sh -c 'while :; do sleep 0.1; done' & echo $! ready; while :; do sleep 0.1; done",
        )
        .await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    let grandchild: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    let shim = bench.identity(key(1)).shim_pid;
    bench.kill_shim(key(1));
    until(async || state(shim).is_none()).await;
    until(async || bench.spawner.pause(key(1)).await.is_ok()).await;
    assert!(is_halted(pid) && is_halted(grandchild), "{:?} {:?}", state(pid), state(grandchild));
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 15, core: false });
    assert_eq!(
        (exit.stopped, exit.circumstances.paused),
        (Some(StopCause::User), false),
        "a stop resumes the command"
    );
    until(async || state(grandchild).is_none_or(|state| state == 'Z')).await;
}

#[tokio::test]
async fn an_end_without_shim_reports_whether_the_command_was_paused() {
    // `before`: the shim pauses the command. `after`: the command is paused after the shim was killed. In the end, a
    // SIGCONT wakes the command.
    for (before, after, resumed) in [(true, false, false), (false, true, false), (true, true, true)] {
        let bench = Bench::new();
        bench.start(key(1), "while [ ! -e go ]; do :; done; exit 5").await;
        let pid = bench.spawned().await;
        if before {
            bench.spawner.pause(key(1)).await.unwrap();
        }
        let shim = bench.identity(key(1)).shim_pid;
        bench.kill_shim(key(1));
        until(async || state(shim).is_none()).await;
        if after {
            until(async || bench.spawner.pause(key(1)).await.is_ok()).await;
        }
        assert!(is_halted(pid));
        if resumed {
            bench.spawner.resume(key(1)).await.unwrap();
        }
        std::fs::write(bench.path().join("go"), "").unwrap();
        go_on(pid);
        let exit = bench.exited().await;
        assert_eq!((code(&exit), exit.circumstances.paused), (5, !resumed), "{before} {after}");
    }
}

#[tokio::test]
async fn a_command_without_shim_that_ignores_signals_is_killed_after_its_grace_period() {
    let bench = Bench::new();
    bench.start(key(1), "trap '' TERM; echo ready; while :; do sleep 0.1; done").await;
    bench.spawned().await;
    bench.says(key(1), "ready").await;
    bench.kill_shim(key(1));
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core: false });
    assert_eq!(exit.last_signal, Some(9));
}

#[tokio::test]
async fn the_next_manager_takes_over_a_command_whose_shim_was_killed() {
    let mut bench = Bench::new();
    // The command writes nothing. Its output pipes have no reader, so a write would end it with SIGPIPE.
    bench.start(key(1), "while [ ! -e go ]; do sleep 0.01; done; exit 7").await;
    let pid = bench.spawned().await;
    let shim = bench.identity(key(1)).shim_pid;
    bench.next_life();
    kill(shim);
    until(async || state(shim).is_none_or(|state| state == 'Z')).await;
    let found = bench.adopt(key(1)).await.unwrap();
    assert!(matches!(found, Adopted::Alive(Observation::Spawned { pid: found, .. }) if found == Some(pid)));
    std::fs::write(bench.path().join("go"), "").unwrap();
    match bench.next().await {
        Observation::Exited { exit, .. } => assert_eq!(code(&exit), 7),
        Observation::SupervisorLost { why, .. } => {
            eprintln!("SKIPPED: this kernel does not report it: {why:?}")
        }
        other => panic!("{other:?}"),
    }
}

/// Starts a command, lets the next run of the manager adopt the attempt, and then kills the shim.
async fn loses_its_shim_in_the_next_life(bench: &mut Bench, order: StartRequest) {
    let key = order.key;
    bench.begin(order).await;
    bench.spawned().await;
    bench.says(key, "ready").await;
    bench.next_life();
    assert!(matches!(bench.adopt(key).await, Ok(Adopted::Alive(_))));
    let shim = bench.identity(key).shim_pid;
    kill(shim);
    until(async || state(shim).is_none_or(|state| state == 'Z')).await;
}

#[tokio::test]
async fn the_next_manager_stops_a_command_without_shim_with_its_stop_signal_and_grace_period() {
    let mut bench = Bench::new();
    let mut order =
        bench.order(key(1), "trap 'sleep 6; exit 7' INT; echo ready; while :; do sleep 0.01; done");
    order.command.stop.signal = 2;
    order.command.stop.grace = Duration::from_secs(3_600);
    loses_its_shim_in_the_next_life(&mut bench, order).await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    let exit = bench.exited().await;
    assert_eq!((exit.status, exit.last_signal), (ExitStatus::Code(7), Some(2)));
}

#[tokio::test]
async fn the_next_manager_keeps_the_leftovers_that_a_launch_wants_to_keep() {
    let mut bench = Bench::new();
    let script = "setsid sh -c 'echo $$ ready; while [ ! -e over ]; do sleep 0.01; done' & \
        while [ ! -e go ]; do sleep 0.01; done; exit 7";
    let mut order = bench.order(key(1), script);
    order.command.leftovers = Leftovers::Keep;
    loses_its_shim_in_the_next_life(&mut bench, order).await;
    let left: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.exited().await;
    assert_eq!((code(&exit), exit.leftovers_killed), (7, 0));
    assert!(exit.leftovers_found >= 1, "{exit:?}");
    assert!(state(left).is_some_and(|state| state != 'Z'));
    std::fs::write(bench.path().join("over"), "").unwrap();
    until(async || state(left).is_none_or(|state| state == 'Z')).await;
}

#[tokio::test]
async fn the_next_manager_applies_the_output_limits_of_a_launch_without_shim() {
    let mut bench = Bench::new();
    let script = "echo ready; while [ ! -e go ]; do sleep 0.01; done; head -c 1000000 /dev/zero; exit 7";
    let mut order = bench.order(key(1), script);
    order.command.output = OutputBound { head: 4_096, tail: 8_192 };
    loses_its_shim_in_the_next_life(&mut bench, order).await;
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.exited().await;
    assert_eq!((code(&exit), exit.output_bytes), (7, 4_096 + 8_192));
    assert_eq!(exit.dropped_bytes, 1_000_000 + 6 - 4_096 - 8_192);
}

#[tokio::test]
async fn a_supervisor_that_does_not_answer_in_time_becomes_known_later() {
    let mut bench = Bench::new();
    bench.start(key(1), "sleep 60").await;
    bench.spawned().await;
    let shim = bench.identity(key(1)).shim_pid;
    let signal = |signal| {
        let pid = rustix::process::Pid::from_raw(shim.cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    signal(rustix::process::Signal::STOP);
    bench.next_life();
    let asked = std::time::Instant::now();
    let silent = bench.adopt(key(1)).await;
    assert!(matches!(silent, Err(longhaul_ports::SpawnError::Unreachable { .. })), "{silent:?}");
    assert!(asked.elapsed() < std::time::Duration::from_secs(4));
    signal(rustix::process::Signal::CONT);
    bench.spawned().await;
    bench.spawner.stop(key(1), crate::bench::by_user(true)).await.unwrap();
    bench.exited().await;
}
