//! Tests of stops, timeouts, pauses and signals.

use std::{path::Path, time::Instant};

use longhaul_shim::{
    AllowedContainment, AttemptPhase, Containment, LaunchOrder, ProcessStat, ProgramEnd, ShimHello,
    ShimMessage, ShimRequest, ShimStopRequest, SignalTarget, StopPlan, StopReason, StopStep,
};

use crate::{
    containment::every_containment,
    harness::{Attempt, Directory, is_alive, number_in, script, state, until},
};

/// Returns a command that ignores SIGTERM. Its children ignore SIGTERM too, and one of them is in another session.
fn stubborn(directory: &Path, containment: AllowedContainment) -> LaunchOrder {
    let text = format!(
        "trap '' TERM INT; setsid sh -c 'trap \"\" TERM INT; echo $$ > {0}/far; while :; do sleep 1; done' & \
         sh -c 'trap \"\" TERM INT; echo $$ > {0}/near; while :; do sleep 1; done' & \
         while :; do sleep 1; done",
        directory.display()
    );
    let mut launch = script(&text);
    launch.containment = containment;
    launch.stop_plan = StopPlan { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 150 }] };
    launch
}

#[test]
fn stop_ends_grandchildren_in_separate_sessions_that_ignore_signals() {
    for (containment, cgroup) in every_containment() {
        let directory = Directory::new();
        let mut launch = stubborn(directory.path(), AllowedContainment::Only(containment));
        launch.cgroup.clone_from(&cgroup);
        let mut attempt = Attempt::launch(&launch);
        let (identity, _) = attempt.peer.started();
        assert_eq!(identity.mechanism, containment);
        assert_eq!(identity.cgroup, cgroup);
        let (far, near) =
            (number_in(&directory.path().join("far")), number_in(&directory.path().join("near")));
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
        let record = attempt.peer.settled();
        assert_eq!(record.ending, ProgramEnd::Signaled { signal: 9, core: false }, "{containment}");
        assert_eq!(record.stopped, Some(StopReason::User));
        assert_eq!(record.escalated, Some(libc::SIGKILL));
        assert!(!is_alive(near) && !is_alive(identity.pid), "{containment}");
        if containment == Containment::Group {
            // The containment mechanism `group` covers only the process group. The identity file names the mechanism,
            // so that readers know this limit.
            assert!(is_alive(far));
            crate::harness::kill(far);
        } else {
            assert!(!is_alive(far), "{containment}");
            assert!(record.swept >= 2, "{containment}: {record:?}");
        }
        attempt.finish();
        if let Some(path) = cgroup {
            assert!(!path.exists(), "the cgroup was left behind");
        }
    }
}

#[test]
fn orphan_in_a_separate_session_becomes_a_child_of_the_shim_and_ends_with_the_stop() {
    let directory = Directory::new();
    let number = directory.path().join("far");
    let text = format!("(setsid sh -c 'echo $$ > {}; exec sleep 60' &); sleep 60", number.display());
    let mut attempt = Attempt::launch(&script(&text));
    let (identity, _) = attempt.peer.started();
    let far = number_in(&number);
    until("the shim is the parent", || {
        ProcessStat::read(far).filter(|stat| stat.parent == identity.shim_pid).map(drop)
    });
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    attempt.peer.settled();
    assert!(!is_alive(far));
    attempt.finish();
}

#[test]
fn work_that_obeys_the_first_signal_is_not_killed() {
    let mut attempt = Attempt::launch(&script("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"));
    attempt.peer.started();
    attempt.await_output("up");
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::Session)));
    let record = attempt.peer.settled();
    assert_eq!(record.ending, ProgramEnd::Exited { code: 9 });
    assert_eq!((record.stopped, record.escalated), (Some(StopReason::Session), Some(libc::SIGTERM)));
    attempt.finish();
}

#[test]
fn program_that_is_started_in_reaction_to_the_stop_signal_does_not_receive_it() {
    for (containment, cgroup) in every_containment() {
        let directory = Directory::new();
        let far = directory.path().join("far");
        let reacting =
            |name: &str| format!("trap 'trap : TERM; sh -c \"sleep 0.3; echo {name} cleaned\"; exit 7' TERM");
        let other = format!("{}\necho $$ > {}\nsleep 60 & wait\n", reacting("other"), far.display());
        let path = directory.path().join("other");
        std::fs::write(&path, other).unwrap();
        // Signals to many processes take long enough for the first ones to react.
        let text = format!(
            "{}; setsid sh {} & i=0; while [ $i -lt 150 ]; do sleep 60 & i=$((i+1)); done; echo up; wait",
            reacting("leader"),
            path.display()
        );
        let mut launch = script(&text);
        launch.containment = AllowedContainment::Only(containment);
        launch.cgroup = cgroup;
        // A shell ignores the signal between a fork and the execution of a program.
        launch.stop_plan = StopPlan { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 2_000 }] };
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.started();
        attempt.await_output("up");
        let other = number_in(&far);
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
        let record = attempt.peer.settled();
        assert_eq!(record.ending, ProgramEnd::Exited { code: 7 }, "{containment}");
        assert!(attempt.log().contains("leader cleaned"), "{containment}: {}", attempt.log());
        if containment == Containment::Group {
            crate::harness::kill(other);
        } else {
            assert!(attempt.log().contains("other cleaned"), "{containment}: {}", attempt.log());
        }
        attempt.finish();
    }
}

#[test]
fn stop_plan_of_the_request_replaces_the_stop_plan_of_the_launch() {
    let mut attempt =
        Attempt::launch(&script("trap 'exit 3' INT; trap '' TERM; echo up; while :; do sleep 0.01; done"));
    attempt.peer.started();
    attempt.await_output("up");
    let plan = StopPlan { steps: vec![StopStep { signal: libc::SIGINT, wait_ms: 10_000 }] };
    let order = ShimStopRequest { reason: StopReason::User, plan: Some(plan), force: false };
    attempt.peer.tell(&ShimRequest::Stop(order));
    assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 3 });
    attempt.finish();
}

#[test]
fn force_kills_at_once_even_in_the_middle_of_a_plan() {
    let mut attempt = Attempt::launch(&script("trap '' TERM; echo up; while :; do sleep 0.05; done"));
    attempt.peer.started();
    attempt.await_output("up");
    let begin = Instant::now();
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    let force = ShimStopRequest { force: true, ..ShimStopRequest::new(StopReason::User) };
    attempt.peer.tell(&ShimRequest::Stop(force));
    let record = attempt.peer.settled();
    assert!(begin.elapsed().as_millis() < 2_000, "took {:?} of a grace of 5 s", begin.elapsed());
    assert_eq!(record.ending, ProgramEnd::Signaled { signal: 9, core: false });
    attempt.finish();
}

#[test]
fn forced_stop_sends_no_stop_signal() {
    // The command does not ignore SIGTERM: without `force`, SIGTERM would end it.
    let mut attempt = Attempt::launch(&script("exec sleep 60"));
    attempt.peer.started();
    attempt
        .peer
        .tell(&ShimRequest::Stop(ShimStopRequest { force: true, ..ShimStopRequest::new(StopReason::User) }));
    let record = attempt.peer.settled();
    assert_eq!(record.ending, ProgramEnd::Signaled { signal: libc::SIGKILL, core: false });
    assert_eq!(record.escalated, Some(libc::SIGKILL));
    attempt.finish();
}

#[test]
fn second_stop_changes_neither_plan_nor_reason() {
    let mut launch = script("trap '' TERM; echo up; while :; do sleep 0.02; done");
    launch.stop_plan = StopPlan { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 300 }] };
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.started();
    attempt.await_output("up");
    let begin = Instant::now();
    for reason in [StopReason::User, StopReason::Shutdown, StopReason::Parent] {
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(reason)));
    }
    let record = attempt.peer.settled();
    assert!(begin.elapsed().as_millis() >= 300);
    assert_eq!(record.stopped, Some(StopReason::User));
    attempt.finish();
}

#[test]
fn timeout_needs_no_manager() {
    let directory = Directory::new();
    let mut launch = stubborn(directory.path(), AllowedContainment::Only(Containment::Subreaper));
    launch.timeout_ms = 200;
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.started();
    let files = attempt.files();
    drop(attempt.peer);
    let record = until("the exit record is there", || files.exit_record().unwrap());
    assert_eq!(record.stopped, Some(StopReason::Timeout));
    assert_eq!(record.ending, ProgramEnd::Signaled { signal: 9, core: false });
    assert!(record.run_ms >= 200, "{record:?}");
    until("the shim exits", || attempt.shim.try_wait().unwrap());
    assert!(!is_alive(number_in(&directory.path().join("far"))));
}

#[test]
fn paused_time_does_not_count_for_the_timeout() {
    let mut launch = script("sleep 60");
    launch.timeout_ms = 400;
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.started();
    let begin = Instant::now();
    attempt.peer.tell(&ShimRequest::Pause);
    attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Paused { .. }).then_some(()));
    while begin.elapsed().as_millis() < 700 {
        assert_eq!(attempt.peer.status().phase, AttemptPhase::Paused);
    }
    attempt.peer.tell(&ShimRequest::Resume);
    let record = attempt.peer.settled();
    assert_eq!(record.stopped, Some(StopReason::Timeout));
    assert!((400..700).contains(&record.run_ms), "{record:?}");
    attempt.finish();
}

#[test]
fn pause_holds_and_resume_frees_grandchildren_in_sessions_of_their_own() {
    for (containment, cgroup) in every_containment() {
        if containment == Containment::Group {
            continue;
        }
        let directory = Directory::new();
        let text = format!(
            "setsid sh -c 'echo $$ > {0}/far; while :; do :; done' & echo up; while :; do :; done",
            directory.path().display()
        );
        let mut launch = script(&text);
        launch.containment = AllowedContainment::Only(containment);
        launch.cgroup.clone_from(&cgroup);
        let mut attempt = Attempt::launch(&launch);
        let (identity, _) = attempt.peer.started();
        let far = number_in(&directory.path().join("far"));
        attempt.peer.tell(&ShimRequest::Pause);
        let (stopped, missed) = attempt.peer.hear_until(|notice| match notice {
            ShimMessage::Paused { stopped, missed } => Some((stopped, missed)),
            _ => None,
        });
        assert_eq!((stopped, missed), (2, 0), "{containment}");
        let before = (ticks(far), ticks(identity.pid));
        std::thread::sleep(std::time::Duration::from_millis(120));
        assert_eq!((ticks(far), ticks(identity.pid)), before, "{containment}: kept running while paused");
        attempt.peer.tell(&ShimRequest::Resume);
        attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Resumed).then_some(()));
        until("both processes run again", || {
            (ticks(far) > before.0 && ticks(identity.pid) > before.1).then_some(())
        });
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest {
            force: true,
            ..ShimStopRequest::new(StopReason::User)
        }));
        attempt.peer.settled();
        attempt.finish();
    }
}

#[test]
fn stop_of_a_paused_process_resumes_it_to_handle_the_signal() {
    for (containment, cgroup) in every_containment() {
        let mut launch = script("trap 'exit 8' TERM; echo up; while :; do sleep 0.01; done");
        launch.containment = AllowedContainment::Only(containment);
        launch.cgroup = cgroup;
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.started();
        attempt.await_output("up");
        attempt.peer.tell(&ShimRequest::Pause);
        attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Paused { .. }).then_some(()));
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
        assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 8 }, "{containment}");
        attempt.finish();
    }
}

#[test]
fn process_that_stopped_itself_by_a_signal_is_shown_and_can_still_be_cancelled() {
    let mut attempt =
        Attempt::launch(&script("trap 'exit 8' TERM; kill -STOP $$; while :; do sleep 0.01; done"));
    let (identity, _) = attempt.peer.started();
    until("the command halted itself", || (state(identity.pid) == Some('T')).then_some(()));
    let shown =
        |status: longhaul_shim::AttemptStatus| status.phase == AttemptPhase::Running && status.leader_stopped;
    until("the command is shown as halted", || shown(attempt.peer.status()).then_some(()));
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 8 });
    attempt.finish();
}

#[test]
fn signal_reaches_the_leader_or_all_processes() {
    let text = "sh -c 'trap \"echo child\" USR1; while :; do sleep 0.01; done' & \
                trap 'echo leader' USR1; sleep 0.2; echo up; while :; do sleep 0.01; done";
    let mut attempt = Attempt::launch(&script(text));
    attempt.peer.started();
    attempt.await_output("up");
    attempt.peer.tell(&ShimRequest::Signal { signal: libc::SIGUSR1, target: SignalTarget::Leader });
    attempt.await_output("leader");
    assert!(!attempt.log().contains("child"));
    attempt.peer.tell(&ShimRequest::Signal { signal: libc::SIGUSR1, target: SignalTarget::Tree });
    attempt.await_output("child");
    attempt.peer.tell(&ShimRequest::Signal { signal: libc::SIGUSR2, target: SignalTarget::Leader });
    let record = attempt.peer.settled();
    assert_eq!(record.ending, ProgramEnd::Signaled { signal: libc::SIGUSR2, core: false });
    assert_eq!(record.stopped, None);
    attempt.finish();
}

#[test]
fn pause_that_takes_effect_late_is_revoked_by_resume() {
    // A parent in vfork can be stopped only after its child has executed a program. The child blocks before that, until
    // another process opens the other end of its input pipe.
    let directory = Directory::new();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let text = format!(
        "exec python3 -c 'import os\n\
         print(\"up\", flush=True)\n\
         p=os.posix_spawn(\"/bin/true\",[\"true\"],{{}},file_actions=[(os.POSIX_SPAWN_OPEN,0,\"{}\",os.O_RDONLY,0)])\n\
         os.waitpid(p,0)\n\
         print(\"done\")'",
        fifo.display()
    );
    let mut attempt = Attempt::launch(&script(&text));
    let (identity, _) = attempt.peer.started();
    attempt.await_output("up");
    until("the parent waits for its child", || (state(identity.pid) == Some('D')).then_some(()));
    attempt.peer.tell(&ShimRequest::Pause);
    let missed = attempt.peer.hear_until(|notice| match notice {
        ShimMessage::Paused { missed, .. } => Some(missed),
        _ => None,
    });
    // The parent counts as paused: whatever its child does, it executes no instruction before the SIGSTOP takes effect.
    assert_eq!((missed, state(identity.pid)), (0, Some('D')));
    attempt.peer.tell(&ShimRequest::Resume);
    attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Resumed).then_some(()));
    drop(std::fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    attempt.await_output("done");
    attempt.peer.settled();
    attempt.finish();
}

#[test]
fn fork_bomb_with_new_sessions_is_ended() {
    // Each process starts the next process in a new session and then exits.
    let directory = Directory::new();
    let storm = directory.path().join("storm");
    let text = format!("#!/bin/sh\nsetsid {} &\nsetsid sleep 30 &\n", storm.display());
    std::fs::write(&storm, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&storm, mode).unwrap();
    for (containment, cgroup) in every_containment() {
        if containment == Containment::Group {
            continue;
        }
        let mut launch = script(&format!("{} & wait; sleep 60", storm.display()));
        launch.containment = AllowedContainment::Only(containment);
        launch.cgroup = cgroup;
        launch.stop_plan = StopPlan { steps: Vec::new() };
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.started();
        let begin = Instant::now();
        while begin.elapsed().as_millis() < 100 {
            attempt.peer.status();
        }
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
        let record = attempt.peer.settled();
        assert!(record.swept > 1, "{containment}: {record:?}");
        attempt.finish();
        let left =
            std::process::Command::new("pgrep").args(["-f", storm.to_str().unwrap()]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{containment}");
    }
}

/// Python program with four chains of processes. In each chain, every process waits two milliseconds, forks its
/// successor and exits. No process leaves the process group, and all processes ignore SIGTERM. `FILE` is replaced by
/// the path of the file that each process writes its pid to, and `CODE` by the remaining code of the program.
const HEIRS: &str = "exec python3 -c 'import os,signal,time\n\
     signal.signal(signal.SIGTERM,signal.SIG_IGN)\n\
     born=os.open(\"FILE\",os.O_WRONLY|os.O_CREAT|os.O_APPEND)\n\
     for line in range(4):\n \
      if os.fork()==0:\n  \
       for heir in range(8000):\n   \
        os.write(born,b\"%d\\n\"%os.getpid())\n   \
        time.sleep(0.002)\n   \
        if os.fork(): os._exit(0)\n  \
       os._exit(0)\n\
     CODE'";

#[test]
fn constantly_forking_descendants_are_ended_before_the_end_is_reported() {
    for (containment, cgroup) in every_containment() {
        for (code, stopped) in [("time.sleep(60)", true), ("time.sleep(0.1)", false)] {
            let directory = Directory::new();
            let born = directory.path().join("born");
            let text = HEIRS.replace("FILE", born.to_str().unwrap()).replace("CODE", code);
            let mut launch = script(&text);
            launch.containment = AllowedContainment::Only(containment);
            launch.cgroup.clone_from(&cgroup);
            launch.stop_plan = StopPlan { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 100 }] };
            let mut attempt = Attempt::launch(&launch);
            attempt.peer.started();
            let count = || std::fs::read_to_string(&born).unwrap_or_default().lines().count();
            until("some descendants were started", || (count() > 20).then_some(()));
            if stopped {
                attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
            }
            let record = attempt.peer.settled();
            let before = count();
            attempt.finish();
            assert_eq!(count(), before, "{containment}: born after the end: {record:?}");
            let left = std::fs::read_to_string(&born).unwrap();
            let left: Vec<u32> =
                left.lines().map(|line| line.parse().unwrap()).filter(|pid| is_alive(*pid)).collect();
            assert_eq!(left, Vec::<u32>::new(), "{containment}: {record:?}");
            assert_eq!(record.leftovers > 0, !stopped, "{containment}: {record:?}");
            // All members of a process group are killed at one moment, so the shim may not have counted each of them.
            assert!(record.swept > 0 || containment == Containment::Group, "{containment}: {record:?}");
        }
    }
}

#[test]
fn every_peer_with_a_hello_gets_every_change() {
    let mut attempt = Attempt::launch(&script("sleep 60"));
    attempt.peer.started();
    let mut other = attempt.connect(ShimHello::default());
    other.hear_until(|notice| matches!(notice, ShimMessage::Hello(_)).then_some(()));
    attempt.peer.tell(&ShimRequest::Pause);
    other.hear_until(|notice| matches!(notice, ShimMessage::Paused { .. }).then_some(()));
    attempt.peer.tell(&ShimRequest::Resume);
    other.hear_until(|notice| matches!(notice, ShimMessage::Resumed).then_some(()));
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    other.hear_until(|notice| match notice {
        ShimMessage::Status(status) if status.phase == AttemptPhase::Stopping => Some(()),
        _ => None,
    });
    other.settled();
    attempt.peer.settled();
    attempt.finish();
}

#[test]
fn tree_whose_cgroup_was_removed_is_ended_and_its_end_is_reported() {
    for (containment, cgroup) in every_containment() {
        let (Containment::Cgroup, Some(path)) = (containment, cgroup) else {
            continue;
        };
        for stopped in [false, true] {
            let text = format!(
                "echo $$ > {}/cgroup.procs && rmdir {} && echo gone; [ {stopped} = true ] && sleep 60; exit 7",
                path.parent().unwrap().display(),
                path.display()
            );
            let mut launch = script(&text);
            launch.containment = AllowedContainment::Only(containment);
            launch.cgroup = Some(path.clone());
            let mut attempt = Attempt::launch(&launch);
            let (identity, _) = attempt.peer.started();
            attempt.await_output("gone");
            assert!(!path.exists());
            if stopped {
                attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
            }
            let record = attempt.peer.settled();
            let code = ProgramEnd::Exited { code: 7 };
            let term = ProgramEnd::Signaled { signal: libc::SIGTERM, core: false };
            assert_eq!(record.ending, if stopped { term } else { code });
            assert!(!record.sweeping && !is_alive(identity.pid), "{record:?}");
            attempt.finish();
        }
    }
}

/// Returns the processor time that a process has used so far, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    let mut times = fields.split_ascii_whitespace().skip(11).map(|field| field.parse::<u64>().unwrap());
    times.next().unwrap() + times.next().unwrap()
}
