//! All connections of the shim, up to a maximum number.

use std::os::fd::BorrowedFd;

use super::{connection::Connection, control_socket::ControlSocket};
use crate::{attempt_directory::AttemptDirectory, clock, message::ShimMessage};

const MAX_CONNECTIONS: usize = 8;
const GREETING_MS: u64 = 5_000;

/// The open connections, and the control socket through which new peers connect.
pub(super) struct Connections {
    list: Vec<Connection>,
    door: ControlSocket,
}

impl Connections {
    pub(super) fn new(first: Connection) -> Self {
        Self { list: vec![first], door: ControlSocket::new(clock::awake_ms()) }
    }

    /// Creates the control socket if its time has come or if no peer is connected.
    pub(super) fn advance_door(&mut self, directory: &AttemptDirectory, now: u64) {
        self.door.advance(directory, self.list.is_empty(), now);
    }

    pub(super) fn remove_door(&self, directory: &AttemptDirectory) {
        self.door.remove(directory);
    }

    pub(super) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.door.as_fd()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.list.iter()
    }

    pub(super) fn nth(&mut self, place: usize) -> Option<&mut Connection> {
        self.list.get_mut(place)
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// Accepts all peers that are waiting at the control socket.
    pub(super) fn accept(&mut self) {
        let Some(listener) = self.door.listener() else {
            return;
        };
        while let Ok((socket, _)) = listener.accept() {
            if self.list.len() >= MAX_CONNECTIONS {
                // If the maximum number of connections is reached, a new peer replaces a peer that has not sent a
                // hello.
                let Some(silent) = self.list.iter().position(|each| !each.greeted) else {
                    continue;
                };
                self.list.remove(silent);
            }
            if let Ok(Some(connection)) = Connection::accept(socket, clock::awake_ms()) {
                self.list.push(connection);
            }
        }
    }

    /// Sends a message to all peers that have sent a hello.
    pub(super) fn broadcast(&mut self, notice: &ShimMessage) {
        for connection in self.list.iter_mut().filter(|each| each.greeted) {
            connection.send(notice, Vec::new());
        }
    }

    /// Sends an exit record to all peers, and then waits for a new acknowledgement, even if a peer acknowledged an
    /// earlier record.
    pub(super) fn broadcast_exit(&mut self, notice: &ShimMessage) {
        for connection in &mut self.list {
            connection.acknowledged = false;
        }
        self.broadcast(notice);
    }

    /// Returns true if at least one peer received the exit record and no peer has acknowledged it yet.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        self.listening().next().is_some() && !self.is_acknowledged()
    }

    /// Returns true if a peer has acknowledged the exit record. An acknowledgement means that the peer has stored the
    /// record.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.listening().any(|each| each.acknowledged)
    }

    fn listening(&self) -> impl Iterator<Item = &Connection> {
        self.list.iter().filter(|each| each.greeted && !each.is_broken())
    }

    /// Drops broken connections, and connections whose peer has not sent a hello in time.
    pub(super) fn drop_broken(&mut self, now: u64) {
        self.list.retain(|each| {
            let silent = !each.greeted && now.saturating_sub(each.opened) >= GREETING_MS;
            !each.is_broken() && !silent
        });
    }

    /// Returns the next time at which a peer without a hello must be dropped or the control socket must be created, in
    /// milliseconds of awake time.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let silent = self.list.iter().filter(|each| !each.greeted);
        let silent = silent.map(|each| each.opened.saturating_add(GREETING_MS));
        silent.chain(self.door.next_deadline()).min()
    }
}
