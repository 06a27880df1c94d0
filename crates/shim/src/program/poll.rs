//! Waits until a file descriptor is ready or a deadline is reached.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
};

use super::{lease::LeaseTerm, supervisor::Supervisor};
use crate::{clock, output::StreamId};

/// File descriptors that are ready. `readable` and `writable` contain indexes of connections.
#[derive(Default)]
pub(super) struct ReadyDescriptors {
    pub(super) signals: bool,
    pub(super) listener: bool,
    pub(super) report: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) readable: Vec<usize>,
    pub(super) writable: Vec<usize>,
}

impl Supervisor {
    /// Waits until a file descriptor is ready or the deadline is reached. The deadline is in milliseconds of awake
    /// time; `None` waits without a time limit.
    pub(super) fn poll(&self, deadline: Option<u64>) -> Result<ReadyDescriptors, Errno> {
        let timeout = deadline.map(|at| {
            let left = at.saturating_sub(clock::awake_ms());
            // Add one millisecond, because the current millisecond has partly passed. This ensures that the deadline is
            // reached on return.
            let left = if left > 0 { left.saturating_add(1) } else { 0 };
            Timespec {
                tv_sec: i64::try_from(left / 1_000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from(left % 1_000).unwrap_or(0).saturating_mul(1_000_000),
            }
        });
        let input = PollFlags::IN;
        let nothing = self.signals.as_fd();
        let watched = [
            Some(nothing),
            self.connections.listener(),
            self.leader.report().map(OwnedFd::as_fd),
            self.pumps.pipe(StreamId::Stdout).map(OwnedFd::as_fd),
            self.pumps.pipe(StreamId::Stderr).map(OwnedFd::as_fd),
            // The lease timer only wakes up the event loop, because each iteration of the loop checks the lease.
            self.term.as_ref().map(LeaseTerm::timer),
        ];
        // In place of an absent descriptor, use another descriptor without events, so that all indexes stay the same.
        let fixed = watched.map(|fd| fd.map_or((nothing, PollFlags::empty()), |fd| (fd, input)));
        let peers = self.connections.iter().map(|each| {
            let events = if each.has_queue() { input | PollFlags::OUT } else { input };
            (each.as_fd(), events)
        });
        let mut fds: Vec<PollFd<'_>> =
            fixed.into_iter().chain(peers).map(|(fd, events)| PollFd::from_borrowed_fd(fd, events)).collect();
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let mut found = fds.iter().map(PollFd::revents);
        let mut next = || found.next().is_some_and(|flags| !flags.is_empty());
        let mut changed = ReadyDescriptors {
            signals: next(),
            listener: next(),
            report: next(),
            stdout: next(),
            stderr: next(),
            ..ReadyDescriptors::default()
        };
        let _woken = found.next();
        for (place, flags) in found.enumerate() {
            if flags.intersects(PollFlags::OUT) {
                changed.writable.push(place);
            }
            if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                changed.readable.push(place);
            }
        }
        Ok(changed)
    }
}
