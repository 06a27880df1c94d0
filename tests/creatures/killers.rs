//! Test programs that kill processes, including themselves.

use crate::census::{await_word, linger, ready};
use crate::system::{ABORT, KILL, STOP, kill, kill_itself, parent, unignore};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};

/// Test program that sends itself the signal with the given number.
pub(crate) fn dies_by(words: &[String]) -> i32 {
    let signal = words.concat().parse().unwrap();
    // Restore the default action, because the Rust runtime handles the signals of a stack overflow.
    unignore(signal);
    kill_itself(signal);
    // This exit code shows that the signal did not kill the program.
    98
}

/// Test program that waits until the test allows it to end. It exits with the given code, or kills itself with a signal
/// if the number is negative. On request, it makes itself undumpable, so that only root can inspect it.
pub(crate) fn ends(words: &[String]) -> i32 {
    let [kind, end] = words else { return 98 };
    if kind == "undumpable" {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap();
    }
    ready();
    await_word("go");
    let end: i32 = end.parse().unwrap();
    if end < 0 {
        unignore(-end);
        kill_itself(-end);
    }
    end
}

/// Test program that crashes and dumps core, if core dumps are enabled.
pub(crate) fn dumps_core(_: &[String]) -> i32 {
    let hard = rustix::process::getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: hard, maximum: hard }).unwrap();
    kill_itself(ABORT);
    98
}

/// Test program that kills its own process group.
pub(crate) fn kills_group(_: &[String]) -> i32 {
    kill(0, KILL);
    98
}

/// Test program that kills its shim, and then exits with the given code when the test allows it.
pub(crate) fn kills_supervisor(words: &[String]) -> i32 {
    kill(parent(), KILL);
    ready();
    match words.first() {
        Some(code) => {
            await_word("go");
            code.parse().unwrap()
        }
        None => linger(),
    }
}

/// Test program that stops its shim with SIGSTOP.
pub(crate) fn stops_supervisor(_: &[String]) -> i32 {
    await_word("go");
    kill(parent(), STOP);
    ready();
    linger()
}

/// Test program that requests to be killed when its parent dies, and then kills its parent.
pub(crate) fn ties_itself_to_its_parent(_: &[String]) -> i32 {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    ready();
    await_word("go");
    kill(parent(), KILL);
    linger()
}
