//! The tool that lists processes.

use crate::answer::{JsonObject, ListResult, counts, items, object};
use crate::calls::ToolContext;
use crate::error::ToolError;
use crate::tool::input::{FilterType, ListInput};
use longhaul_domain::{SessionId, Status};
use longhaul_engine::ports::ProcessFilter;
use longhaul_wire::api::{ListRequest, StatsRequest};
use std::collections::BTreeMap;

/// Default number of processes on one page.
const DEFAULT_PAGE: u32 = 20;
/// Maximum number of damaged records in one result.
const MAX_NAMED: usize = 20;

impl ToolContext<'_> {
    /// Lists processes, newest first, and counts live processes.
    pub(super) async fn list(self, asked: ListInput) -> Result<JsonObject, ToolError> {
        let session = asked.session_id;
        let parent = match &asked.parent_id {
            Some(reference) => Some(self.find(reference).await?),
            None => None,
        };
        let tree = match &asked.tree {
            Some(reference) => Some(self.find(reference).await?),
            None => None,
        };
        let request = ListRequest {
            statuses: statuses(asked.filter_type),
            all: Some(true).filter(|_| asked.filter_type == FilterType::All),
            kind: asked.process_type,
            session: session.clone(),
            parent,
            tree: tree.clone(),
            level: asked.level,
            agent_id: asked.agent_id,
            limit: Some(asked.limit.unwrap_or(DEFAULT_PAGE)),
            cursor: asked.cursor,
            ..ListRequest::default()
        };
        let listed = self.api.list(&request).await?;
        let live = ProcessFilter {
            statuses: Status::ALL.into_iter().filter(|status| !status.is_ended()).collect(),
            session: session.as_deref().and_then(|session| SessionId::new(session).ok()),
            ancestor: match &tree {
                Some(reference) => Some(self.api.root(reference).await?),
                None => None,
            },
            ..ProcessFilter::default()
        };
        let (live, live_by_level) = match self.api.engine.stats(&live).await {
            Ok(stats) => {
                let levels = stats.levels.into_iter();
                let levels = counts(levels.map(|(level, stats)| (level.0.to_string(), stats.live)));
                let all = stats.total.by_status.into_iter();
                (counts(all.map(|(status, count)| (status.to_string(), count))), levels)
            }
            // While the store does not respond, live processes cannot be counted.
            Err(_) if listed.stale_since.is_some() => (BTreeMap::new(), BTreeMap::new()),
            Err(error) => return Err(longhaul_api::ApiError::from(error).into()),
        };
        let tree_stats = match tree {
            Some(tree) if listed.stale_since.is_none() => {
                let request = StatsRequest { tree: Some(tree), ..StatsRequest::default() };
                let mut total = object(&self.api.stats(&request).await?.total);
                total.retain(|_, value| !value.is_null());
                Some(total)
            }
            Some(_) | None => None,
        };
        Ok(object(&ListResult {
            processes: items(&listed.processes),
            live,
            live_by_level,
            tree_stats,
            last_changed: listed.last_changed,
            next_cursor: listed.cursor,
            stale_since: listed.stale_since,
            damaged: (!listed.damaged.is_empty())
                .then(|| listed.damaged.into_iter().take(MAX_NAMED).collect()),
        }))
    }
}

/// Returns the statuses that a filter selects. An empty list means all statuses.
fn statuses(filter: FilterType) -> Vec<String> {
    let wanted = |status: &Status| match filter {
        FilterType::All => false,
        FilterType::Running => !status.is_ended(),
        FilterType::Completed => *status == Status::Completed,
        FilterType::Failed => matches!(status, Status::Failed | Status::Timeout | Status::Interrupted),
    };
    Status::ALL.into_iter().filter(wanted).map(|status| status.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_is_every_live_status_and_failed_all_that_did_not_end_well() {
        assert_eq!(statuses(FilterType::Running), ["pending", "starting", "running", "paused", "stopping"]);
        assert_eq!(statuses(FilterType::Completed), ["completed"]);
        assert_eq!(statuses(FilterType::Failed), ["failed", "timeout", "interrupted"]);
        assert!(statuses(FilterType::All).is_empty());
    }
}
