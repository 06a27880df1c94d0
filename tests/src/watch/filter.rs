//! The interface to the kernel: the filter that selects system calls, and the replies to the kernel.

#![expect(unsafe_code, reason = "seccomp has no safe interface")]

use libc::{SYS_clone, SYS_openat, c_long, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// System calls that are always intercepted.
pub(super) const WATCHED: &[c_long] = &[
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_splice,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// System calls that are intercepted only if a bit of an argument is set or not set: number, argument, bit, and whether
/// the bit must be set.
const SOMETIMES: [(c_long, u32, u32, bool); 2] = [
    (SYS_openat, 2, libc::O_CREAT.cast_unsigned(), true),
    (SYS_clone, 0, libc::CLONE_THREAD.cast_unsigned(), false),
];

const NUMBER: u32 = 0;
const ARGUMENTS: u32 = 16;

/// The filter, which a child installs before it executes the program.
pub(super) struct Filter {
    code: Vec<sock_filter>,
    socket: UnixStream,
}

/// Socket on which the child sends the notification descriptor to the test.
pub(super) struct Listener(UnixStream);

/// An intercepted system call that is waiting for a reply.
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) thread: u32,
    pub(super) number: c_long,
    pub(super) arguments: [u64; 6],
}

impl Filter {
    pub(super) fn new() -> io::Result<(Self, Listener)> {
        let (ours, socket) = UnixStream::pair()?;
        Ok((Self { code: code(), socket }, Listener(ours)))
    }

    pub(super) fn install_into(&self, command: &mut Command) {
        let (code, socket) = (self.code.clone(), self.socket.try_clone());
        let install = move || {
            let socket = socket.as_ref().map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
            let listener = install(&code)?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            let descriptors = [listener.as_fd()];
            rights.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(socket, &[IoSlice::new(b"!")], &mut rights, SendFlags::empty())?;
            Ok(())
        };
        // SAFETY: between fork and exec, the child only makes system calls and allocates no memory.
        unsafe { command.pre_exec(install) };
    }
}

impl Listener {
    /// Receives the notification descriptor. Returns `None` if the child failed before it sent the descriptor.
    pub(super) fn accept(&self) -> Option<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut rights, RecvFlags::CMSG_CLOEXEC).ok()?;
        rights.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        })
    }
}

/// Installs the filter in the calling process. Returns the notification descriptor.
fn install(code: &[sock_filter]) -> io::Result<OwnedFd> {
    let program =
        sock_fprog { len: u16::try_from(code.len()).unwrap_or(0), filter: code.as_ptr().cast_mut() };
    // SAFETY: the call takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel only reads the filter, which exists until the call returns.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just created this descriptor, and no other value owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Waits for the next intercepted system call. Returns `None` if no process is left that could make one.
pub(super) fn receive(held: &OwnedFd) -> Option<Asked> {
    loop {
        let mut polled = [rustix::event::PollFd::new(held, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let [polled] = polled;
        if !polled.revents().contains(rustix::event::PollFlags::IN) {
            if polled.revents().is_empty() {
                continue;
            }
            return None;
        }
        // SAFETY: all zeros is a valid value of this type, and the kernel requires zeros.
        let mut asked: seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: the kernel writes a value of this type.
        let done = unsafe { libc::ioctl(held.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
        // The request fails if the calling process has exited. In that case, wait for the next call.
        if done == 0 {
            return Some(Asked {
                id: asked.id,
                thread: asked.pid,
                number: c_long::from(asked.data.nr),
                arguments: asked.data.args,
            });
        }
    }
}

/// Lets the kernel execute an intercepted system call.
pub(super) fn go_on(held: &OwnedFd, id: u64) {
    let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(0);
    reply(held, seccomp_notif_resp { id, val: 0, error: 0, flags });
}

/// Lets an intercepted system call fail without executing it.
pub(super) fn fail(held: &OwnedFd, id: u64, errno: i32) {
    reply(held, seccomp_notif_resp { id, val: 0, error: errno.saturating_neg(), flags: 0 });
}

/// Lets an intercepted system call return this result without executing it.
pub(super) fn give(held: &OwnedFd, id: u64, result: i64) {
    reply(held, seccomp_notif_resp { id, val: result, error: 0, flags: 0 });
}

fn reply(held: &OwnedFd, response: seccomp_notif_resp) {
    // SAFETY: the kernel reads a value of this type. The reply is ignored if the calling process has exited.
    let _ = unsafe { libc::ioctl(held.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
}

/// Duplicates a file descriptor of another process. The duplicate shares the file offset with the original.
pub(super) fn descriptor_of(process: u32, fd: i32) -> Option<File> {
    let process = rustix::process::Pid::from_raw(i32::try_from(process).ok()?)?;
    let process = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).ok()?;
    let flags = rustix::process::PidfdGetfdFlags::empty();
    Some(rustix::process::pidfd_getfd(process, fd, flags).ok()?.into())
}

/// Returns the instructions of the filter, which intercepts the selected system calls and lets all other calls pass.
fn code() -> Vec<sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let (ask, pass) = (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW);
    let step =
        |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k };
    let of = |number: c_long| u32::try_from(number).unwrap_or(u32::MAX);
    let mut steps = vec![step(LOAD, 0, 0, NUMBER)];
    for (number, argument, bits, wants_set) in SOMETIMES {
        let (set, unset) = if wants_set { (ask, pass) } else { (pass, ask) };
        steps.extend([
            step(IS, 0, 4, of(number)),
            step(LOAD, 0, 0, ARGUMENTS + 8 * argument),
            step(HAS, 0, 1, bits),
            step(RETURN, 0, 0, set),
            step(RETURN, 0, 0, unset),
        ]);
    }
    for number in WATCHED {
        steps.extend([step(IS, 0, 1, of(*number)), step(RETURN, 0, 0, ask)]);
    }
    steps.push(step(RETURN, 0, 0, pass));
    steps
}
