//! System calls under watch: what a program and all that it starts ask of the kernel is decided by a test.
//!
//! The kernel holds each call that changes something and asks here first (seccomp's user notification): it may go on, fail,
//! write half of what it was given, wait, or be the last one of its process. In contrast to tracing, one count goes
//! through all processes and threads, and a short write is a true one: half of the bytes are in the file.

mod call;
mod filter;

pub use call::{Call, CallKind, Program};

use filter::Filter;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is made as if nobody had looked.
    Pass,
    /// It is not made, and fails with this number of an error.
    Fail(i32),
    /// It is not made, and its process is gone.
    Kill,
    /// Of a write that can be cut short, half is done; any other call is made.
    Short,
    /// It is made after this time.
    Delay(Duration),
}

/// Starts a program whose calls are decided by `judge`, as are those of whatever it starts; only of our own programs, and
/// only calls that change something, are asked about.
///
/// It judges in a thread of its own until the last of these processes is gone.
///
/// # Errors
/// If the program cannot be started, or the kernel does not let anyone watch.
pub fn spawn_watched(
    command: &mut Command,
    judge: impl FnMut(&Call) -> Fate + Send + 'static,
) -> io::Result<Child> {
    let (filter, listener) = Filter::new()?;
    filter.install_into(command);
    thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&listener, judge))?;
    command.spawn()
}

/// Whether programs can be watched on this machine; where it has to be so, nobody goes on without.
///
/// # Panics
/// Where it is not so and `CI` is `true`.
#[must_use]
pub fn may_watch() -> bool {
    let tried = spawn_watched(&mut Command::new("true"), |_| Fate::Pass);
    let is_so = tried.is_ok_and(|mut child| child.wait().is_ok_and(|status| status.success()));
    let may_miss = std::env::var_os("CI").is_none_or(|ci| ci != "true");
    assert!(is_so || may_miss, "the kernel lets nobody watch system calls here");
    if !is_so {
        eprintln!("ignored: the kernel lets nobody watch system calls here");
    }
    is_so
}

fn watch(listener: &filter::Listener, mut judge: impl FnMut(&Call) -> Fate) {
    let Some(held) = listener.accept() else { return };
    let held = Arc::new(held);
    while let Some(asked) = filter::receive(&held) {
        let fate = match Call::read(&asked) {
            Some(call) => judge(&call),
            None => Fate::Pass,
        };
        answer(&held, &asked, fate);
    }
}

fn answer(held: &Arc<OwnedFd>, asked: &filter::Asked, fate: Fate) {
    match fate {
        Fate::Pass => filter::go_on(held, asked.id),
        Fate::Fail(errno) => filter::fail(held, asked.id, errno),
        Fate::Kill => call::kill_asker(asked.thread),
        Fate::Short => match call::write_half(asked) {
            Some(written) => filter::give(held, asked.id, written),
            None => filter::go_on(held, asked.id),
        },
        Fate::Delay(span) => {
            // Nobody else waits for it.
            let (held, id) = (Arc::clone(held), asked.id);
            thread::spawn(move || {
                thread::sleep(span);
                filter::go_on(&held, id);
            });
        }
    }
}
