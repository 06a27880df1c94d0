//! Creates the child process. If the attempt has a cgroup, the child is created inside it.
#![expect(unsafe_code, reason = "fork and clone3 have no safe form")]

use std::{
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Process in which a fork returned: the parent or the child.
pub(super) enum ForkSide {
    Child,
    Parent { pid: u32, pidfd: OwnedFd },
}

/// Forks this process. If a cgroup is given, the child is a member of the cgroup from the start.
///
/// # Safety
/// The program must have only one thread. The child may only do what is allowed between fork and exec: system calls,
/// without memory allocation.
pub(super) unsafe fn fork(cgroup: Option<BorrowedFd<'_>>) -> io::Result<ForkSide> {
    // SAFETY: the caller guarantees the requirements of this function.
    match unsafe { clone(cgroup) } {
        // Some containers forbid clone3 and report it as an unknown system call. Use a plain fork in such a container.
        Err(error) if cgroup.is_none() && is_forbidden(&error) => unsafe { plain_fork() },
        done => done,
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

unsafe fn clone(cgroup: Option<BorrowedFd<'_>>) -> io::Result<ForkSide> {
    let mut pidfd: i32 = -1;
    // SAFETY: clone_args consists of plain numbers, for which zero is valid.
    let mut arguments: libc::clone_args = unsafe { mem::zeroed() };
    arguments.flags = u64::from(libc::CLONE_PIDFD.cast_unsigned());
    arguments.pidfd = (&raw mut pidfd) as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(cgroup) = cgroup {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without CLONE_VM and without a stack this call is a fork; the arguments live until it returns.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, mem::size_of::<libc::clone_args>()) };
    match u32::try_from(pid) {
        Ok(0) => Ok(ForkSide::Child),
        // SAFETY: the kernel stored a new descriptor in `pidfd`, and no other value owns the descriptor.
        Ok(pid) => Ok(ForkSide::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

unsafe fn plain_fork() -> io::Result<ForkSide> {
    // SAFETY: the caller guarantees the requirements of a fork.
    let pid = unsafe { libc::fork() };
    match u32::try_from(pid) {
        Ok(0) => Ok(ForkSide::Child),
        Ok(number) => {
            let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::Other)?;
            let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
            Ok(ForkSide::Parent { pid: number, pidfd })
        }
        Err(_) => Err(io::Error::last_os_error()),
    }
}
