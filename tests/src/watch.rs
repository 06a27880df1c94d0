//! Interception of system calls: a test determines the result of each call of a program and of its descendants.
//!
//! The kernel stops each call that changes a file or a process and asks the test (seccomp user notification). The test
//! lets the call pass, fails it, writes half of the data, delays it, or kills the process. In contrast to ptrace, one
//! counter covers all processes and threads. A short write is also real: half of the bytes are in the file.

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

/// Decision about a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The call is executed.
    Pass,
    /// The call is not executed, and fails with this error number.
    Fail(i32),
    /// The call is not executed, and its process is killed.
    Kill,
    /// If the call is a write, half of its bytes are written. Any other call is executed.
    Short,
    /// The call is executed after this delay.
    Delay(Duration),
}

/// Starts a program and intercepts its system calls. `judge` decides about each call that changes a file or a process,
/// including the calls of descendants that are programs of this workspace.
///
/// `judge` runs in its own thread until the last of these processes has exited.
///
/// # Errors
/// If the program cannot be started, or if the kernel does not support interception.
pub fn spawn_watched(
    command: &mut Command,
    judge: impl FnMut(&Call) -> Fate + Send + 'static,
) -> io::Result<Child> {
    let (filter, listener) = Filter::new()?;
    filter.install_into(command);
    thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&listener, judge))?;
    command.spawn()
}

/// Returns true if system calls can be intercepted on this machine.
///
/// # Panics
/// If they cannot be intercepted and the environment variable `CI` is `true`.
#[must_use]
pub fn may_watch() -> bool {
    let tried = spawn_watched(&mut Command::new("true"), |_| Fate::Pass);
    let is_so = tried.is_ok_and(|mut child| child.wait().is_ok_and(|status| status.success()));
    let may_miss = std::env::var_os("CI").is_none_or(|ci| ci != "true");
    assert!(is_so || may_miss, "the kernel does not let tests intercept system calls");
    if !is_so {
        eprintln!("ignored: the kernel does not let tests intercept system calls");
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
            // Wait in another thread, so that the delay blocks only this call.
            let (held, id) = (Arc::clone(held), asked.id);
            thread::spawn(move || {
                thread::sleep(span);
                filter::go_on(&held, id);
            });
        }
    }
}
