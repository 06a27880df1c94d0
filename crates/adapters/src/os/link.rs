//! The connection to one shim.

use longhaul_shim::{Descriptor, FrameBuffer, MAX_FRAME_LEN, ShimHello, ShimMessage, ShimRequest, receive};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// A connection to one shim, with the received bytes and descriptors that are not yet part of a whole message.
#[derive(Debug)]
pub(super) struct ShimLink {
    stream: UnixStream,
    frames: FrameBuffer,
    descriptors: Vec<OwnedFd>,
}

/// Descriptors of a running command. The manager holds them too, so that nothing is lost if the shim is killed.
#[derive(Debug, Default)]
pub(super) struct CommandHandles {
    /// Pidfd of the command.
    pub(super) pidfd: Option<OwnedFd>,
    /// Read end of the command's standard output.
    pub(super) stdout: Option<OwnedFd>,
    /// Read end of the command's standard error.
    pub(super) stderr: Option<OwnedFd>,
}

impl CommandHandles {
    /// Returns these handles. Takes each missing handle from `others`.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            pidfd: self.pidfd.or(others.pidfd),
            stdout: self.stdout.or(others.stdout),
            stderr: self.stderr.or(others.stderr),
        }
    }
}

impl ShimLink {
    /// Wraps a connected socket.
    pub(super) fn new(socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(socket)?,
            frames: FrameBuffer::new(MAX_FRAME_LEN),
            descriptors: Vec::new(),
        })
    }

    /// Introduces this manager to a shim that another manager started, and requests the descriptors of the command.
    pub(super) async fn greet(&self) -> io::Result<()> {
        self.send(&ShimRequest::Hello(ShimHello { want_descriptors: true, ..ShimHello::default() })).await
    }

    /// Sends a request to the shim.
    pub(super) async fn send(&self, order: &ShimRequest) -> io::Result<()> {
        let bytes = order.encode();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let write = || longhaul_shim::send(&self.stream, rest, &[]);
            let sent = self.stream.async_io(Interest::WRITABLE, write).await?;
            rest = rest.get(sent..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Waits for the next message and for the descriptors that were sent with it. Returns `None` at the end of the
    /// stream.
    ///
    /// # Cancel safety
    /// Cancel safe: no message is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> io::Result<Option<(ShimMessage, CommandHandles)>> {
        loop {
            let pulled = self.frames.pull().map_err(|error| invalid(&error))?;
            if let Some(frame) = pulled {
                if let Some(notice) = ShimMessage::decode(&frame).map_err(|error| invalid(&error))? {
                    let held = self.take_descriptors(&notice);
                    return Ok(Some((notice, held)));
                }
                continue;
            }
            let Self { stream, frames, descriptors } = self;
            let got = stream.async_io(Interest::READABLE, || receive(&*stream, frames, descriptors)).await?;
            if got == 0 {
                return Ok(None);
            }
        }
    }

    fn take_descriptors(&mut self, notice: &ShimMessage) -> CommandHandles {
        let mut held = CommandHandles::default();
        if let ShimMessage::Handed { descriptors } | ShimMessage::Started { descriptors, .. } = notice {
            // The descriptors of a message arrive with its first byte, in the order of the messages. The oldest
            // descriptors therefore belong to this message. A `Started` message also lists the descriptors that arrived
            // before it.
            let count = descriptors.len().min(self.descriptors.len());
            for (kind, descriptor) in descriptors.iter().zip(self.descriptors.drain(..count)) {
                let place = match kind {
                    Descriptor::Pidfd => &mut held.pidfd,
                    Descriptor::Stdout => &mut held.stdout,
                    Descriptor::Stderr => &mut held.stderr,
                };
                *place = Some(descriptor);
            }
        }
        held
    }
}

fn invalid(error: &longhaul_shim::ProtocolError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
