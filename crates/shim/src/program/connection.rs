//! The connection between the shim and one peer.

use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use crate::{
    channel,
    frame::{ControlFrame, FrameBuffer, ProtocolError},
    message::ShimMessage,
};

const MAX_REQUEST_LEN: usize = 64 << 10;
const MAX_QUEUE_LEN: usize = 256 << 10;

/// Connected socket, with the bytes that were received and the messages that could not be sent yet.
pub(super) struct Connection {
    socket: UnixStream,
    frames: FrameBuffer,
    queue: VecDeque<OutgoingBytes>,
    queued: usize,
    pub(super) greeted: bool,
    pub(super) wants_descriptors: bool,
    /// True if the peer received the descriptors before the program started. The started message to this peer then
    /// omits them.
    pub(super) has_descriptors: bool,
    pub(super) acknowledged: bool,
    /// Time when the connection was opened, in milliseconds of awake time.
    pub(super) opened: u64,
    pub(super) peer: u32,
    broken: bool,
}

struct OutgoingBytes {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Vec<OwnedFd>,
}

impl Connection {
    /// Takes ownership of a socket. Returns `None` if the peer belongs to another user who is not root.
    pub(super) fn accept(socket: UnixStream, opened: u64) -> io::Result<Option<Self>> {
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
            return Ok(None);
        }
        socket.set_nonblocking(true)?;
        Ok(Some(Self {
            socket,
            frames: FrameBuffer::new(MAX_REQUEST_LEN),
            queue: VecDeque::new(),
            queued: 0,
            greeted: false,
            wants_descriptors: false,
            has_descriptors: false,
            acknowledged: false,
            opened,
            peer: peer.pid.as_raw_nonzero().get().unsigned_abs(),
            broken: false,
        }))
    }

    /// Sets the maximum length in bytes of the next frames.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.frames.set_limit(limit);
    }

    /// Reduces the maximum frame length, because all requests after a launch are short.
    pub(super) fn limit_to_orders(&mut self) {
        self.frames.set_limit(MAX_REQUEST_LEN);
    }

    /// Receives the available bytes with a single read. Marks the connection as broken at an error or at the end of the
    /// stream.
    pub(super) fn receive(&mut self) {
        // Requests carry no file descriptors. If a peer sends file descriptors, they are closed immediately.
        let mut unwanted = Vec::new();
        match channel::receive(&self.socket, &mut self.frames, &mut unwanted) {
            Ok(0) => self.broken = true,
            Ok(_) => {}
            Err(error) if is_passing(&error) => {}
            Err(_) => self.broken = true,
        }
    }

    pub(super) fn pull(&mut self) -> Result<Option<ControlFrame>, ProtocolError> {
        self.frames.pull()
    }

    /// Sends a message now, or as soon as the socket accepts it. Marks the connection as broken if the queue of unsent
    /// bytes becomes too long.
    pub(super) fn send(&mut self, notice: &ShimMessage, descriptors: Vec<OwnedFd>) {
        let bytes = notice.encode();
        self.queued = self.queued.saturating_add(bytes.len());
        if self.queued > MAX_QUEUE_LEN {
            self.broken = true;
            return;
        }
        self.queue.push_back(OutgoingBytes { bytes, sent: 0, descriptors });
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while let Some(first) = self.queue.front_mut() {
            let handles: Vec<BorrowedFd<'_>> = first.descriptors.iter().map(AsFd::as_fd).collect();
            let rest = first.bytes.get(first.sent..).unwrap_or(&[]);
            match channel::send(&self.socket, rest, &handles) {
                Ok(sent) => {
                    drop(handles);
                    first.descriptors.clear();
                    first.sent = first.sent.saturating_add(sent);
                    self.queued = self.queued.saturating_sub(sent);
                    if first.sent >= first.bytes.len() {
                        self.queue.pop_front();
                    }
                }
                Err(error) if is_passing(&error) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
