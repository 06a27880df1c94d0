//! Tests of the file to which the command writes its progress.

use std::{fs, os::unix::fs::PermissionsExt as _};

use longhaul_shim::{LaunchOrder, PROGRESS, ProgramEnd, ResourceLimit};

use crate::harness::{Attempt, kill, script, until};

fn reporting(text: &str) -> LaunchOrder {
    LaunchOrder { progress: true, ..script(text) }
}

#[test]
fn command_appends_its_progress_to_a_file_of_its_own() {
    let mut attempt = Attempt::launch(&reporting(
        "echo fd $LONGHAUL_PROGRESS_FD; echo '{\"percent\":40}' >&$LONGHAUL_PROGRESS_FD; sh -c 'echo child >&'$LONGHAUL_PROGRESS_FD",
    ));
    assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 0 }, "{}", attempt.log());
    let log = attempt.log();
    let number: u32 = log.trim().strip_prefix("fd ").unwrap().parse().unwrap();
    assert!((3..=9).contains(&number), "{number}");
    let path = attempt.path().join(PROGRESS);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"percent\":40}\nchild\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    attempt.finish();
}

#[test]
fn command_has_no_other_descriptor_and_without_a_request_none_at_all() {
    // Do not use a pipeline, because a shell has more descriptors for a moment while it starts a pipeline.
    let list = "ls /proc/$$/fd; echo; env";
    for (launch, count, variable) in [(reporting(list), 4, true), (script(list), 3, false)] {
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.settled();
        let log = attempt.log();
        assert_eq!(log.lines().take_while(|line| !line.is_empty()).count(), count, "{log}");
        assert_eq!(log.contains("LONGHAUL_PROGRESS_FD="), variable, "{log}");
        assert_eq!(attempt.path().join(PROGRESS).exists(), variable);
        attempt.finish();
    }
}

#[test]
fn descriptor_of_the_caller_is_not_passed_on() {
    let mut launch = reporting("env | grep -c LONGHAUL_PROGRESS_FD");
    launch.environment.0.push("LONGHAUL_PROGRESS_FD=77".into());
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.settled();
    assert_eq!(attempt.log(), "1\n");
    attempt.finish();
}

#[test]
fn command_goes_on_writing_when_the_file_was_emptied_and_when_the_shim_is_dead() {
    let mut attempt = Attempt::launch(&reporting(
        "while :; do echo tick >&$LONGHAUL_PROGRESS_FD || echo failed > failed; sleep 0.01; done",
    ));
    let (identity, _) = attempt.peer.started();
    let path = attempt.path().join(PROGRESS);
    let written = || until("progress", || fs::read_to_string(&path).ok().filter(|text| text.len() > 20));
    written();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let text = written();
    assert!(text.starts_with("tick\n"), "the command appends after the new end: {text:?}");
    attempt.shim.kill().unwrap();
    attempt.shim.wait().unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    written();
    assert!(crate::harness::is_alive(identity.pid));
    kill(identity.pid);
}

#[test]
fn progress_does_not_exceed_the_limit_on_the_size_of_files() {
    const FILE_SIZE: u32 = 1;
    let mut launch = reporting(
        "i=0; while [ $i -lt 30 ]; do
            head -c 15000 /dev/zero | tr '\\0' x >&$LONGHAUL_PROGRESS_FD || exit 9; sleep 0.1; i=$((i+1));
        done",
    );
    launch.limits.push(ResourceLimit { resource: FILE_SIZE, soft: 400_000, hard: 400_000 });
    let mut attempt = Attempt::launch(&launch);
    assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 0 }, "{}", attempt.log());
    attempt.finish();
}
