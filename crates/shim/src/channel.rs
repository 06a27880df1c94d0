//! Starts shims, and sends and receives frames and file descriptors over a Unix stream socket.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::frame::FrameBuffer;

/// Maximum number of file descriptors in one message.
pub const MAX_DESCRIPTORS: usize = 8;

/// First command-line argument that makes a program run as a shim.
pub const ATTEMPT_ARGUMENT: &str = "attempt";

/// First command-line argument that makes the shim program print one line with its name and version.
pub const VERSION_ARGUMENT: &str = "--version";

/// Environment variable that, if it is `1`, allows a program to run as its own shim.
pub const SHIM_VARIABLE: &str = "LONGHAUL_SHIM";

const ONE_READ: usize = 16 << 10;

/// Starts a shim for an attempt directory. Returns the shim process and the first control connection.
///
/// The environment of the shim contains only [`SHIM_VARIABLE`] and the variables that arm failpoints. Its stdout and
/// stderr are `/dev/null`.
pub fn start(program: &Path, directory: &Path) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(program)
        .arg0("longhaul-shim")
        .arg(ATTEMPT_ARGUMENT)
        .arg(directory)
        .env_clear()
        .env(SHIM_VARIABLE, "1")
        .envs(longhaul_failpoint::variables())
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// Sends bytes over the socket, with file descriptors attached to the first byte. Returns the number of bytes that were
/// sent.
///
/// If at least one byte was sent, the descriptors were sent too.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives the available bytes into a frame buffer, and appends the received file descriptors to `descriptors`.
///
/// Returns the number of received bytes; zero means the end of the stream.
pub fn receive(
    socket: impl AsFd,
    frames: &mut FrameBuffer,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut bytes = [0; ONE_READ];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let got = rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    frames.push(bytes.get(..got).unwrap_or(&bytes));
    Ok(got)
}
