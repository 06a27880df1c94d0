//! System clock: steady, awake and wall time of this machine.

pub(super) mod anchor;

use crate::durable;
use crate::system::plain;
use anchor::{ClockAnchor, MARK_AHEAD_MS};
use async_trait::async_trait;
use longhaul_domain::{AwakeTime, Deadline, Timestamp};
use longhaul_ports::{Clock, WallTime};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

const FILE: &str = "clock";
/// Maximum number of bytes to read from the file `clock`. A valid file is shorter.
const MAX_ANCHOR_LEN: u64 = 4_096;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Maximum length of one sleep if the kernel provides no boot-time timer.
const WITHOUT_TIMER: Duration = Duration::from_secs(1);

/// Clock of a state directory, based on the kernel's clocks.
///
/// Steady time is an anchor plus the boot-time clock. It starts at the wall-clock time of the first start in a boot.
/// The file `clock` stores the anchor, the boot id, and a high-water mark that is slightly ahead of all steady times
/// returned so far. Because of the mark, steady time never goes back, even if the wall clock was set back before a new
/// boot.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: String,
    anchor_ms: i64,
    mark: Arc<ClockMark>,
}

/// High-water mark of steady time, and the file that stores it.
#[derive(Debug)]
struct ClockMark {
    path: PathBuf,
    boot_id: String,
    anchor_ms: i64,
    at_ms: AtomicI64,
    saving: AtomicBool,
}

impl SystemClock {
    /// Opens the clock of a state directory. Creates the directory if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the file `clock` cannot be read or written, or is damaged. A damaged file is not replaced.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        durable::make_private_directory(state_dir)?;
        let (clock, is_new) = Self::read(state_dir)?;
        if is_new {
            let mark_ms = clock.mark.at_ms.load(Ordering::Relaxed);
            clock.mark.save(mark_ms).map_err(|error| named(&clock.mark.path, &error))?;
        }
        Ok(clock)
    }

    /// Opens the clock of a state directory read-only: no file is created or changed.
    ///
    /// # Errors
    /// Returns an error if the file `clock` cannot be read or is damaged.
    pub fn for_looking(state_dir: &Path) -> io::Result<Self> {
        let (clock, _) = Self::read(state_dir)?;
        // Pretend that a save is always in progress, so that the mark is never saved.
        clock.mark.saving.store(true, Ordering::Release);
        Ok(clock)
    }

    /// Reads the clock from its file. Returns the clock, and true if the file has to be written.
    fn read(state_dir: &Path) -> io::Result<(Self, bool)> {
        let path = state_dir.join(FILE);
        let boot_id = std::fs::read_to_string(BOOT_ID)?.trim().to_owned();
        let kept = match read(&path) {
            Ok(text) => Some(ClockAnchor::decode(&text).map_err(|error| named(&path, &error))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(named(&path, &error)),
        };
        let anchor = ClockAnchor::begin(kept.clone(), &boot_id, wall_ms(), boot_ms());
        let mark = ClockMark {
            path,
            boot_id: boot_id.clone(),
            anchor_ms: anchor.anchor_ms,
            at_ms: AtomicI64::new(anchor.mark_ms),
            saving: AtomicBool::new(false),
        };
        let is_new = kept.as_ref() != Some(&anchor);
        Ok((Self { boot_id, anchor_ms: anchor.anchor_ms, mark: Arc::new(mark) }, is_new))
    }

    /// Returns the milliseconds by which the wall clock is ahead of steady time. This difference is the amount by which
    /// the wall clock was changed since the first manager of this boot started. Returns `None` if no manager was
    /// started in this boot. Creates or changes no file.
    ///
    /// # Errors
    /// Returns an error if the file `clock` cannot be read or is damaged.
    pub fn wall_ahead_ms(state_dir: &Path) -> io::Result<Option<i64>> {
        let path = state_dir.join(FILE);
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(&path, &error)),
        };
        let kept = ClockAnchor::decode(&text).map_err(|error| named(&path, &error))?;
        let boot_id = std::fs::read_to_string(BOOT_ID)?;
        let steady_ms = kept.anchor_ms.saturating_add(boot_ms());
        Ok((kept.boot_id == boot_id.trim()).then(|| wall_ms().saturating_sub(steady_ms)))
    }

    /// Returns the milliseconds to add to the boot-time clock to get steady time.
    #[must_use]
    pub const fn anchor_ms(&self) -> i64 {
        self.anchor_ms
    }

    /// Returns the kernel's id of the current boot.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

/// Reads at most the first [`MAX_ANCHOR_LEN`] bytes of the clock file, which is enough to detect an invalid file.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    plain::open(path)?.take(MAX_ANCHOR_LEN).read_to_string(&mut text)?;
    Ok(text)
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now_ms = self.anchor_ms.saturating_add(boot_ms());
        ClockMark::reach(&self.mark, now_ms);
        Timestamp(now_ms)
    }

    fn awake(&self) -> AwakeTime {
        AwakeTime(millis(clock_gettime(ClockId::Monotonic)))
    }

    fn wall(&self) -> WallTime {
        WallTime(wall_ms())
    }

    async fn sleep_until(&self, deadline: Deadline) {
        match deadline {
            Deadline::At(moment) => self.sleep_until_steady(moment).await,
            Deadline::Awake(moment) => self.sleep_until_awake(moment).await,
        }
    }
}

impl SystemClock {
    async fn sleep_until_awake(&self, moment: AwakeTime) {
        loop {
            let left = moment.since(self.awake());
            if left.is_zero() {
                return;
            }
            // A Tokio timer is sufficient, because it also uses the monotonic clock.
            tokio::time::sleep(left).await;
        }
    }

    async fn sleep_until_steady(&self, moment: Timestamp) {
        let at_ms = moment.0.saturating_sub(self.anchor_ms);
        while boot_ms() < at_ms {
            if let Err(error) = wait_for_boot_time(at_ms).await {
                tracing::warn!(%error, "could not create a kernel timer; the clock sleeps in short steps");
                tokio::time::sleep(moment.since(self.now()).min(WITHOUT_TIMER)).await;
            }
        }
    }
}

impl ClockMark {
    /// Moves the high-water mark ahead if `now_ms` is close to it. A separate thread writes the file, because a caller
    /// that reads the time must not wait for the disk.
    fn reach(this: &Arc<Self>, now_ms: i64) {
        let near = this.at_ms.load(Ordering::Relaxed).saturating_sub(MARK_AHEAD_MS / 2) < now_ms;
        if near && !this.saving.swap(true, Ordering::AcqRel) {
            let mark = Arc::clone(this);
            let save = move || {
                let at_ms = now_ms.saturating_add(MARK_AHEAD_MS);
                if let Err(error) = mark.save(at_ms) {
                    tracing::warn!(%error, "could not save the high-water mark of the clock");
                }
                // Move the mark even if the save failed, so that the next save is tried only when the mark moves again.
                // A full disk must not cause a write on every call.
                mark.at_ms.store(at_ms, Ordering::Relaxed);
                mark.saving.store(false, Ordering::Release);
            };
            if std::thread::Builder::new().name("clock-mark".to_owned()).spawn(save).is_err() {
                this.saving.store(false, Ordering::Release);
            }
        }
    }

    fn save(&self, mark_ms: i64) -> io::Result<()> {
        let anchor = ClockAnchor { boot_id: self.boot_id.clone(), anchor_ms: self.anchor_ms, mark_ms };
        durable::replace(&self.path, &self.path.with_extension("tmp"), anchor.encode().as_bytes())
    }
}

/// Sleeps until the boot-time clock reaches `at_ms`. The timer also counts the time while the machine is suspended.
async fn wait_for_boot_time(at_ms: i64) -> io::Result<()> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let timer: OwnedFd = timerfd_create(TimerfdClockId::Boottime, flags)?;
    let at = Timespec { tv_sec: at_ms.div_euclid(1_000), tv_nsec: at_ms.rem_euclid(1_000) * 1_000_000 };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &once)?;
    // `Receiver` is a type for pipes. Only its wait for readability is used, which also works for a timer.
    Receiver::from_owned_fd_unchecked(timer)?.readable().await
}

fn boot_ms() -> i64 {
    millis(clock_gettime(ClockId::Boottime))
}

fn wall_ms() -> i64 {
    millis(clock_gettime(ClockId::Realtime))
}

const fn millis(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot use {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::plain::tests::{SpecialFile, at_once};

    #[tokio::test]
    async fn a_second_start_in_a_boot_continues_the_clock_of_the_first_start() {
        let dir = tempfile::tempdir().unwrap();
        let first = SystemClock::open(dir.path()).unwrap();
        let second = SystemClock::open(dir.path()).unwrap();
        assert_eq!(first.anchor_ms(), second.anchor_ms());
        assert_eq!(first.boot_id(), second.boot_id());
        assert!(first.now() <= second.now());
    }

    #[test]
    fn a_changed_wall_clock_is_reported_on_request() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(SystemClock::wall_ahead_ms(dir.path()).unwrap(), None);
        let clock = SystemClock::open(dir.path()).unwrap();
        assert!(SystemClock::wall_ahead_ms(dir.path()).unwrap().unwrap().abs() < 1_000);
        let day_ms = 86_400_000;
        let moved = ClockAnchor {
            boot_id: clock.boot_id().to_owned(),
            anchor_ms: clock.anchor_ms() - 10 * day_ms,
            mark_ms: wall_ms(),
        };
        std::fs::write(dir.path().join(FILE), moved.encode()).unwrap();
        let ahead = SystemClock::wall_ahead_ms(dir.path()).unwrap().unwrap();
        assert!((ahead - 10 * day_ms).abs() < 1_000, "{ahead}");
    }

    #[tokio::test]
    async fn a_start_in_another_boot_lies_behind_the_mark() {
        let dir = tempfile::tempdir().unwrap();
        let far = wall_ms() + 86_400_000;
        let old = ClockAnchor { boot_id: "other".to_owned(), anchor_ms: 0, mark_ms: far };
        std::fs::write(dir.path().join(FILE), old.encode()).unwrap();
        assert!(SystemClock::open(dir.path()).unwrap().now() >= Timestamp(far));
        let kept = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(ClockAnchor::decode(&kept).unwrap().mark_ms > far);
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "longhaul-clock 9\n").unwrap();
        let error = SystemClock::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "longhaul-clock 9\n");
    }

    #[test]
    fn a_path_that_is_not_a_regular_file_is_refused_immediately() {
        for stands in SpecialFile::ALL {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().to_owned();
            SystemClock::open(&path).unwrap();
            stands.put(&path.join(FILE));
            let (opened, looked) =
                at_once(move || (SystemClock::open(&path), SystemClock::wall_ahead_ms(&path)));
            for error in [opened.unwrap_err(), looked.unwrap_err()] {
                assert!(error.to_string().contains("does not lead to a regular file"), "{stands:?}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn a_sleep_of_either_kind_never_returns_too_early() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::open(dir.path()).unwrap();
        for span in [0, 1, 3, 20].map(Duration::from_millis) {
            let at = clock.now().plus(span);
            clock.sleep_until(Deadline::At(at)).await;
            assert!(clock.now() >= at);
            let awake = clock.awake().plus(span);
            clock.sleep_until(Deadline::Awake(awake)).await;
            assert!(clock.awake() >= awake);
        }
    }

    #[tokio::test]
    async fn a_time_before_the_boot_is_in_the_past() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::open(dir.path()).unwrap();
        clock.sleep_until(Deadline::At(Timestamp(i64::MIN))).await;
        clock.sleep_until(Deadline::Awake(AwakeTime(i64::MIN))).await;
    }

    #[test]
    fn the_mark_moves_ahead_of_the_time_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::open(dir.path()).unwrap();
        let late = clock.now().0 + MARK_AHEAD_MS;
        ClockMark::reach(&clock.mark, late);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while clock.mark.saving.load(Ordering::Acquire) {
            assert!(std::time::Instant::now() < until);
            std::thread::yield_now();
        }
        let kept = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(ClockAnchor::decode(&kept).unwrap().mark_ms, late + MARK_AHEAD_MS);
    }
}
