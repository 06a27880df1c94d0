//! Statistics.

use crate::api::Api;
use crate::api::list::{parsed, root};
use crate::convert::{stats, uses};
use crate::fault::Fault;
use longhaul_engine::ports::Filter;
use longhaul_wire::api::{StatsRequest, StatsView};

impl Api {
    /// Counts processes by level and in total.
    ///
    /// # Errors
    /// The request makes no sense, or the store does not answer.
    pub async fn stats(&self, request: &StatsRequest) -> Result<StatsView, Fault> {
        let engine = &self.engine;
        let scope = Filter {
            session: parsed(request.session.as_deref(), "session")?,
            project: parsed(request.project.as_deref(), "project")?,
            ancestor: root(engine, request.tree.as_deref()).await?,
            ..Filter::default()
        };
        let uses = uses(engine, &scope).await?;
        Ok(stats(&engine.stats(&scope).await?, &uses, engine.now()))
    }
}
