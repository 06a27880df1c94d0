//! Refers to processes through pidfds. A pidfd never refers to another process, even if the pid is reused.
#![expect(unsafe_code, reason = "asking a pidfd how its process ended has no safe form")]

use super::procfs;
use longhaul_shim::ProcessStat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal, waitid,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::Receiver;

/// Time limit and intervals for polling a wait status. The kernel reveals the status only after another program has
/// reaped the process, and some init programs reap orphans only every second or two.
const STATUS_TIMEOUT: Duration = Duration::from_secs(4);
const STATUS_POLL_INTERVAL: Duration = Duration::from_millis(2);
const MAX_STATUS_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How a process ended, as reported by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndStatus {
    /// The process exited with this code.
    Code(i32),
    /// A signal ended the process.
    Signal {
        /// Signal number.
        number: i32,
        /// True if the process wrote a core dump.
        core: bool,
    },
}

/// Opens a process by its recorded pid and start time. Returns `None` if this process no longer exists.
pub(super) fn open(pid: u32, start_time: u64) -> io::Result<Option<OwnedFd>> {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let fd = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Check the start time after the pidfd is open: from then on, the pidfd cannot refer to another process.
    let same = ProcessStat::read(pid).is_some_and(|stat| stat.start_time == start_time);
    Ok(same.then_some(fd))
}

/// Returns true if a process has ended, whether or not it was reaped.
pub(super) fn has_ended(pid: u32, start_time: u64) -> bool {
    ProcessStat::read(pid).is_none_or(|stat| stat.start_time != start_time || stat.is_dead())
}

/// Returns true if the process behind a pidfd has ended. Works without permission to inspect the process.
pub(super) fn is_over(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Returns true if a process has ended or can no longer continue, because it is exiting or has received `SIGKILL`.
pub(super) fn is_ending(pid: u32, start_time: u64) -> bool {
    let is_it = |stat: &ProcessStat| stat.start_time == start_time;
    ProcessStat::read(pid).filter(is_it).is_none_or(|stat| stat.is_ending()) || procfs::was_killed(pid)
}

/// Opens a child that was not yet reaped. Returns `None` if it was already reaped.
pub(super) fn open_child(pid: u32) -> Option<OwnedFd> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(number, PidfdFlags::empty()).ok()
}

/// Returns a watch that reports when a descriptor is readable. A pidfd becomes readable when its process has ended.
///
/// [`Receiver`] is a type for pipes, but only its readiness is used. It therefore works with any descriptor that can be
/// polled.
pub(super) fn watch(fd: impl AsFd) -> io::Result<Receiver> {
    Receiver::from_owned_fd_unchecked(fd.as_fd().try_clone_to_owned()?)
}

/// Waits until the process has ended.
pub(super) async fn ended(fd: OwnedFd) -> io::Result<()> {
    Receiver::from_owned_fd_unchecked(fd)?.readable().await
}

/// Sends a signal.
///
/// # Errors
/// `InvalidInput` for a signal number without a name, or the error of the system call.
pub(super) fn send(fd: impl AsFd, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_send_signal(fd, signal)?)
}

/// Reaps an ended child without blocking.
pub(super) fn reap(fd: impl AsFd) -> Option<EndStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    waitid(WaitId::PidFd(fd.as_fd()), options).ok().flatten().and_then(|status| EndStatus::of(&status))
}

/// Blocks until a child has ended and reaps it.
pub(super) fn wait(fd: impl AsFd) -> Option<EndStatus> {
    loop {
        match waitid(WaitId::PidFd(fd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            reported => return reported.ok().flatten().and_then(|status| EndStatus::of(&status)),
        }
    }
}

/// Returns how a process ended, whether or not it is a child of this program. Returns `None` if the kernel does not
/// reveal it.
pub(super) async fn status(fd: impl AsFd, pid: u32, start_time: u64) -> Option<EndStatus> {
    if let Some(status) = reap(&fd) {
        return Some(status);
    }
    let begin = Instant::now();
    let mut pause = STATUS_POLL_INTERVAL;
    loop {
        // Linux 6.15 and newer report the status of a reaped process to every program. On older kernels, `/proc` may
        // contain it.
        let reported = exit_status(&fd);
        if let Some(raw) = reported.unwrap_or(None).or_else(|| ProcessStat::wait_status(pid, start_time)) {
            return Some(EndStatus::of_raw(raw));
        }
        if reported.is_err() || begin.elapsed() >= STATUS_TIMEOUT {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(MAX_STATUS_POLL_INTERVAL);
    }
}

impl EndStatus {
    fn of(status: &WaitIdStatus) -> Option<Self> {
        let signal = |number| Self::Signal { number, core: status.dumped() };
        status.exit_status().map(Self::Code).or_else(|| status.terminating_signal().map(signal))
    }

    const fn of_raw(raw: i32) -> Self {
        match raw & 0x7f {
            0 => Self::Code((raw >> 8) & 0xff),
            number => Self::Signal { number, core: raw & 0x80 != 0 },
        }
    }
}

/// First version of the kernel's `struct pidfd_info`.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const GET_INFO: Opcode = opcode::read_write::<PidfdInfo>(0xff, 11);
const INFO_EXIT: u64 = 1 << 3;

/// Returns the wait status of a reaped process, or `None` if it was not yet reaped.
///
/// # Errors
/// If the kernel is too old for this request.
fn exit_status(fd: impl AsFd) -> rustix::io::Result<Option<i32>> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the value has the layout and size that this request defines, and it outlives the call.
    unsafe { ioctl(fd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) }?;
    Ok((info.mask & INFO_EXIT != 0).then_some(info.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Gid, Uid, geteuid};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;

    /// User id of an unprivileged user that owns no files.
    const USER: u32 = 47_017;

    #[tokio::test]
    async fn the_status_of_a_child_is_returned_when_it_has_ended() {
        for (script, expected) in
            [("exit 7", EndStatus::Code(7)), ("kill -9 $$", EndStatus::Signal { number: 9, core: false })]
        {
            let mut child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let fd = open_child(child.id()).unwrap();
            let start = ProcessStat::read(child.id()).unwrap().start_time;
            ended(fd.try_clone().unwrap()).await.unwrap();
            let shown = ProcessStat::wait_status(child.id(), start);
            assert_eq!(shown.map(EndStatus::of_raw), Some(expected));
            assert_eq!(status(&fd, child.id(), start).await, Some(expected));
            assert!(child.wait().is_err(), "something of it was left");
        }
    }

    #[test]
    fn a_killed_process_is_ending_from_the_moment_of_the_signal() {
        for _ in 0..200 {
            let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
            let (pid, start) = (child.id(), ProcessStat::read(child.id()).unwrap().start_time);
            assert!(!is_ending(pid, start));
            child.kill().unwrap();
            assert!(is_ending(pid, start));
            child.wait().unwrap();
            assert!(is_ending(pid, start));
        }
    }

    #[tokio::test]
    async fn the_kernel_reports_the_status_of_a_process_that_another_process_reaped() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 9"]).spawn().unwrap();
        let fd = open_child(child.id()).unwrap();
        child.wait().unwrap();
        match exit_status(&fd) {
            Ok(raw) => assert_eq!(raw.map(EndStatus::of_raw), Some(EndStatus::Code(9))),
            Err(error) => eprintln!("SKIPPED: this kernel does not tell: {error}"),
        }
    }

    #[test]
    fn exit_status_that_the_kernel_hides_does_not_count_as_success() {
        let is_root = geteuid().is_root();
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let unreadable = directory.path().join("sh");
        fs::copy("/bin/sh", &unreadable).unwrap();
        fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o111)).unwrap();
        for (program, may_be_hidden) in [(Path::new("/bin/sh"), false), (&unreadable, true)] {
            let mut command = Command::new(program);
            if is_root {
                command.uid(USER).gid(USER);
            }
            let mut child = command.args(["-c", "exit 7"]).spawn().unwrap();
            let number = child.id();
            waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                .unwrap();
            let start_time = ProcessStat::read(number).unwrap().start_time;
            let asked_as_user = move || {
                if is_root {
                    let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
                    // The system calls change the user and group of the calling thread only.
                    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
                }
                ProcessStat::wait_status(number, start_time)
            };
            let reported = std::thread::spawn(asked_as_user).join().unwrap();
            assert!(
                reported == Some(7 << 8) || may_be_hidden && reported.is_none(),
                "{program:?}: {reported:?}"
            );
            if is_root {
                assert_eq!(ProcessStat::wait_status(number, start_time), Some(7 << 8));
            }
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_pid_with_another_start_is_another_process() {
        let me = std::process::id();
        let start = ProcessStat::read(me).unwrap().start_time;
        assert!(open(me, start).unwrap().is_some());
        assert!(open(me, start + 1).unwrap().is_none());
        assert!(open(0, 0).unwrap().is_none());
    }
}
