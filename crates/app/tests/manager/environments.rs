//! Test of damaged entries in the environment store.

use crate::bench::{Bench, until};
use rustix::process::Signal;
use std::fs;

#[test]
fn start_with_a_damaged_environment_fails_at_once_and_says_so() {
    let bench = Bench::new();
    let id = bench.launch("exit 3");
    assert_eq!(bench.run(&["wait", &id]).code, 3);
    // The manager caches environments in memory, so it is restarted.
    bench.end_manager(Signal::TERM);
    for entry in fs::read_dir(bench.state().join("environments")).unwrap().flatten() {
        let mut bytes = fs::read(entry.path()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(entry.path(), bytes).unwrap();
    }
    let damaged = bench.run(&["restart", "-b", &id]).out.trim().to_owned();
    until("the launch has failed", || bench.show(&damaged)["status"] == "failed");
    let waited = bench.run(&["wait", &damaged]);
    assert_eq!(waited.code, 125, "{waited:?}");
    for words in [&["status", &damaged][..], &["inspect", &damaged], &["wait", &damaged]] {
        let said = bench.run(words);
        let reported = format!("{}{}", said.out, said.err);
        for part in ["captured environment", "cannot be used"] {
            assert!(reported.contains(part), "{words:?}: {part} in {reported}");
        }
    }
    let fresh = bench.launch("exit 4");
    assert_eq!(bench.run(&["wait", &fresh]).code, 4, "the environment was stored again");
    assert_eq!(bench.run(&["restart", &damaged]).code, 3);
}
