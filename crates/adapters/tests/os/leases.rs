//! Tests of commands that must not outlive the lease of their node, even if the manager is no longer running.

use crate::bench::{Bench, key, state};
use longhaul_domain::{ExitStatus, StopCause, Timestamp};
use longhaul_ports::{Adopted, Clock, LeaseEnd, Spawner};
use std::time::{Duration, Instant};

impl Bench {
    async fn prolong(&self, lasts: Duration) {
        self.spawner.set_lease_end(LeaseEnd::At(self.now().plus(lasts))).await;
    }

    fn now(&self) -> Timestamp {
        self.clock().now()
    }

    async fn start_leased(&self, number: u128) -> u32 {
        let mut order = self.order(key(number), "exec sleep 1000");
        order.leased = true;
        self.spawner.start(order).await.unwrap();
        self.spawned().await
    }
}

fn is_gone(pid: u32) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

#[tokio::test]
async fn a_leased_command_ends_with_the_lease_if_its_manager_was_killed() {
    let mut bench = Bench::new();
    bench.prolong(Duration::from_secs(2)).await;
    let begin = Instant::now();
    let pid = bench.start_leased(1).await;
    bench.start(key(2), "exec sleep 1000").await;
    let other = bench.spawned().await;
    // After this drop, no spawner watches the command or renews the lease.
    bench.next_life();
    while !is_gone(pid) {
        assert!(begin.elapsed() < Duration::from_secs(7), "the command ran much longer than its lease");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begin.elapsed() >= Duration::from_millis(1_900), "{:?}", begin.elapsed());
    assert!(!is_gone(other), "only a leased command ends with the lease");
    // Wait for the exit record, because the shim writes it only after it has reaped the command.
    let found = loop {
        match bench.adopt(key(1)).await.unwrap() {
            Adopted::Over(found) => break found,
            Adopted::Alive(found) => assert!(begin.elapsed() < Duration::from_secs(7), "{found:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let longhaul_domain::Observation::Exited { exit, .. } = found else { panic!("{found:?}") };
    assert_eq!(exit.stopped, Some(StopCause::Limit));
    assert_eq!(exit.status, ExitStatus::Signal { number: 15, core: false });
}

#[tokio::test]
async fn a_leased_command_continues_under_a_next_manager_that_starts_in_time() {
    let mut bench = Bench::new();
    bench.prolong(Duration::from_secs(2)).await;
    let pid = bench.start_leased(1).await;
    bench.next_life();
    bench.prolong(Duration::from_secs(60)).await;
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(!is_gone(pid));
    assert!(matches!(bench.adopt(key(1)).await, Ok(Adopted::Alive(_))));
}

#[tokio::test]
async fn a_manager_that_shut_down_cleanly_leaves_its_commands_running() {
    let mut bench = Bench::new();
    bench.prolong(Duration::from_secs(1)).await;
    let pid = bench.start_leased(1).await;
    bench.spawner.set_lease_end(LeaseEnd::Never).await;
    bench.next_life();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!is_gone(pid));
}

#[tokio::test]
async fn where_leases_never_end_nothing_is_written() {
    let bench = Bench::new();
    bench.spawner.set_lease_end(LeaseEnd::Never).await;
    assert!(!bench.path().join("lease").exists());
    bench.prolong(Duration::from_secs(1)).await;
    let note = longhaul_shim::LeaseNote::read(&bench.path().join("lease")).unwrap();
    assert!(note.until < longhaul_shim::LeaseNote::NO_EXPIRY);
}
