//! Statistics about processes.

use crate::api::Api;
use crate::api::list::{parsed, root};
use crate::convert::{stats, uses};
use crate::error::ApiError;
use longhaul_engine::ports::ProcessFilter;
use longhaul_wire::api::{StatsRequest, StatsView};

impl Api {
    /// Returns the number of processes and their resource usage, for each level and in total.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, or if the store does not respond.
    pub async fn stats(&self, request: &StatsRequest) -> Result<StatsView, ApiError> {
        let engine = &self.engine;
        let scope = ProcessFilter {
            session: parsed(request.session.as_deref(), "session")?,
            project: parsed(request.project.as_deref(), "project")?,
            ancestor: root(engine, request.tree.as_deref()).await?,
            ..ProcessFilter::default()
        };
        let uses = uses(engine, &scope).await?;
        let view = stats(&engine.stats(&scope).await?, &uses, engine.now());
        Ok(StatsView {
            late_detections: self.metrics.late_detections(),
            unrecorded_exits: engine.unrecorded_exits(self.metrics.detection_deadline()),
            ..view
        })
    }
}
