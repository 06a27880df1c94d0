//! Use cases that show one process, its tree and its resource usage, and the version and health of the manager.

use crate::api::Api;
use crate::convert::{self, DetailLevel, views};
use crate::error::ApiError;
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder};
use longhaul_wire::api::{
    HealthReply, ProcessView, ProcessesReply, ReadyReply, UsageReply, VersionReply, WhyView,
};
use std::time::Duration;

/// Timeout of the manager's readiness check. If the store needs longer to respond, the manager is not ready.
const PROMPT: Duration = Duration::from_secs(1);

impl Api {
    /// Returns one process.
    ///
    /// # Errors
    /// Returns an error if the reference matches no process or more than one.
    pub async fn show(&self, reference: &str, depth: DetailLevel) -> Result<ProcessView, ApiError> {
        let id = self.engine.find(reference).await?;
        let stored = self.engine.process(id).await?;
        Ok(convert::view(&self.engine, &stored, depth).await)
    }

    /// Returns a process and all its recorded descendants, live and ended.
    ///
    /// # Errors
    /// Returns an error if the reference matches no process or more than one.
    pub async fn tree(&self, reference: &str, depth: DetailLevel) -> Result<ProcessesReply, ApiError> {
        let id = self.engine.find(reference).await?;
        let tree = self.engine.tree(id).await?;
        Ok(ProcessesReply { processes: views(&self.engine, &tree, depth).await })
    }

    /// Returns the resource usage of the command of a process, including the command's descendants. If the usage cannot
    /// be measured, the reply leaves it out.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process.
    pub async fn usage(&self, reference: &str) -> Result<UsageReply, ApiError> {
        let id = self.engine.find(reference).await?;
        let usage = self.engine.usage(id).await?;
        let stored = self.engine.process(id).await?;
        Ok(convert::usage(&stored, usage.as_ref(), self.engine.now()))
    }

    /// Returns the reason why a process is waiting, and the processes that it is waiting for.
    ///
    /// # Errors
    /// Returns an error if the reference matches no process or more than one.
    pub async fn why(&self, reference: &str) -> Result<WhyView, ApiError> {
        let id = self.engine.find(reference).await?;
        Ok(convert::why(&self.engine, id).await?)
    }

    /// Returns the version and identity of this manager.
    #[must_use]
    pub fn version(&self) -> VersionReply {
        self.about.as_ref().clone()
    }

    /// Reports that the manager is alive. The reply includes the retention rule and the number of pruned records.
    #[must_use]
    pub fn health(&self) -> HealthReply {
        HealthReply {
            status: "ok".to_owned(),
            pruned: self.engine.pruned_total(),
            retention: self.retention.clone(),
        }
    }

    /// Reports that the manager is ready if its store responds within one second.
    ///
    /// # Errors
    /// Returns `not_ready` if the store does not respond in time or is unreachable.
    pub async fn ready(&self) -> Result<ReadyReply, ApiError> {
        let one = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1 };
        let not_ready = || ApiError::new(503, "not_ready", "the store does not answer");
        let no_filter = ProcessFilter::default();
        match tokio::time::timeout(PROMPT, self.engine.list(&no_filter, &one)).await {
            Ok(Ok(_)) if self.engine.away_since().is_some() => {
                Err(not_ready().because("the list contains only the processes that this node stores itself"))
            }
            Ok(Ok(_)) => Ok(ReadyReply {
                status: "ready".to_owned(),
                recovery_pending: u64::try_from(self.engine.unexamined()).unwrap_or(u64::MAX),
            }),
            Ok(Err(error)) => Err(not_ready().because(error.to_string())),
            Err(_) => Err(not_ready().because("the measurement took longer than one second")),
        }
    }
}
