//! System calls for which no safe interface exists.

#![expect(
    unsafe_code,
    reason = "the test programs need a fork without exec, ignored signals and closed descriptors"
)]

use std::process::{Command, Stdio};

pub(crate) const KILL: i32 = libc::SIGKILL;
pub(crate) const TERM: i32 = libc::SIGTERM;
pub(crate) const STOP: i32 = libc::SIGSTOP;
pub(crate) const ABORT: i32 = libc::SIGABRT;
const LAST: i32 = 64;

/// Forks this process and registers the child in the census file. Returns true in the child.
pub(crate) fn fork() -> bool {
    // SAFETY: no test program has a second thread, so the child may do everything that its parent may do.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork");
    if pid == 0 {
        crate::census::enrol();
    }
    pid == 0
}

/// Forks this process without registering the child. Returns true in the child.
pub(crate) fn fork_unseen() -> bool {
    // SAFETY: no test program has a second thread, so the child may do everything that its parent may do.
    unsafe { libc::fork() == 0 }
}

/// Reaps an ended child, if there is one.
pub(crate) fn reap() {
    // SAFETY: the pointer is null, so the kernel writes nothing.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
}

pub(crate) fn ignore(signal: i32) {
    // SAFETY: the call only sets the signal to be ignored, and installs no handler.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Restores the default action of a signal.
pub(crate) fn unignore(signal: i32) {
    // SAFETY: the call only restores the default action, and installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores all signals that can be ignored.
pub(crate) fn ignore_all() {
    for signal in 1..=LAST {
        ignore(signal);
    }
}

/// Sends a signal to a process. The pid 0 means the process group of this program.
pub(crate) fn kill(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).unwrap();
    // SAFETY: the call only sends a signal, to the process group of this program or to a process of the same attempt.
    unsafe { libc::kill(pid, signal) };
}

pub(crate) fn kill_itself(signal: i32) {
    kill(std::process::id(), signal);
}

pub(crate) fn parent() -> u32 {
    // SAFETY: the call only returns a number.
    u32::try_from(unsafe { libc::getppid() }).unwrap()
}

/// Allows the parent to trace this process, and stops this process.
pub(crate) fn be_traced() {
    // SAFETY: this request uses no memory.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
    kill_itself(STOP);
}

pub(crate) fn close(descriptor: i32) {
    // SAFETY: a test program does not use the descriptor afterwards.
    unsafe { libc::close(descriptor) };
}

/// Makes this process the leader of a new session, unless it already leads one.
pub(crate) fn leave_session() {
    let _leads_one_already = rustix::process::setsid();
}

/// Returns a command that runs another test program and discards its output.
pub(crate) fn creature(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
