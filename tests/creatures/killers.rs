//! Programs that kill processes, including themselves.

use crate::census::{await_word, linger, ready};
use crate::system::{ABORT, KILL, STOP, kill, kill_itself, parent, unignore};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};

/// Kills itself with the signal of the given number.
pub(crate) fn dies_by(words: &[String]) -> i32 {
    let signal = words.concat().parse().unwrap();
    // The Rust runtime handles stack overflows.
    unignore(signal);
    kill_itself(signal);
    // The signal does not kill.
    98
}

/// Ends with an exit code, or by a signal if the number is negative, when the test allows it. If asked, makes itself
/// undumpable, so that only root can inspect it.
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

/// Crashes with a core dump, if core dumps are enabled.
pub(crate) fn dumps_core(_: &[String]) -> i32 {
    let hard = rustix::process::getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: hard, maximum: hard }).unwrap();
    kill_itself(ABORT);
    98
}

/// Kills its process group.
pub(crate) fn kills_group(_: &[String]) -> i32 {
    kill(0, KILL);
    98
}

/// Kills its shim, then exits with the given code when the test allows it.
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

/// Stops its shim with SIGSTOP.
pub(crate) fn stops_supervisor(_: &[String]) -> i32 {
    await_word("go");
    kill(parent(), STOP);
    ready();
    linger()
}

/// Requests a death signal for the death of its parent, and kills its parent.
pub(crate) fn ties_itself_to_its_parent(_: &[String]) -> i32 {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    ready();
    await_word("go");
    kill(parent(), KILL);
    linger()
}
