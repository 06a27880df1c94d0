//! Tests of the environment in which the command starts: descriptors, variables, signals, limits, files.

use std::{fs, os::unix::fs::PermissionsExt as _};

use longhaul_shim::{ProgramEnd, ResourceLimit, StdinSource};

use crate::harness::{Attempt, Directory, script, until};

fn output_of(text: &str) -> String {
    let mut attempt = Attempt::launch(&script(text));
    let record = attempt.peer.settled();
    assert_eq!(record.ending, ProgramEnd::Exited { code: 0 }, "{}", attempt.log());
    let log = attempt.log();
    attempt.finish();
    log
}

#[test]
fn command_inherits_exactly_three_descriptors() {
    let log = output_of("ls -1 /proc/$$/fd");
    assert_eq!(log, "0\n1\n2\n");
}

#[test]
fn lock_does_not_leak_into_the_work() {
    let mut attempt = Attempt::launch(&script("echo up; exec sleep 60"));
    let (identity, _) = attempt.peer.started();
    attempt.await_output("up");
    assert!(attempt.files().is_locked().unwrap());
    attempt.shim.kill().unwrap();
    attempt.shim.wait().unwrap();
    assert!(crate::harness::is_alive(identity.pid));
    assert!(!attempt.files().is_locked().unwrap());
    crate::harness::kill(identity.pid);
}

#[test]
fn work_gets_only_the_environment_and_the_directory_of_the_launch() {
    let mut launch = script("env; pwd");
    launch.environment.0 = vec!["PATH=/usr/bin:/bin".into(), "A=b=c d".into()];
    launch.directory = "/usr".into();
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.settled();
    let log = attempt.log();
    let mut lines: Vec<_> = log.lines().filter(|line| !line.starts_with("_=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["/usr", "A=b=c d", "PATH=/usr/bin:/bin", "PWD=/usr"]);
    attempt.finish();
}

#[test]
fn signals_are_neither_blocked_nor_ignored() {
    let log = output_of("grep -E '^Sig(Blk|Ign)' /proc/self/status");
    let values: Vec<_> = log.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(values, ["0000000000000000", "0000000000000000"]);
}

#[test]
fn work_leads_a_session_and_group_of_its_own_without_a_terminal() {
    let mut attempt = Attempt::launch(&script("cut -d' ' -f1,5,6,7 /proc/$$/stat"));
    let (identity, _) = attempt.peer.started();
    attempt.peer.settled();
    let pid = identity.pid;
    assert_eq!(attempt.log(), format!("{pid} {pid} {pid} 0\n"));
    attempt.finish();
}

#[test]
fn input_is_empty_or_the_file_that_was_asked_for() {
    assert_eq!(output_of("cat; echo end"), "end\n");
    let directory = Directory::new();
    let path = directory.path().join("input");
    fs::write(&path, "hello\n").unwrap();
    let mut launch = script("cat");
    launch.stdin = StdinSource::File(path);
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.settled();
    assert_eq!(attempt.log(), "hello\n");
    attempt.finish();
}

#[test]
fn resource_limits_are_set() {
    let mut launch = script("ulimit -n; ulimit -Hn");
    let no_file = 7;
    launch.limits.push(ResourceLimit { resource: no_file, soft: 64, hard: 128 });
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.settled();
    assert_eq!(attempt.log(), "64\n128\n");
    attempt.finish();
}

#[test]
fn only_the_owner_can_access_the_files() {
    let mut attempt = Attempt::launch(&script("umask; exec sleep 60"));
    attempt.peer.started();
    attempt.await_output("\n");
    let socket = attempt.path().join("ctl");
    until("the socket is there", || socket.exists().then_some(()));
    for name in ["ctl", "identity", "output.log", "output.idx"] {
        let mode = fs::metadata(attempt.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    // The shim sets a strict umask for its own files only. The command must keep the umask of the starter.
    assert_ne!(attempt.log().trim(), "0177");
    attempt.shim.kill().unwrap();
    attempt.shim.wait().unwrap();
    crate::harness::kill(attempt.files().identity().unwrap().unwrap().pid);
}

#[test]
fn directory_with_a_very_long_path_works() {
    let directory = Directory::new();
    let deep = directory.path().join("d".repeat(200)).join("e".repeat(200));
    fs::create_dir_all(&deep).unwrap();
    let (mut shim, socket) = longhaul_shim::start(&crate::harness::program(), &deep).unwrap();
    let mut peer = crate::harness::Peer::new(socket);
    peer.tell(&longhaul_shim::ShimRequest::Launch(Box::new(script("exit 6"))));
    peer.started();
    assert_eq!(peer.settled().ending, ProgramEnd::Exited { code: 6 });
    peer.tell(&longhaul_shim::ShimRequest::Acknowledge);
    shim.wait().unwrap();
}

#[test]
fn symbolic_link_at_the_path_of_a_file_is_not_followed() {
    let planted = |name: &str| {
        let attempt = Attempt::idle();
        let target = attempt.path().join("target");
        std::os::unix::fs::symlink(&target, attempt.path().join(name)).unwrap();
        attempt.peer.tell(&longhaul_shim::ShimRequest::Launch(Box::new(script("echo out"))));
        (attempt, target)
    };
    let (mut attempt, target) = planted("output.log");
    attempt.shim.wait().unwrap();
    assert!(!target.exists());
    assert_eq!(attempt.files().identity().unwrap(), None);
    // The shim creates the index file only when there is an entry to write.
    let (mut attempt, target) = planted("output.idx");
    let record = attempt.peer.settled();
    assert!(!target.exists());
    assert!(record.write_errors > 0, "{record:?}");
    assert_eq!(attempt.log(), "out\n");
    attempt.finish();
}

#[test]
fn shim_shrugs_off_the_signals_that_end_programs() {
    let mut attempt = Attempt::launch(&script("echo up; sleep 0.3; exit 2"));
    attempt.peer.started();
    let pid = attempt.shim.id().to_string();
    for signal in ["TERM", "INT", "HUP", "QUIT", "USR1", "ALRM", "PIPE", "TSTP"] {
        let sent = std::process::Command::new("/bin/kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.unwrap().success());
    }
    assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 2 });
    attempt.finish();
}
