//! Test programs that ignore stop requests.

#![expect(clippy::zombie_processes, reason = "a program that leaves children behind does not wait for them")]

use crate::census::{again_and_again, await_word, beside, linger, ready};
use crate::system::{KILL, STOP, TERM, creature, ignore, ignore_all, kill_itself};
use std::time::Duration;

/// Test program that ends when it is requested to stop, and never reads its input.
pub(crate) fn obeys(_: &[String]) -> i32 {
    ready();
    linger()
}

pub(crate) fn ignores_term(_: &[String]) -> i32 {
    ignore(TERM);
    obeys(&[])
}

/// Test program that ignores all signals that can be ignored.
pub(crate) fn ignores_all(_: &[String]) -> i32 {
    ignore_all();
    obeys(&[])
}

/// Test program that stops itself with SIGSTOP right after its start.
pub(crate) fn stops_itself(_: &[String]) -> i32 {
    ready();
    kill_itself(STOP);
    linger()
}

/// Test program that writes an increasing number to a file, as do its two children.
pub(crate) fn counts(words: &[String]) -> i32 {
    if words.is_empty() {
        for child in ["1", "2"] {
            creature("counts").arg(child).spawn().unwrap();
        }
        ready();
    }
    let own = beside(&format!("count{}", words.concat()));
    let mut count = 0_u64;
    again_and_again(|| {
        count += 1;
        std::fs::write(&own, count.to_string()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    })
}

/// Test program that constantly uses processor time.
pub(crate) fn burns(_: &[String]) -> i32 {
    ready();
    again_and_again(std::hint::spin_loop)
}

/// Test program that exits with the given code when the test allows it. The code -1 means that it kills itself with
/// SIGKILL.
pub(crate) fn comes_and_goes(words: &[String]) -> i32 {
    ready();
    await_word("go");
    let code = words.first().unwrap().parse().unwrap();
    if code < 0 {
        kill_itself(KILL);
    }
    code
}

/// Test program that runs `longhaul`. The words are the path of `longhaul` and its arguments.
pub(crate) fn nested(words: &[String]) -> i32 {
    let (program, words) = words.split_first().unwrap();
    let status = std::process::Command::new(program).args(words).status().unwrap();
    assert!(status.success(), "the inner launch failed");
    obeys(&[])
}
