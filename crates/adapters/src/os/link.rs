//! The connection to one shim.

use longhaul_shim::{Descriptor, FrameBuffer, MAX_FRAME_LEN, ShimHello, ShimMessage, ShimRequest, receive};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// A connection to one shim, and what has come over it.
#[derive(Debug)]
pub(super) struct ShimLink {
    stream: UnixStream,
    frames: FrameBuffer,
    descriptors: Vec<OwnedFd>,
}

/// What a manager holds of a running command, so that killing the shim loses nothing.
#[derive(Debug, Default)]
pub(super) struct CommandHandles {
    /// The command.
    pub(super) pidfd: Option<OwnedFd>,
    /// The read end of its standard output.
    pub(super) stdout: Option<OwnedFd>,
    /// The read end of its standard error.
    pub(super) stderr: Option<OwnedFd>,
}

impl CommandHandles {
    /// These, and of the others what was missing.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            pidfd: self.pidfd.or(others.pidfd),
            stdout: self.stdout.or(others.stdout),
            stderr: self.stderr.or(others.stderr),
        }
    }
}

impl ShimLink {
    /// Takes over a connected socket.
    pub(super) fn new(socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(socket)?,
            frames: FrameBuffer::new(MAX_FRAME_LEN),
            descriptors: Vec::new(),
        })
    }

    /// Introduces this manager to a shim that it did not start itself.
    pub(super) async fn greet(&self) -> io::Result<()> {
        self.send(&ShimRequest::Hello(ShimHello { want_descriptors: true, ..ShimHello::default() })).await
    }

    /// Sends an order.
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

    /// Waits for the next notice, with the descriptors that came with it; none at the end of the stream.
    ///
    /// Safe to give up on and to call again.
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
            // They come with the first byte of their message and in its order, so these are the oldest. A start names those
            // that came before it as well.
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
