//! Tests of commands that must not outlive the lease of their node.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use longhaul_shim::{
    AttemptPhase, LaunchOrder, LeaseNote, ProgramEnd, ShimHello, ShimMessage, StopPlan, StopReason, StopStep,
};

use crate::harness::{Attempt, Directory, is_alive, number_in, program, script, until};

/// A node that has a lease note, and whose commands must not outlive the lease.
struct Node {
    directory: Directory,
}

impl Node {
    fn new() -> Self {
        Self { directory: Directory::new() }
    }

    fn note(&self) -> PathBuf {
        self.directory.path().join("lease")
    }

    /// Writes the lease note of a manager whose lease expires after the duration `lasts`.
    fn beat(&self, lasts: Duration) {
        self.write("boot", boot_ms() + u64::try_from(lasts.as_millis()).unwrap());
    }

    fn write(&self, boot_id: &str, until: u64) {
        let note = LeaseNote { boot_id: boot_id.to_owned(), until };
        note.write(&LeaseNote::open(&self.note()).unwrap()).unwrap();
    }

    fn launch(&self, text: &str) -> LaunchOrder {
        let mut launch = script(text);
        launch.lease = Some(self.note());
        launch
    }
}

fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap() * 1_000 + u64::try_from(now.tv_nsec).unwrap() / 1_000_000
}

fn up(attempt: &mut Attempt) -> u32 {
    let (identity, _) = attempt.peer.started();
    attempt.await_output("up");
    identity.pid
}

#[test]
fn command_ends_with_a_lease_that_is_not_renewed() {
    let node = Node::new();
    node.beat(Duration::from_millis(700));
    let begin = Instant::now();
    let mut attempt =
        Attempt::launch(&node.launch("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"));
    up(&mut attempt);
    let record = attempt.peer.settled();
    let took = begin.elapsed();
    assert_eq!(record.ending, ProgramEnd::Exited { code: 9 });
    assert_eq!((record.stopped, record.escalated), (Some(StopReason::Limit), Some(libc::SIGTERM)));
    assert!(took >= Duration::from_millis(600), "{took:?}");
    attempt.finish();
}

#[test]
fn command_continues_while_the_lease_is_renewed() {
    let node = Node::new();
    node.beat(Duration::from_millis(1_000));
    let mut attempt = Attempt::launch(&node.launch("echo up; exec sleep 60"));
    let pid = up(&mut attempt);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2_500) {
        node.beat(Duration::from_millis(1_000));
        assert!(is_alive(pid), "stopped after {:?}", begin.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(attempt.peer.settled().stopped, Some(StopReason::Limit));
    attempt.finish();
}

#[test]
fn command_without_a_lease_continues_without_a_manager() {
    let node = Node::new();
    node.beat(Duration::from_millis(300));
    let mut attempt = Attempt::launch(&node.launch("echo up; sleep 1.5"));
    node.write("boot", LeaseNote::NO_EXPIRY);
    up(&mut attempt);
    let record = attempt.peer.settled();
    assert_eq!((record.ending, record.stopped), (ProgramEnd::Exited { code: 0 }, None));
    attempt.finish();
}

#[test]
fn command_that_ignores_the_end_of_the_lease_is_killed_after_five_seconds() {
    let node = Node::new();
    node.beat(Duration::from_millis(500));
    let begin = Instant::now();
    let far = node.directory.path().join("far");
    let mut launch = node.launch(&format!(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' & \
         echo up; while :; do sleep 1; done",
        far.display()
    ));
    launch.stop_plan = StopPlan { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 600_000 }] };
    let mut attempt = Attempt::launch(&launch);
    let pid = up(&mut attempt);
    let far = number_in(&far);
    let record = attempt.peer.settled();
    let took = begin.elapsed();
    assert_eq!(record.ending, ProgramEnd::Signaled { signal: libc::SIGKILL, core: false });
    assert_eq!((record.stopped, record.escalated), (Some(StopReason::Limit), Some(libc::SIGKILL)));
    assert!(took >= Duration::from_millis(5_400) && took < Duration::from_millis(8_000), "{took:?}");
    assert!(!is_alive(pid) && !is_alive(far));
    attempt.finish();
}

#[test]
fn held_work_ends_with_the_lease_too() {
    let node = Node::new();
    node.beat(Duration::from_millis(1_500));
    let mut attempt = Attempt::launch(&node.launch("echo up; exec sleep 60"));
    up(&mut attempt);
    attempt.peer.tell(&longhaul_shim::ShimRequest::Pause);
    attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Paused { missed: 0, .. }).then_some(()));
    assert_eq!(attempt.peer.settled().stopped, Some(StopReason::Limit));
    attempt.finish();
}

/// Function that damages the lease note of a node.
type Spoil = fn(&Node, &Path);

#[test]
fn a_note_that_says_nothing_counts_as_a_lease_that_is_over() {
    let ways: [(&str, Spoil); 4] = [
        ("the lease file is gone", |_, note| std::fs::remove_file(note).unwrap()),
        ("the lease file is incomplete", |_, note| {
            std::fs::write(note, "longhaul-lease 1\nboot_id=boot\nuntil").unwrap()
        }),
        ("the lease is of another boot", |node, _| node.write("another", LeaseNote::NO_EXPIRY)),
        ("the file is not a lease", |_, note| {
            std::fs::remove_file(note).unwrap();
            std::fs::create_dir(note).unwrap();
        }),
    ];
    for (what, spoil) in ways {
        let node = Node::new();
        node.beat(Duration::from_millis(1_000));
        let mut attempt = Attempt::launch(&node.launch("echo up; exec sleep 60"));
        up(&mut attempt);
        spoil(&node, &node.note());
        assert_eq!(attempt.peer.settled().stopped, Some(StopReason::Limit), "{what}");
        attempt.finish();
    }
}

#[test]
fn a_note_is_given_a_second_to_appear() {
    let node = Node::new();
    let mut attempt = Attempt::launch(&node.launch("echo up; sleep 2"));
    up(&mut attempt);
    // The expired note may be that of an earlier manager, so it does not prove that the current lease has expired.
    node.write("boot", 1);
    std::thread::sleep(Duration::from_millis(200));
    node.beat(Duration::from_secs(60));
    assert_eq!(attempt.peer.settled().stopped, None);
    attempt.finish();
}

#[test]
fn work_that_names_no_lease_outlives_it() {
    let node = Node::new();
    node.write("boot", 1);
    let mut attempt = Attempt::launch(&script("echo up; sleep 1.5"));
    up(&mut attempt);
    assert_eq!(attempt.peer.settled().stopped, None);
    attempt.finish();
}

/// Creates a shim executable for which the boot-time clock is `seconds` ahead of awake time, as if the machine had been
/// suspended for that time. Returns `None` if time namespaces are not available.
fn asleep_before(directory: &Directory, seconds: u64) -> Option<PathBuf> {
    let try_out = Command::new("/usr/bin/unshare").args(["--time", "--boottime", "5", "true"]).output();
    if !try_out.is_ok_and(|tried| tried.status.success()) {
        eprintln!("ignored: no namespace of time can be made here");
        return None;
    }
    let path = directory.path().join("shim");
    let shim = program();
    let text =
        format!("#!/bin/sh\nexec /usr/bin/unshare --time --boottime {seconds} '{}' \"$@\"\n", shim.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    Some(path)
}

#[test]
fn lease_expiry_counts_the_time_of_suspension() {
    const ASLEEP: u64 = 100_000;
    let node = Node::new();
    let Some(shim) = asleep_before(&node.directory, ASLEEP) else { return };
    // This lease would last longer than a day by the clock that stops while the machine is suspended.
    node.write("boot", boot_ms() + ASLEEP * 1_000 + 1_000);
    let launch = node.launch("echo up; exec sleep 60");
    let mut attempt = Attempt::launch_by(&shim, &launch);
    up(&mut attempt);
    assert_eq!(attempt.peer.settled().stopped, Some(StopReason::Limit));
    attempt.finish();
}

#[test]
fn shim_says_that_it_minds_leases() {
    let mut attempt = Attempt::launch(&script("exec sleep 60"));
    attempt.peer.started();
    let mut other = attempt.connect(ShimHello::default());
    let can = other.hear_until(|notice| match notice {
        ShimMessage::Hello(welcome) => Some(welcome.capabilities),
        _ => None,
    });
    assert!(can.iter().any(|each| each == "lease"), "{can:?}");
    let status = other.status();
    assert_eq!(status.phase, AttemptPhase::Running);
    other.tell(&longhaul_shim::ShimRequest::Stop(longhaul_shim::ShimStopRequest::new(StopReason::User)));
    until("the command ends", || (!is_alive(status.pid)).then_some(()));
    attempt.finish();
}
