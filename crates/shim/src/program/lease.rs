//! Enforces the node's lease, for work that may run on another node if this node is lost.
//!
//! While the manager is running, the manager itself stops the process. This module covers the time after the manager
//! has ended. When the lease expires, the shim checks whether the lease was extended. If the lease was not extended,
//! the shim stops the process tree.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::{clock, lease::LeaseNote};

/// Time in milliseconds for which the shim keeps reading a lease note that is unreadable, or that was already expired
/// at the first read.
const STALE_NOTE_INTERVAL_MS: u64 = 1_000;
const STALE_NOTE_POLL_MS: u64 = 50;
/// Maximum time in milliseconds between two reads of the lease note. The next manager may replace a lease that never
/// expires by one that does, and the shim detects this only when it reads the note.
const MAX_LEASE_POLL_MS: u64 = 5_000;
/// Time in milliseconds between the first signal and SIGKILL after the lease has expired. It replaces the delays of the
/// stop plan, and is well within the grace period that follows the expiry of a lease.
const LOST_LEASE_GRACE_MS: u64 = 5_000;

/// The lease as the shim last read it. Times are in milliseconds since boot, including suspended time.
pub(super) struct LeaseTerm {
    path: PathBuf,
    boot_id: String,
    /// Timer that wakes up the shim. The time in which the machine is suspended counts.
    timer: OwnedFd,
    course: LeaseCourse,
}

enum LeaseCourse {
    /// The lease was valid when the note was last read. `look_at` is the time to read the note again.
    Lasts { look_at: u64 },
    /// No valid lease could be read from the note since `since`. `look_at` is the time to read the note again.
    Doubtful { since: u64, look_at: u64 },
    /// The lease has expired and the tree is being stopped. `kill_at` is the time to kill the rest of the tree.
    Over { kill_at: u64 },
    /// The tree was killed because the lease had expired, so there is no further action.
    Done,
}

/// Action that the lease requires now.
pub(super) enum LeaseAction {
    Nothing,
    Stop,
    Kill,
}

impl LeaseTerm {
    /// Starts in the doubtful state, because the note may still be that of an earlier manager. The first call of
    /// `advance` reads the note.
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

    /// Reads the lease note if it is time to read it, and returns the required action.
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
            // The lease was valid at the last read, and has expired without an extension.
            (Some(_), None) => over,
            // Treat a lease as expired if no read has confirmed it for this long: no manager maintains the note, and
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
            // The expiry time zero disarms the timer.
            LeaseCourse::Done => 0,
        };
        let it_value = Timespec {
            tv_sec: i64::try_from(at / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % 1_000).unwrap_or(0).saturating_mul(1_000_000),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // Setting the timer fails only for times that are out of range.
        drop(timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once));
    }
}
