//! The lease of the node, for work that may run elsewhere once the node is lost.
//!
//! The manager stops such work itself while it lives. This is for when it does not: at the end of the lease the shim
//! looks whether somebody has prolonged it, and ends its tree if nobody has.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::{clock, lease::LeaseNote};

/// A note that cannot be read, or is older than the launch, is looked at again for so long.
const STALE_NOTE_INTERVAL_MS: u64 = 1_000;
const STALE_NOTE_POLL_MS: u64 = 50;
/// A lease without end may become one with an end when the next manager begins: nobody tells.
const MAX_LEASE_POLL_MS: u64 = 5_000;
/// From the first signal to KILL: well within the grace after a lease, whatever the plan of the launch says.
const LOST_LEASE_GRACE_MS: u64 = 5_000;

/// How far the lease is; its times are milliseconds since boot, time asleep included.
pub(super) struct LeaseTerm {
    path: PathBuf,
    boot_id: String,
    /// Wakes the shim, out of a sleep of the machine too.
    timer: OwnedFd,
    course: LeaseCourse,
}

enum LeaseCourse {
    /// It lasts until then at least, as was last read.
    Lasts { look_at: u64 },
    /// What was read says nothing, since then.
    Doubtful { since: u64, look_at: u64 },
    /// It is over, and whoever is left of the tree is killed then.
    Over { kill_at: u64 },
    /// Nothing is left to do.
    Done,
}

/// What the lease asks for now.
pub(super) enum LeaseAction {
    /// Nothing.
    Nothing,
    /// The tree has to end.
    Stop,
    /// Whoever is left has to be killed.
    Kill,
}

impl LeaseTerm {
    /// Begins with a look at once. The note may be that of an earlier manager as yet, so that it is doubted at first.
    pub(super) fn begin(path: PathBuf, boot_id: String) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        let now = clock::boot_ms();
        Ok(Self { path, boot_id, timer, course: LeaseCourse::Doubtful { since: now, look_at: now } })
    }

    /// Becomes readable when there is something to look at.
    pub(super) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Looks whether something is due.
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
            // It was read as good before, and nobody prolonged it.
            (Some(_), None) => over,
            // Whoever cannot tell that it lasts takes it for over: no manager keeps the note, and others may have begun.
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
            // All zero disarms it.
            LeaseCourse::Done => 0,
        };
        let it_value = Timespec {
            tv_sec: i64::try_from(at / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % 1_000).unwrap_or(0).saturating_mul(1_000_000),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // It can fail only for times that no clock shows.
        drop(timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once));
    }
}
