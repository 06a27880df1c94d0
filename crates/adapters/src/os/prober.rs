//! Runs probes that check if a command works.

mod http;
mod probe_command;

use super::spawner::SpawnerShared;
use async_trait::async_trait;
use longhaul_ports::{ProbeCommand, Prober};
use probe_command::ProbeProcess;
use std::sync::Arc;
use std::time::Duration;

/// Runs HTTP probes and probe commands.
///
/// Only loopback addresses are probed, unless [`reach_beyond_loopback`](Self::reach_beyond_loopback) was called:
/// permission to launch a command does not include permission to send network requests through this program.
///
/// When a probe command ends, the prober kills its process group and every process that has its `LONGHAUL_PROBE`
/// variable. If a manager was killed, the leftovers of its probes are killed when a prober is opened for the same
/// directory again.
#[derive(Debug)]
pub struct OsProber {
    shared: Arc<SpawnerShared>,
    reach: http::ProbeScope,
}

impl OsProber {
    /// Opens a prober that shares the state of a spawner. Must be called inside a tokio runtime.
    pub(super) fn open(shared: Arc<SpawnerShared>) -> Self {
        let left = Arc::clone(&shared);
        // Runs in the background because it scans all processes of the machine.
        drop(tokio::task::spawn_blocking(move || probe_command::end_what_is_left(&left)));
        Self { shared, reach: http::ProbeScope::Loopback }
    }

    /// Returns the prober with permission to send HTTP probes to other machines.
    #[must_use]
    pub fn reach_beyond_loopback(mut self) -> Self {
        self.reach = http::ProbeScope::Everywhere;
        self
    }
}

#[async_trait]
impl Prober for OsProber {
    async fn answers(&self, url: &str, time_limit: Duration) -> bool {
        let status = tokio::time::timeout(time_limit, http::status(url, self.reach)).await;
        match status {
            Ok(Ok(status)) => (200..400).contains(&status),
            Ok(Err(why)) => {
                tracing::trace!(url, %why, "the readiness check received no answer yet");
                false
            }
            Err(_) => false,
        }
    }

    async fn succeeds(&self, order: ProbeCommand, time_limit: Duration) -> bool {
        match ProbeProcess::start(&self.shared, order).await {
            Ok(probe_command) => probe_command.succeeds(time_limit).await,
            Err(why) => {
                tracing::debug!(why, "could not start the command of a readiness check");
                false
            }
        }
    }
}
