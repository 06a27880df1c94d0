//! System calls for which no safe library function exists in the required form.
#![expect(unsafe_code, reason = "signal masks, wait4 and signals by number have no safe form")]

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
};

/// Result of a request to the kernel for an ended child.
pub(super) enum ReapResult {
    NoChildren,
    /// There are children, but none of them has ended.
    Nothing,
    /// A child that has ended and was reaped.
    Reaped(ReapedChild),
}

pub(super) struct ReapedChild {
    pub(super) pid: u32,
    pub(super) status: i32,
    pub(super) user_ms: u64,
    pub(super) system_ms: u64,
    pub(super) max_rss_kb: u64,
}

/// Blocks all signals except those that report faults of this program. Returns a descriptor that becomes readable when
/// a child ends, or when the shim is resumed after another process stopped it.
///
/// A blocked signal stays pending and has no effect. Therefore other processes can end a shim only with SIGKILL.
pub(super) fn block_signals() -> io::Result<OwnedFd> {
    // SAFETY: the sets are plain memory that sigfillset and sigemptyset initialize before it is read, and the
    // descriptor is checked before ownership is taken.
    unsafe {
        let mut all: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut all);
        // Do not block the signals that report a fault of the shim itself: a fault must end the shim instead of
        // repeating forever.
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT] {
            libc::sigdelset(&raw mut all, signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
        // Restore the default action of SIGCHLD. If the shim had inherited SIGCHLD as ignored, the kernel would discard
        // the exit status of children.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut reported: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut reported);
        libc::sigaddset(&raw mut reported, libc::SIGCHLD);
        libc::sigaddset(&raw mut reported, libc::SIGCONT);
        let fd = libc::signalfd(-1, &raw const reported, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Reads the pending signals. Returns true if SIGCONT is among them, which means that this program may have been
/// stopped until now.
pub(super) fn take_signals(signals: &OwnedFd) -> bool {
    // One read is enough: SIGCHLD and SIGCONT are each pending at most once, even if several children have ended.
    let mut bytes = [0; 2 * mem::size_of::<libc::signalfd_siginfo>()];
    let length = rustix::io::read(signals, &mut bytes).unwrap_or(0);
    let reported =
        bytes.get(..length).unwrap_or_default().chunks_exact(mem::size_of::<libc::signalfd_siginfo>());
    let numbers = reported.filter_map(|each| each.first_chunk()).map(|number| u32::from_ne_bytes(*number));
    numbers.into_iter().any(|number| number == libc::SIGCONT.cast_unsigned())
}

/// Closes all descriptors that the starter left open, except the three standard ones.
pub(super) fn close_inherited() {
    // SAFETY: this function is called before the program owns a descriptor above 2.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32);
    }
}

/// Replaces standard input by the null device. The descriptor that was standard input stays open only as a copy under
/// another number.
pub(super) fn null_stdin(null: &OwnedFd) -> io::Result<()> {
    // SAFETY: both descriptors are open, and no value in this program owns descriptor 0.
    let done = unsafe { libc::dup2(null.as_raw_fd(), 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal to a pid. The pid must belong to a child that was not reaped yet, because the kernel reuses the pids
/// of reaped children.
pub(super) fn kill_child(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: kill takes two numbers.
    let done = unsafe { libc::kill(pid, signal) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal to the process that a pidfd refers to.
pub(super) fn signal_through(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open during the call, and no siginfo is passed.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, ptr::null::<libc::siginfo_t>(), 0_u32)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal to the process group that the process of the pidfd leads, even if that process has ended. Signal 0
/// only checks whether the group has members.
///
/// The kernel signals all members at one moment, so that no process can be forked in between. A later group with the
/// same id is never signaled. Kernels before Linux 6.9 return an error.
pub(super) fn signal_group_through(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    const PROCESS_GROUP: u32 = 1 << 2;
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open during the call, and no siginfo is passed.
    let done = unsafe {
        let no_details = ptr::null::<libc::siginfo_t>();
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_details, PROCESS_GROUP)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reaps one ended child, and returns the resources that the child used.
pub(super) fn wait_any() -> ReapResult {
    let mut status = 0;
    // SAFETY: rusage consists of plain numbers, for which zero is valid, and both pointers point to live memory.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        let pid = libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage);
        (pid, usage)
    };
    match u32::try_from(pid) {
        Ok(0) => ReapResult::Nothing,
        Ok(pid) => ReapResult::Reaped(ReapedChild {
            pid,
            status,
            user_ms: millis(usage.ru_utime),
            system_ms: millis(usage.ru_stime),
            max_rss_kb: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        }),
        Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) => ReapResult::NoChildren,
        Err(_) => ReapResult::Nothing,
    }
}

fn millis(time: libc::timeval) -> u64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000);
    whole.saturating_add(u64::try_from(time.tv_usec / 1_000).unwrap_or(0))
}
