//! Tests how often an idle manager wakes up the CPU.

use crate::bench::{Bench, until};
use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Maximum number of wake-ups in one second. When a second has no more wake-ups than this, the manager counts as idle.
const QUIET: u64 = 5;
const WINDOW: Duration = Duration::from_secs(10);
/// Maximum number of wake-ups while the test measures. It corresponds to the guaranteed two wake-ups per second; the
/// periodic checks cause far fewer.
const MOST: u64 = 20;

/// Number of voluntary context switches, for each thread of a process.
struct Naps(BTreeMap<String, u64>);

impl Naps {
    fn of(pid: i32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let naps = threads.filter_map(|thread| {
            // The thread may have exited after the directory was listed.
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            Some((thread.file_name().into_string().ok()?, count.trim().parse().ok()?))
        });
        Self(naps.collect())
    }

    fn since(&self, before: &Self) -> u64 {
        let fresh = |(thread, count): (&String, &u64)| count - before.0.get(thread).unwrap_or(&0);
        self.0.iter().map(fresh).sum()
    }
}

#[test]
fn manager_of_twenty_sleepers_sleeps_too() {
    let bench = Bench::new().with_config("[limits]\nmax_parallel = 20\n");
    let sleepers: Vec<String> = (0..20).map(|_| bench.launch("exec sleep 600")).collect();
    for id in &sleepers {
        until("it runs", || bench.show(id)["pid"].is_u64());
    }
    let manager = bench.manager().unwrap().as_raw_nonzero().get();
    until("the work after the launch is done", || {
        let before = Naps::of(manager);
        sleep(Duration::from_secs(1));
        Naps::of(manager).since(&before) <= QUIET
    });
    let before = Naps::of(manager);
    sleep(WINDOW);
    let naps = Naps::of(manager).since(&before);
    assert!(naps <= MOST, "{naps} wake-ups in {WINDOW:?}");
}
