//! The control socket, for peers other than the starter of this shim.

use std::os::{
    fd::{AsFd as _, BorrowedFd},
    unix::net::UnixListener,
};

use crate::attempt_directory::{AttemptDirectory, SOCKET};

/// Delay in milliseconds before the control socket is created. Most attempts end earlier and never need the socket.
const SOCKET_DELAY_MS: u64 = 100;
const MIN_RETRY_DELAY_MS: u64 = 100;
const MAX_RETRY_DELAY_MS: u64 = 5_000;

/// State of the control socket.
pub(super) enum ControlSocket {
    /// The socket does not exist yet. `due` is the time to create it in milliseconds of awake time. It is created
    /// earlier if all peers disconnect.
    Shut { due: u64 },
    /// The socket could not be created. `due` is the time of the next try in milliseconds of awake time, and `pause` is
    /// the delay between that try and the following try.
    Stuck { due: u64, pause: u64 },
    /// Peers can connect.
    Open(UnixListener),
}

impl ControlSocket {
    pub(super) fn new(now: u64) -> Self {
        Self::Shut { due: now.saturating_add(SOCKET_DELAY_MS) }
    }

    pub(super) fn listener(&self) -> Option<&UnixListener> {
        match self {
            Self::Open(listener) => Some(listener),
            Self::Shut { .. } | Self::Stuck { .. } => None,
        }
    }

    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.listener().map(|listener| listener.as_fd())
    }

    /// Creates the control socket if its time has come, or if no peer is connected (`alone`).
    pub(super) fn advance(&mut self, directory: &AttemptDirectory, alone: bool, now: u64) {
        let pause = match self {
            Self::Shut { due } if alone || now >= *due => MIN_RETRY_DELAY_MS,
            Self::Stuck { due, pause } if now >= *due => *pause,
            Self::Shut { .. } | Self::Stuck { .. } | Self::Open(_) => return,
        };
        *self = match directory.listen() {
            Ok(listener) => Self::Open(listener),
            // Continue without a control socket, and retry later: the disk may be full.
            Err(_) => {
                let next = pause.saturating_mul(2).min(MAX_RETRY_DELAY_MS);
                Self::Stuck { due: now.saturating_add(pause), pause: next }
            }
        };
    }

    /// Returns the time of the next try to create the control socket, in milliseconds of awake time.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        match self {
            Self::Shut { due } | Self::Stuck { due, .. } => Some(*due),
            Self::Open(_) => None,
        }
    }

    /// Removes the socket file when the shim ends.
    pub(super) fn remove(&self, directory: &AttemptDirectory) {
        if self.listener().is_some() {
            drop(directory.remove(SOCKET));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    fn directory(name: &str) -> (std::path::PathBuf, AttemptDirectory) {
        let path = std::env::temp_dir().join(format!("shim-door-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory = AttemptDirectory::open(&path).unwrap();
        (path, directory)
    }

    #[test]
    fn door_opens_after_its_time_and_then_rests() {
        let (path, directory) = directory("time");
        let mut door = ControlSocket::new(NOW);
        assert_eq!(door.next_deadline(), Some(NOW + SOCKET_DELAY_MS));
        door.advance(&directory, false, NOW + SOCKET_DELAY_MS - 1);
        assert!(door.listener().is_none() && !path.join(SOCKET).exists());
        door.remove(&directory);
        door.advance(&directory, false, NOW + SOCKET_DELAY_MS);
        assert!(door.listener().is_some() && path.join(SOCKET).exists());
        assert_eq!(door.next_deadline(), None);
        door.remove(&directory);
        assert!(!path.join(SOCKET).exists());
        std::fs::remove_dir(path).unwrap();
    }

    #[test]
    fn socket_is_created_immediately_without_a_connection() {
        let (path, directory) = directory("alone");
        let mut door = ControlSocket::new(NOW);
        door.advance(&directory, true, NOW);
        assert!(door.listener().is_some());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn door_that_cannot_be_opened_is_tried_again_less_and_less_often() {
        let (path, directory) = directory("stuck");
        std::fs::create_dir(path.join(SOCKET)).unwrap();
        let mut door = ControlSocket::new(NOW);
        let mut now = NOW;
        door.advance(&directory, true, now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let due = door.next_deadline().unwrap();
            pauses.push(due - now);
            door.advance(&directory, true, due - 1);
            assert_eq!(door.next_deadline(), Some(due), "tried before it was due");
            now = due;
            door.advance(&directory, true, now);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        std::fs::remove_dir(path.join(SOCKET)).unwrap();
        door.advance(&directory, true, door.next_deadline().unwrap());
        assert!(door.listener().is_some());
        std::fs::remove_dir_all(path).unwrap();
    }
}
