//! Frames and descriptors over a Unix stream socket.

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

/// The most descriptors that one message carries.
pub const MAX_DESCRIPTORS: usize = 8;

/// The first argument that makes a program serve as a shim.
pub const ATTEMPT_ARGUMENT: &str = "attempt";

/// The first argument that makes a program say which shim it is: its name and its version, on a line.
pub const VERSION_ARGUMENT: &str = "--version";

/// The variable that, set to `1`, allows a program to serve as its own shim.
pub const SHIM_VARIABLE: &str = "LONGHAUL_SHIM";

const ONE_READ: usize = 16 << 10;

/// Starts a shim for an attempt directory and returns it with the first control connection.
///
/// The shim gets no environment but the variable that says what it is and those that arm crash points, and no output.
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

/// Sends bytes, and descriptors with the first of them; returns how many bytes went out.
///
/// Descriptors have been handed over as soon as at least one byte has.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives what is there into a buffer of frames, and descriptors behind those already in `descriptors`.
///
/// Returns the number of bytes; zero is the end of the stream.
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
