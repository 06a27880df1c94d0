//! One process, and what stands around it; who answers.

use crate::api::Api;
use crate::convert::{self, DetailLevel, views};
use crate::error::ApiError;
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder};
use longhaul_wire::api::{
    HealthReply, ProcessView, ProcessesReply, ReadyReply, UsageReply, VersionReply, WhyView,
};
use std::time::Duration;

/// A store that takes longer to answer is not ready.
const PROMPT: Duration = Duration::from_secs(1);

impl Api {
    /// Shows one process.
    ///
    /// # Errors
    /// Nobody is meant, or more than one.
    pub async fn show(&self, reference: &str, depth: DetailLevel) -> Result<ProcessView, ApiError> {
        let id = self.engine.find(reference).await?;
        let stored = self.engine.process(id).await?;
        Ok(convert::view(&self.engine, &stored, depth).await)
    }

    /// Shows a process and everything that was ever below it.
    ///
    /// # Errors
    /// Nobody is meant, or more than one.
    pub async fn tree(&self, reference: &str, depth: DetailLevel) -> Result<ProcessesReply, ApiError> {
        let id = self.engine.find(reference).await?;
        let tree = self.engine.tree(id).await?;
        Ok(ProcessesReply { processes: views(&self.engine, &tree, depth).await })
    }

    /// Tells what the tree of a process uses.
    ///
    /// # Errors
    /// Nobody is meant, or it cannot be found out.
    pub async fn usage(&self, reference: &str) -> Result<UsageReply, ApiError> {
        let id = self.engine.find(reference).await?;
        let usage = self.engine.usage(id).await?;
        let stored = self.engine.process(id).await?;
        Ok(convert::usage(&stored, usage.as_ref(), self.engine.now()))
    }

    /// Explains why a process waits.
    ///
    /// # Errors
    /// Nobody is meant, or more than one.
    pub async fn why(&self, reference: &str) -> Result<WhyView, ApiError> {
        let id = self.engine.find(reference).await?;
        Ok(convert::why(&self.engine, id).await?)
    }

    /// Returns 200 if the manager answers.
    #[must_use]
    pub fn version(&self) -> VersionReply {
        self.about.as_ref().clone()
    }

    /// Returns the state of the manager, and what prevents it from working.
    #[must_use]
    pub fn health(&self) -> HealthReply {
        HealthReply {
            status: "ok".to_owned(),
            pruned: self.engine.swept(),
            retention: self.retention.clone(),
        }
    }

    /// Tells whether the manager can do its work: whether its store answers within a second.
    ///
    /// # Errors
    /// `not_ready` if it does not.
    pub async fn ready(&self) -> Result<ReadyReply, ApiError> {
        let one = PageRequest { order: SortOrder::NewestFirst, after: None, most: 1 };
        let not_ready = || ApiError::new(503, "not_ready", "the store does not answer");
        let nobody = ProcessFilter::default();
        match tokio::time::timeout(PROMPT, self.engine.list(&nobody, &one)).await {
            Ok(Ok(_)) if self.engine.away_since().is_some() => {
                Err(not_ready().because("the list contains only what this node stores about its own work"))
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
