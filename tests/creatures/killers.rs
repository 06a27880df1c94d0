//! Those that kill, themselves among others.

use crate::census::{await_word, linger, ready};
use crate::system::{ABORT, KILL, STOP, kill, kill_itself, parent, unignore};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};

/// Dies by the signal of that number.
pub(crate) fn dies_by(words: &[String]) -> i32 {
    let signal = words.concat().parse().unwrap();
    // The runtime of the language watches for overflows of the stack.
    unignore(signal);
    kill_itself(signal);
    // One that does not kill.
    98
}

/// Ends by a code, or by a signal where that is negative, as soon as it may; where it is told so, nobody but root may look
/// into it.
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

/// Dies and leaves a core, if anybody keeps one.
pub(crate) fn dumps_core(_: &[String]) -> i32 {
    let hard = rustix::process::getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: hard, maximum: hard }).unwrap();
    kill_itself(ABORT);
    98
}

/// Kills everybody in its group.
pub(crate) fn kills_group(_: &[String]) -> i32 {
    kill(0, KILL);
    98
}

/// Kills who supervises it; then ends with the code that it is given as soon as it may.
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

/// Halts who supervises it.
pub(crate) fn stops_supervisor(_: &[String]) -> i32 {
    await_word("go");
    kill(parent(), STOP);
    ready();
    linger()
}

/// Dies with its parent, which it kills.
pub(crate) fn ties_itself_to_its_parent(_: &[String]) -> i32 {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    ready();
    await_word("go");
    kill(parent(), KILL);
    linger()
}
