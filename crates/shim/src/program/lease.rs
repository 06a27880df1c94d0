//! Enforces the node's lease, for work that may run on another node once this node is lost.
//!
//! While the manager is alive, the manager stops such work. This module is for the case that the manager has ended:
//! when the lease expires, the shim checks if the lease was extended, and otherwise stops the tree.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::{clock, lease::LeaseNote};

/// Time in milliseconds for which a note is read again if the note is unreadable, or expired when first read.
const STALE_NOTE_INTERVAL_MS: u64 = 1_000;
const STALE_NOTE_POLL_MS: u64 = 50;
/// Maximum time in milliseconds between two reads of the note. The next manager may replace a lease that never expires
/// by one that does, and the shim notices this only by reading.
const MAX_LEASE_POLL_MS: u64 = 5_000;
/// Time in milliseconds between the first signal and SIGKILL after the lease has expired. It replaces the times of the
/// stop plan, and is well within the grace period that follows a lease.
const LOST_LEASE_GRACE_MS: u64 = 5_000;

/// The shim's view of the lease. Its times are in milliseconds since boot, including suspended time.
pub(super) struct LeaseTerm {
    path: PathBuf,
    boot_id: String,
    /// Timer that wakes the shim. Its clock includes the time in which the machine is suspended.
    timer: OwnedFd,
    course: LeaseCourse,
}

enum LeaseCourse {
    /// The lease was valid when the note was last read. `look_at` is the time to read the note again.
    Lasts { look_at: u64 },
    /// The note has given no valid lease since `since`. `look_at` is the time to read the note again.
    Doubtful { since: u64, look_at: u64 },
    /// The lease has expired. `kill_at` is the time to kill the rest of the tree.
    Over { kill_at: u64 },
    /// The tree was killed, so there is no further action.
    Done,
}

/// Action that the lease requires now.
pub(super) enum LeaseAction {
    Nothing,
    Stop,
    Kill,
}

impl LeaseTerm {
    /// Starts in the doubtful state, because the note may still be that of an earlier manager. The note is read at
    /// once.
    pub(super) fn begin(path: PathBuf, boot_id: String) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        let now = clock::boot_ms();
        Ok(Self { path, boot_id, timer, course: LeaseCourse::Doubtful { since: now, look_at: now } })
    }

    /// Returns a descriptor that becomes readable when [`advance`](Self::advance) must be called.
    pub(super) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Reads the note if that is due, and returns the required action.
    pub(super) fn advance(&mut self) -> LeaseAction {
        let now = clock::boot_ms();
        let (course, due) = match self.course {
            LeaseCourse::Lasts { look_at } if now >= look_at => self.look(now, None),
            LeaseCourse::Doubtful { since, look_at } if now >= look_at => self.look(now, Some(since)),
            LeaseCourse::Over { kill_at } if now >= kill_at => (LeaseCourse::Done, LeaseAction::Kill),
            LeaseCourse::Lasts { .. }
            | LeaseCourse::Doubtful { .. }
            | LeaseCourse::Over { .. }
            | LeaseCourse::Done => {
                return LeaseAction::Nothing;
            }
        };
        self.course = course;
        self.arm();
        due
    }

    fn look(&self, now: u64, doubted: Option<u64>) -> (LeaseCourse, LeaseAction) {
        let note = LeaseNote::read(&self.path).ok().filter(|note| note.boot_id == self.boot_id);
        let over =
            (LeaseCourse::Over { kill_at: now.saturating_add(LOST_LEASE_GRACE_MS) }, LeaseAction::Stop);
        match (note, doubted) {
            (Some(note), _) if note.until > now => {
                let look_at = note.until.min(now.saturating_add(MAX_LEASE_POLL_MS));
                (LeaseCourse::Lasts { look_at }, LeaseAction::Nothing)
            }
            // The note was valid before, and was not extended.
            (Some(_), None) => over,
            // If the lease cannot be confirmed for this long, treat it as expired: no manager maintains the note, and
            // another node may have started the work.
            (Some(_) | None, Some(since)) if now.saturating_sub(since) >= STALE_NOTE_INTERVAL_MS => over,
            (Some(_) | None, doubted) => {
                let since = doubted.unwrap_or(now);
                (
                    LeaseCourse::Doubtful { since, look_at: now.saturating_add(STALE_NOTE_POLL_MS) },
                    LeaseAction::Nothing,
                )
            }
        }
    }

    fn arm(&self) {
        let at = match self.course {
            LeaseCourse::Lasts { look_at } | LeaseCourse::Doubtful { look_at, .. } => look_at,
            LeaseCourse::Over { kill_at } => kill_at,
            // An expiry of zero disarms the timer.
            LeaseCourse::Done => 0,
        };
        let it_value = Timespec {
            tv_sec: i64::try_from(at / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % 1_000).unwrap_or(0).saturating_mul(1_000_000),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // This call fails only for times that are out of range.
        drop(timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once));
    }
}
