//! Tests of nodes that share a PostgreSQL database.

use crate::bench::{Bench, Said};
use crate::postgres_process::Server;
use rustix::process::Signal;

#[test]
fn nodes_on_postgresql_use_one_key_which_is_not_removed_while_it_is_needed() {
    let server = Server::start();
    let top = Bench::new();
    let key = top.top().join("cluster.key");
    let member = |bench: Bench, name: &str| {
        let (url, key) = (server.url(), key.display());
        bench.with_config(&format!("store = \"{url}\"\ncluster_key = \"{key}\"\nnode.id = \"{name}\"\n"))
    };
    let (a, b) = (member(Bench::new(), "a"), member(Bench::new(), "b"));
    let said = a.run(&["run", "-b", "--delay", "1h", "--", "true"]);
    assert_eq!(said.code, 0, "{said:?}");
    let waits = said.out.trim().to_owned();
    let old = a.run(&["store", "key"]).out.split(' ').next().unwrap().to_owned();

    // A node with another key does not start, and creates no key.
    let other = top.top().join("other.key");
    let with_other_key =
        |words: &[&str]| Said::of(b.command(words).env("LONGHAUL_CLUSTER_KEY", &other).output().unwrap());
    let refused = with_other_key(&["status"]);
    assert!(refused.code == 6 && refused.err.contains("uses none"), "{refused:?}");
    assert!(refused.err.contains(&old) && !other.exists(), "{refused:?}");
    assert!(with_other_key(&["doctor"]).out.contains("copy the key file from another node"));

    // The store records the older key as the key of its nodes until a manager starts with the new key.
    assert_eq!(a.run(&["store", "key", "--rotate"]).code, 0);
    let refused = a.run(&["store", "key", "--retire", "--yes"]);
    assert!(refused.code == 2 && refused.err.contains("[key_in_use]"), "{refused:?}");
    a.end_manager(Signal::TERM);
    assert_eq!(a.run(&["status"]).code, 0);

    // The older key signed a process that has not ended.
    let refused = a.run(&["store", "key", "--retire"]);
    assert!(refused.code == 2 && refused.err.contains("1 process has not ended"), "{refused:?}");
    let doctor = b.run(&["doctor"]);
    assert!(doctor.out.contains(&format!("{old} is still needed")), "{doctor:?}");
    assert_eq!(a.run(&["cancel", &waits]).code, 0);
    assert_eq!(a.run(&["store", "key", "--retire"]).code, 0);
    a.end_manager(Signal::TERM);
    let doctor = b.run(&["doctor"]);
    assert!(doctor.out.contains("postgres.cluster_key"), "{doctor:?}");
    assert!(
        doctor.out.contains("fsync or full_page_writes is off"),
        "the test server does not sync: {doctor:?}"
    );
}
