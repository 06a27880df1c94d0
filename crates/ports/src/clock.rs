//! Time, and waiting for it.

use async_trait::async_trait;
use longhaul_domain::{AwakeTime, Deadline, Timestamp};
use std::fmt::Debug;

/// Wall-clock time in milliseconds since the Unix epoch, for display only: no rule compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime(pub i64);

/// Tells the time and waits for it.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Steady time: it never goes back, and a changed wall clock does not move it.
    fn now(&self) -> Timestamp;

    /// The time that this machine has been awake since its boot: it never goes back.
    fn awake(&self) -> AwakeTime;

    /// What a clock on the wall shows.
    fn wall(&self) -> WallTime;

    /// Returns when the deadline has passed, at once if it already has; never before.
    async fn sleep_until(&self, deadline: Deadline);
}
