//! Port for reading the time and waiting for a deadline.

use async_trait::async_trait;
use longhaul_domain::{AwakeTime, Deadline, Timestamp};
use std::fmt::Debug;

/// Wall-clock time in milliseconds since the Unix epoch; used for display only, never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime(pub i64);

/// Reads the time and waits for deadlines.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns monotonic time. Changes of the wall clock do not affect it.
    fn now(&self) -> Timestamp;

    /// Returns the time that this machine has been awake since its boot, without the time in suspend.
    fn awake(&self) -> AwakeTime;

    /// Returns the wall-clock time.
    fn wall(&self) -> WallTime;

    /// Waits until the deadline has passed. Never returns earlier. If the deadline is in the past, returns without
    /// waiting.
    async fn sleep_until(&self, deadline: Deadline);
}
