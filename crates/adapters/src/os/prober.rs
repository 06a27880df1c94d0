//! Asking whether a command does what it was started for.

mod http;
mod probe_command;

use super::spawner::SpawnerShared;
use async_trait::async_trait;
use longhaul_ports::{ProbeCommand, Prober};
use probe_command::ProbeProcess;
use std::sync::Arc;
use std::time::Duration;

/// Asks over HTTP, and by commands.
///
/// Only addresses of this machine itself are asked, unless [`reach_beyond_loopback`](Self::reach_beyond_loopback) says
/// otherwise: who may launch a command is not therefore allowed to have this program speak to the network for him.
///
/// A command is ended with its process group and with all else that carries the variable `LONGHAUL_PROBE` it was started
/// with. What a killed program leaves of one is ended when the next opens a prober for the same directory.
#[derive(Debug)]
pub struct OsProber {
    shared: Arc<SpawnerShared>,
    reach: http::ProbeScope,
}

impl OsProber {
    /// Opens a prober beside a spawner; to be called inside a runtime.
    pub(super) fn open(shared: Arc<SpawnerShared>) -> Self {
        let left = Arc::clone(&shared);
        // Not waited for: it looks at all processes of the machine.
        drop(tokio::task::spawn_blocking(move || probe_command::end_what_is_left(&left)));
        Self { shared, reach: http::ProbeScope::Loopback }
    }

    /// Asks addresses of other machines too.
    #[must_use]
    pub fn reach_beyond_loopback(mut self) -> Self {
        self.reach = http::ProbeScope::Everywhere;
        self
    }
}

#[async_trait]
impl Prober for OsProber {
    async fn answers(&self, url: &str, patience: Duration) -> bool {
        let status = tokio::time::timeout(patience, http::status(url, self.reach)).await;
        match status {
            Ok(Ok(status)) => (200..400).contains(&status),
            Ok(Err(why)) => {
                tracing::trace!(url, %why, "no answer yet");
                false
            }
            Err(_) => false,
        }
    }

    async fn succeeds(&self, order: ProbeCommand, patience: Duration) -> bool {
        match ProbeProcess::start(&self.shared, order).await {
            Ok(probe_command) => probe_command.succeeds(patience).await,
            Err(why) => {
                tracing::debug!(why, "a command that tells whether another works cannot be started");
                false
            }
        }
    }
}
