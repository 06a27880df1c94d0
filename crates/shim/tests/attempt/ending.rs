//! Tests of how attempts end and of their exit records.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    process::Command,
    time::Instant,
};

use longhaul_shim::{
    ATTEMPT_ARGUMENT, AttemptDirectory, Leftovers, ProgramEnd, ResourceLimit, SHIM_VARIABLE, ShimMessage,
    ShimRequest, ShimStopRequest, SpawnStage, StdinSource, StopReason, StopStep,
};

use crate::harness::{
    Attempt, Directory, Peer, is_alive, kill, number_in, program, script, signal, state, until,
};

#[test]
fn exit_code_is_reported_and_recorded() {
    let mut attempt = Attempt::launch(&script("echo out; exit 37"));
    let (identity, _) = attempt.peer.started();
    let reported = attempt.peer.settled();
    assert_eq!(reported.ending, ProgramEnd::Exited { code: 37 });
    assert_eq!(attempt.files().identity().unwrap(), Some(identity));
    assert_eq!(attempt.files().exit_record().unwrap(), Some(reported.clone()));
    assert_eq!(reported.output_bytes, 4);
    assert!(!reported.output_open && !reported.undated);
    assert!(reported.ended_at >= 1_000_000);
    assert_eq!(attempt.log(), "out\n");
    attempt.finish();
}

#[test]
fn end_that_a_stopped_shim_finds_when_it_continues_has_no_exact_time() {
    let mut attempt = Attempt::launch(&script("exec sleep 1000"));
    let (identity, _) = attempt.peer.started();
    signal("-STOP", identity.shim_pid);
    until("the shim is halted", || (state(identity.shim_pid) == Some('T')).then_some(()));
    kill(identity.pid);
    until("the program has ended", || (state(identity.pid) == Some('Z')).then_some(()));
    signal("-CONT", identity.shim_pid);
    let reported = attempt.peer.settled();
    assert_eq!((reported.ending, reported.undated), (ProgramEnd::Signaled { signal: 9, core: false }, true));
    attempt.finish();
}

#[test]
fn identity_names_process_boot_and_both_starts() {
    let mut attempt = Attempt::launch(&script("exec sleep 60"));
    let (identity, _) = attempt.peer.started();
    assert_eq!((identity.process.as_str(), identity.attempt), ("0b8e1e6a", 1));
    assert_eq!(identity.boot_id, "boot");
    assert_eq!(identity.shim_pid, attempt.shim.id());
    let stat = fs::read_to_string(format!("/proc/{}/stat", identity.pid)).unwrap();
    let ticks: u64 = stat.split_ascii_whitespace().nth(21).unwrap().parse().unwrap();
    assert_eq!(identity.start_time, ticks);
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    attempt.peer.settled();
    attempt.finish();
}

#[test]
fn bytes_that_the_command_wrote_into_the_reserved_space_are_not_part_of_the_record() {
    let mut attempt = Attempt::idle();
    let room = attempt.path().join("exit.tmp");
    let vandal = script(&format!("head -c 9000 /dev/zero >> {}; exit 7", room.display()));
    attempt.peer.tell(&ShimRequest::Launch(Box::new(vandal)));
    let record = attempt.peer.settled();
    assert_eq!(record.ending, ProgramEnd::Exited { code: 7 });
    assert_eq!(attempt.files().exit_record().unwrap(), Some(record));
    attempt.finish();
}

#[test]
fn shim_does_not_wait_to_write_a_final_record_that_a_peer_has_stored() {
    let mut attempt = Attempt::idle();
    let (blocked, release) = (attempt.path().join("exit.tmp/full"), attempt.path().join("go"));
    // The leftover process ignores the stop signal until the file `release` exists. Therefore the final record is
    // written only after this test creates the file.
    let mut launch = script(&format!(
        "trap '' TERM; {{ while [ ! -e {} ]; do sleep 0.01; done; }} & exit 3",
        release.display()
    ));
    launch.stop_plan.steps = vec![StopStep { signal: 15, wait_ms: 60_000 }];
    attempt.peer.tell(&ShimRequest::Launch(Box::new(launch)));
    let first = attempt.peer.exited();
    assert_eq!((first.ending, first.settled), (ProgramEnd::Exited { code: 3 }, false));
    fs::create_dir_all(&blocked).unwrap();
    fs::write(&release, "").unwrap();
    let last = attempt.peer.settled();
    attempt.peer.tell(&ShimRequest::Acknowledge);
    until("the shim exits", || attempt.shim.try_wait().unwrap());
    assert_eq!(last.ending, first.ending);
    assert_eq!(attempt.files().exit_record().unwrap(), Some(first));
}

#[test]
fn every_signal_that_ends_a_command_is_recorded() {
    for signal in [1, 2, 3, 6, 9, 10, 13, 14, 15, 24, 31, 34, 64] {
        let mut attempt = Attempt::launch(&script(&format!("ulimit -c 0; kill -{signal} $$; sleep 60")));
        let record = attempt.peer.settled();
        assert_eq!(record.ending, ProgramEnd::Signaled { signal, core: false }, "signal {signal}");
        assert_eq!(record.stopped, None);
        attempt.finish();
    }
}

#[test]
fn failed_start_names_stage_and_error() {
    let program = |path: &str| {
        let mut launch = script("true");
        launch.program = path.into();
        launch
    };
    let directory = |path: &str| {
        let mut launch = script("true");
        launch.directory = path.into();
        launch
    };
    let mut without_stdin = script("true");
    without_stdin.stdin = StdinSource::File("/nowhere".into());
    let here = Directory::new();
    let unwritten = here.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &unwritten, rustix::fs::Mode::RUSR).unwrap();
    let mut without_writer = script("true");
    without_writer.stdin = StdinSource::File(unwritten);
    let mut limited = script("true");
    limited.limits.push(ResourceLimit { resource: 4_000, soft: 1, hard: 1 });
    let mut too_long = script("true");
    too_long.arguments.push("x".repeat(200_000).into());
    let cases = [
        (program("/nowhere/at/all"), SpawnStage::Exec, libc::ENOENT),
        (program("/etc"), SpawnStage::Exec, libc::EACCES),
        (directory("/nowhere"), SpawnStage::Directory, libc::ENOENT),
        (directory("/etc/hostname"), SpawnStage::Directory, libc::ENOTDIR),
        (without_stdin, SpawnStage::Stdin, libc::ENOENT),
        (without_writer, SpawnStage::Stdin, libc::ENXIO),
        (limited, SpawnStage::Limit, libc::EINVAL),
        (too_long, SpawnStage::Exec, libc::E2BIG),
    ];
    for (launch, stage, errno) in cases {
        let mut attempt = Attempt::launch(&launch);
        let record = attempt.peer.settled();
        assert_eq!(record.ending, ProgramEnd::SpawnFailed { stage, errno });
        assert_eq!(attempt.files().exit_record().unwrap(), Some(record));
        attempt.finish();
    }
}

#[test]
fn file_that_is_no_program_fails_to_execute() {
    let attempt = Attempt::idle();
    let path = attempt.path().join("text");
    fs::write(&path, "no program\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).unwrap();
    let mut launch = script("true");
    launch.program = path;
    let mut other = Attempt::launch(&launch);
    let record = other.peer.settled();
    assert_eq!(record.ending, ProgramEnd::SpawnFailed { stage: SpawnStage::Exec, errno: libc::ENOEXEC });
    other.finish();
}

#[test]
fn command_does_not_run_if_the_peer_leaves_before_the_launch() {
    let mut attempt = Attempt::idle();
    drop(attempt.peer);
    until("the shim exits", || attempt.shim.try_wait().unwrap());
    let names: Vec<_> =
        fs::read_dir(attempt.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "left behind: {names:?}");
}

#[test]
fn command_does_not_run_if_the_shim_is_killed_before_the_identity_is_written() {
    // A program that ran must have an identity file, no matter at which moment the shim was killed.
    for delay in 0..40_u32 {
        let directory = crate::harness::Directory::new();
        let mark = directory.path().join("ran");
        let mut attempt = Attempt::launch(&script(&format!("echo x > {}; exec sleep 30", mark.display())));
        let begin = Instant::now();
        while begin.elapsed().as_micros() < u128::from(delay) * 150 {
            std::hint::spin_loop();
        }
        let _gone_already = attempt.shim.kill();
        attempt.shim.wait().unwrap();
        let identity = attempt.files().identity().unwrap();
        let Some(identity) = identity else {
            // The death of the shim closes the gate, so the child must exit without running the script.
            std::thread::sleep(std::time::Duration::from_millis(30));
            assert!(!mark.exists(), "ran without an identity");
            continue;
        };
        if is_alive(identity.pid) {
            until("the child passed or left the gate", || {
                (mark.exists() || !is_alive(identity.pid)).then_some(())
            });
        }
        if is_alive(identity.pid) {
            kill(identity.pid);
        }
    }
}

#[test]
fn command_never_runs_if_it_is_stopped_before_the_gate_opens() {
    let attempt = Attempt::idle();
    let mark = attempt.path().join("ran");
    let launch = script(&format!("echo x > {}", mark.display()));
    let mut bytes = ShimRequest::Launch(Box::new(launch)).encode();
    bytes.extend(ShimRequest::Stop(ShimStopRequest::new(StopReason::User)).encode());
    assert_eq!(longhaul_shim::send(&attempt.peer.socket, &bytes, &[]).unwrap(), bytes.len());
    let mut attempt = attempt;
    let record = attempt.peer.settled();
    assert_eq!(record.ending, ProgramEnd::NeverRan);
    assert_eq!(record.stopped, Some(StopReason::User));
    assert!(!mark.exists());
    attempt.finish();
}

/// The failpoint lies between the write of the identity and the opening of the gate. Release builds have no failpoints.
#[cfg(debug_assertions)]
#[test]
fn child_whose_shim_is_killed_before_the_gate_opens_runs_nothing() {
    let directory = Directory::new();
    let mark = directory.path().join("ran");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut shim = Command::new(program())
        .arg0("longhaul-shim")
        .arg(ATTEMPT_ARGUMENT)
        .arg(directory.path())
        .env_clear()
        .env(SHIM_VARIABLE, "1")
        .env("LONGHAUL_FAILPOINTS", "shim.identity.durable=kill")
        .env("LONGHAUL_FAILPOINTS_SEEN", directory.path().join("seen"))
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let launch = script(&format!("echo x > {}", mark.display()));
    Peer::new(ours).tell(&ShimRequest::Launch(Box::new(launch)));
    assert_eq!(shim.wait().unwrap().signal(), Some(9));
    let identity = AttemptDirectory::open(directory.path()).unwrap().identity().unwrap().unwrap();
    until("the child is gone", || (!is_alive(identity.pid)).then_some(()));
    assert!(!mark.exists());
}

#[test]
fn second_shim_in_the_same_directory_is_refused() {
    let mut attempt = Attempt::launch(&script("sleep 60"));
    attempt.peer.started();
    let (mut shim, socket) = longhaul_shim::start(&crate::harness::program(), attempt.path()).unwrap();
    let mut peer = crate::harness::Peer::new(socket);
    let refused = peer.hear_until(|notice| match notice {
        ShimMessage::Refused { why, .. } => Some(why),
        _ => None,
    });
    assert!(refused.contains("another shim"), "{refused}");
    assert_eq!(shim.wait().unwrap().code(), Some(3));
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    attempt.peer.settled();
    let directory = attempt.finish();
    let (mut shim, socket) = longhaul_shim::start(&crate::harness::program(), directory.path()).unwrap();
    let mut peer = crate::harness::Peer::new(socket);
    assert!(matches!(peer.hear(), Some(ShimMessage::Refused { .. })), "an ended attempt was started again");
    shim.wait().unwrap();
}

#[test]
fn exit_is_reported_immediately_although_leftovers_hold_the_output() {
    let directory = crate::harness::Directory::new();
    let pid_file = directory.path().join("pid");
    let mut attempt =
        Attempt::launch(&script(&format!("setsid sleep 60 & echo $! > {}; exit 4", pid_file.display())));
    attempt.peer.started();
    let begin = Instant::now();
    let first = attempt.peer.exited();
    assert!(begin.elapsed().as_millis() < 1_000, "reported after {:?}", begin.elapsed());
    assert_eq!(first.ending, ProgramEnd::Exited { code: 4 });
    assert!(first.leftovers >= 1 && first.output_open && first.sweeping && !first.settled, "{first:?}");
    let settled = attempt.peer.settled();
    assert_eq!(settled.ending, first.ending);
    assert_eq!(settled.stopped, None);
    assert!(!settled.output_open && !settled.sweeping);
    assert!(!is_alive(number_in(&pid_file)));
    assert_eq!(attempt.files().exit_record().unwrap(), Some(settled));
    attempt.finish();
}

#[test]
fn end_of_the_cleanup_is_reported_although_another_program_holds_the_output() {
    let directory = crate::harness::Directory::new();
    let (pid_file, release) = (directory.path().join("pid"), directory.path().join("go"));
    let mut attempt = Attempt::launch(&script(&format!(
        "setsid sleep 60 & echo $! > {}; while [ ! -e {} ]; do sleep 0.01; done; exit 4",
        pid_file.display(),
        release.display()
    )));
    attempt.peer.started();
    let pid = until("the leftover runs", || {
        pid_file.metadata().is_ok_and(|file| file.len() > 0).then(|| number_in(&pid_file))
    });
    let stranger = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    fs::write(&release, "").unwrap();
    assert!(attempt.peer.exited().sweeping);
    let swept = attempt.peer.exited();
    assert!(!swept.sweeping && swept.output_open && !swept.settled, "{swept:?}");
    assert!(!is_alive(pid));
    let kept = attempt.files().exit_record().unwrap().unwrap();
    assert!(kept.sweeping || kept.settled, "the record on disk is replaced once: {kept:?}");
    let settled = attempt.peer.settled();
    assert!(settled.output_open && !settled.sweeping, "{settled:?}");
    drop(stranger);
    attempt.finish();
}

#[test]
fn kept_leftovers_continue_and_their_output_is_no_longer_read() {
    let directory = crate::harness::Directory::new();
    let pid_file = directory.path().join("pid");
    let mut launch = script(&format!("setsid sleep 60 & echo $! > {}; exit 0", pid_file.display()));
    launch.leftovers = Leftovers::Keep;
    let mut attempt = Attempt::launch(&launch);
    let record = attempt.peer.settled();
    assert!(record.output_open && record.leftovers >= 1 && !record.sweeping, "{record:?}");
    attempt.finish();
    let pid = number_in(&pid_file);
    assert!(is_alive(pid));
    kill(pid);
}

#[test]
fn processor_time_and_memory_are_recorded() {
    let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let mut attempt = Attempt::launch(&script(work));
    let record = attempt.peer.settled();
    assert!(record.utime_ms > 0 && record.max_rss_kb > 100 && record.run_ms > 0, "{record:?}");
    attempt.finish();
}

#[test]
fn shim_waits_for_disk_space_to_write_the_exit_record() {
    // A directory that is not empty takes the place of the temporary file. The shim can then neither create nor remove
    // the file.
    let mut blocked = Attempt::launch(&script("sleep 0.3; exit 5"));
    blocked.peer.started();
    fs::remove_file(blocked.path().join("exit.tmp")).unwrap();
    fs::create_dir_all(blocked.path().join("exit.tmp").join("in")).unwrap();
    let durable = blocked.peer.hear_until(|notice| match notice {
        ShimMessage::Exited { record, durable } => {
            assert_eq!(record.ending, ProgramEnd::Exited { code: 5 });
            Some(durable)
        }
        _ => None,
    });
    assert!(!durable);
    assert!(blocked.files().is_locked().unwrap());
    blocked.peer.tell(&ShimRequest::Acknowledge);
    fs::remove_dir_all(blocked.path().join("exit.tmp")).unwrap();
    let record = blocked.peer.settled();
    assert_eq!(blocked.files().exit_record().unwrap(), Some(record));
    blocked.finish();
}

#[test]
fn shim_leaves_when_its_directory_was_removed() {
    let directory = crate::harness::Directory::new();
    let release = directory.path().join("go");
    let mut attempt = Attempt::launch(&script(&format!(
        "while [ ! -e {} ]; do sleep 0.01; done; exit 6",
        release.display()
    )));
    attempt.peer.started();
    fs::remove_dir_all(attempt.path()).unwrap();
    fs::write(&release, "").unwrap();
    let durable = attempt.peer.hear_until(|notice| match notice {
        ShimMessage::Exited { durable, .. } => Some(durable),
        _ => None,
    });
    assert!(!durable);
    until("the shim exits", || attempt.shim.try_wait().unwrap());
}
