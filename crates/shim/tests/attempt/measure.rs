//! Benchmarks of the shim; run with `--release --run-ignored only --no-capture`.

use std::{fs, time::Instant};

use longhaul_shim::{ProgramEnd, ShimRequest, ShimStopRequest, StopReason};

use crate::harness::{Attempt, script};

#[test]
#[ignore = "measures"]
fn launch_to_started() {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begin = Instant::now();
        let mut launch = script("");
        launch.program = "/bin/true".into();
        launch.arguments = vec!["true".into()];
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.started();
        times.push(begin.elapsed().as_micros());
        attempt.peer.settled();
        attempt.finish();
    }
    times.sort_unstable();
    eprintln!("start of the shim to started: p50 {} us, p99 {} us", times[100], times[198]);
}

#[test]
#[ignore = "measures"]
fn memory_of_a_running_shim() {
    let mut attempt = Attempt::launch(&script("echo up; exec sleep 60"));
    attempt.peer.started();
    attempt.await_output("up");
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", attempt.shim.id())).unwrap();
    for line in rollup.lines().filter(|line| line.starts_with("Private") || line.starts_with("Anonymous")) {
        eprintln!("{line}");
    }
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    attempt.peer.settled();
    attempt.finish();
}

#[test]
#[ignore = "measures"]
fn one_gibibyte_of_output() {
    for text in
        ["exec head -c 1G /dev/zero", "exec dd if=/dev/zero bs=1M count=1024 status=none", "yes | head -c 1G"]
    {
        let begin = Instant::now();
        let mut attempt = Attempt::launch(&script(text));
        let record = attempt.peer.settled();
        assert_eq!((record.ending, record.output_bytes), (ProgramEnd::Exited { code: 0 }, 1 << 30));
        let index = fs::metadata(attempt.path().join("output.idx")).unwrap().len();
        let work = record.utime_ms + record.stime_ms;
        eprintln!("{text}: {:?}, {work} ms CPU time of the command, {index} bytes of index", begin.elapsed());
        attempt.finish();
    }
}
