//! Asking whether a command does what it was started for.

mod http;
mod trial;

use super::spawner::Shared;
use async_trait::async_trait;
use longhaul_ports::{ProbeOrder, Prober};
use std::sync::Arc;
use std::time::Duration;
use trial::Trial;

/// Asks over HTTP, and by commands.
///
/// Only addresses of this machine itself are asked, unless [`reach_beyond_loopback`](Self::reach_beyond_loopback) says
/// otherwise: who may launch a command is not therefore allowed to have this program speak to the network for him.
///
/// A command is ended with its process group and with all else that carries the variable `LONGHAUL_PROBE` it was started
/// with. What a killed program leaves of one is ended when the next opens a prober for the same directory.
#[derive(Debug)]
pub struct OsProber {
    shared: Arc<Shared>,
    reach: http::Reach,
}

impl OsProber {
    /// Opens a prober beside a spawner; to be called inside a runtime.
    pub(super) fn open(shared: Arc<Shared>) -> Self {
        let left = Arc::clone(&shared);
        // Not waited for: it looks at all processes of the machine.
        drop(tokio::task::spawn_blocking(move || trial::end_what_is_left(&left)));
        Self { shared, reach: http::Reach::Loopback }
    }

    /// Asks addresses of other machines too.
    #[must_use]
    pub fn reach_beyond_loopback(mut self) -> Self {
        self.reach = http::Reach::Everywhere;
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

    async fn succeeds(&self, order: ProbeOrder, patience: Duration) -> bool {
        match Trial::start(&self.shared, order).await {
            Ok(trial) => trial.succeeds(patience).await,
            Err(why) => {
                tracing::debug!(why, "a command that tells whether another works cannot be started");
                false
            }
        }
    }
}
