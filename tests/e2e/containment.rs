//! Tests of process trees: cancel, pause and resume. Requirements C4, H3 and H4.

use longhaul_tests::{Home, descendants, is_alive, ticks, until};
use std::time::{Duration, Instant};

/// A script that ignores TERM and starts three grandchildren in their own sessions, which ignore TERM too.
const STUBBORN: &str = "trap '' TERM; for i in 1 2 3; do setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & done; \
                        while :; do sleep 1; done";
/// A script that starts three grandchildren in their own sessions, which use processor time.
const BURNERS: &str = "for i in 1 2 3; do setsid sh -c 'while :; do :; done' & done; wait";

#[test]
fn cancel_ends_a_tree_that_ignores_term_and_left_its_session_and_says_how_it_ended() {
    let home = Home::new();
    let id = home.ok(&["run", "-b", "--grace", "1s", "--", "sh", "-c", STUBBORN]);
    let pid = home.pid(&id);
    let tree = until("the whole tree has started", || {
        let tree = descendants(home.shim(&id));
        (tree.len() >= 8).then_some(tree)
    });
    let begin = Instant::now();
    let answer = home.run(&["cancel", &id]);
    assert!(begin.elapsed() < Duration::from_secs(3), "grace + 1 s: {:?}", begin.elapsed());
    assert_eq!(answer.code, 0);
    assert!(answer.err.contains("KILL"), "the answer names the signal: {answer:?}");
    assert!(!is_alive(pid));
    assert_eq!(tree.into_iter().filter(|pid| is_alive(*pid)).collect::<Vec<_>>(), Vec::<u32>::new());
    assert_eq!(home.status(&id), "cancelled");
}

#[test]
fn a_paused_tree_uses_no_processor_time_and_continues_after_resume() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", BURNERS]);
    let shim = home.shim(&id);
    let tree = until("three burn", || {
        let burning: Vec<u32> = descendants(shim).into_iter().filter(|pid| ticks(*pid) > 2).collect();
        (burning.len() >= 3).then_some(burning)
    });
    let all = || tree.iter().map(|pid| ticks(*pid)).collect::<Vec<_>>();
    assert_eq!(home.run(&["pause", &id]).code, 0);
    assert_eq!(home.status(&id), "paused");
    let before = all();
    std::thread::sleep(Duration::from_secs(1)); // The promise is about one second.
    assert_eq!(all(), before, "no tick within a second after pause");
    assert_eq!(home.run(&["resume", &id]).code, 0);
    until("they use processor time again", || (all() != before).then_some(()));
    assert_eq!(home.run(&["cancel", "--force", &id]).code, 0);
    assert!(tree.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn a_paused_tree_can_be_cancelled() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", BURNERS]);
    let shim = home.shim(&id);
    let tree = until("three burn", || {
        let burning: Vec<u32> = descendants(shim).into_iter().filter(|pid| ticks(*pid) > 2).collect();
        (burning.len() >= 3).then_some(burning)
    });
    assert_eq!(home.run(&["pause", &id]).code, 0);
    assert_eq!(home.run(&["cancel", &id]).code, 0);
    assert_eq!(home.status(&id), "cancelled");
    assert!(tree.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn pause_of_an_ended_process_is_refused_with_its_status() {
    let home = Home::new();
    let id = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    let answer = home.run(&["pause", &id]);
    assert_eq!(answer.code, 4);
    assert!(answer.err.contains("completed") && answer.err.contains("pause"), "{answer:?}");
}
