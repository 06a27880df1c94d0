//! What is let go, and what is brought back.

use crate::api::Api;
use crate::api::list::parsed;
use crate::convert::{Depth, views};
use crate::fault::Fault;
use longhaul_domain::{ProcessId, ProjectName, Retention};
use longhaul_engine::{Revival, RevivalOptions, Revived, SkipReason, Skipped};
use longhaul_wire::api::{
    ClearReply, ClearRequest, PruneReply, PruneRequest, RestartInterruptedReply, RestartInterruptedRequest,
    SkippedView,
};
use std::time::Duration;

/// The most processes that one request names.
const MOST: usize = 1_000;

impl Api {
    /// Lets ended records and their output go.
    ///
    /// # Errors
    /// There is no bound, or the store does not answer.
    pub async fn prune(&self, request: PruneRequest) -> Result<PruneReply, Fault> {
        if request.older_than_ms.is_none() && request.keep.is_none() && request.bytes.is_none() {
            return Err(Fault::invalid("prune", "it has no bound")
                .help("give `older_than_ms`, `keep`, `bytes` or several of them"));
        }
        let rule = Retention {
            age: request.older_than_ms.map(Duration::from_millis),
            count: request.keep,
            before: None,
        };
        let pruned = self.engine.prune(&rule, request.bytes, request.dry_run).await?;
        Ok(PruneReply {
            dry_run: request.dry_run,
            count: u64::try_from(pruned.ids.len()).unwrap_or(u64::MAX),
            ids: texts(&pruned.ids),
            bytes: pruned.bytes,
            total: pruned.total,
        })
    }

    /// Stops everything and lets every record go.
    ///
    /// # Errors
    /// It is not confirmed, or not everything could be cleared.
    pub async fn clear(&self, request: ClearRequest) -> Result<ClearReply, Fault> {
        if request.dry_run == request.confirm {
            return Err(Fault::invalid("clear", "it stops everything and lets every record go")
                .help("give `confirm` to do so, or `dry_run` to see what would be stopped"));
        }
        let cleared = self.engine.clear(request.dry_run).await?;
        Ok(ClearReply {
            dry_run: request.dry_run,
            stopped: texts(&cleared.stopped),
            removed: cleared.removed,
            left: texts(&cleared.left),
        })
    }

    /// Runs interrupted work again.
    ///
    /// # Errors
    /// Somebody that is named is not there, or the store does not answer.
    pub async fn restart_interrupted(
        &self,
        request: RestartInterruptedRequest,
    ) -> Result<RestartInterruptedReply, Fault> {
        let engine = &self.engine;
        if request.ids.len() > MOST {
            return Err(Fault::invalid("restart", format!("more than {MOST} processes are named")));
        }
        let mut ids = Vec::new();
        for reference in &request.ids {
            ids.push(engine.find(reference).await?);
        }
        let project = parsed::<ProjectName>(request.project.as_deref(), "project")?;
        let revived = match (&project, ids.as_slice()) {
            (None, []) => Revived::All,
            (Some(project), []) => Revived::OfProject(project),
            (_, ids) => Revived::These(ids),
        };
        let RestartInterruptedRequest { with_children, dry_run, .. } = request;
        let options = RevivalOptions { with_children, dry_run };
        let Revival { launched, planned, skipped } = engine.restart_interrupted(revived, options).await?;
        let launched: Vec<_> = launched.into_iter().map(|launched| launched.stored).collect();
        Ok(RestartInterruptedReply {
            dry_run,
            processes: views(engine, &launched, Depth::Records).await,
            planned: views(engine, &planned, Depth::Records).await,
            skipped: skipped.iter().map(skipped_view).collect(),
        })
    }
}

fn skipped_view(Skipped { stored, reason }: &Skipped) -> SkippedView {
    let (word, detail) = match reason {
        SkipReason::AncestorRestarted { ancestor } => (
            "ancestor_restarted",
            format!(
                "process {} counts as its launcher and is restarted, so it launches it again itself",
                ancestor.short()
            ),
        ),
        SkipReason::Replaced { by } => (
            "replaced",
            format!("the restarted process above it launched process {} in its place", by.short()),
        ),
        SkipReason::Cancelled => ("cancelled", "it was cancelled after the interruption".to_owned()),
        SkipReason::EndKnown => ("end_known", "how it ended became known after the interruption".to_owned()),
        SkipReason::Reported => {
            ("reported", "its reporter starts it again: `longhaul track start`".to_owned())
        }
        SkipReason::Unexamined => {
            ("unexamined", "the manager does not know yet whether it still runs; ask again".to_owned())
        }
        SkipReason::LaunchFailed { error } => ("launch_failed", error.clone()),
    };
    let ancestor_id = match reason {
        SkipReason::AncestorRestarted { ancestor } => Some(ancestor.to_string()),
        SkipReason::Cancelled
        | SkipReason::EndKnown
        | SkipReason::Replaced { .. }
        | SkipReason::Reported
        | SkipReason::Unexamined
        | SkipReason::LaunchFailed { .. } => None,
    };
    let process = &stored.process;
    SkippedView {
        id: process.id.to_string(),
        name: process.spec.name.as_ref().map(ToString::to_string),
        reason: word.to_owned(),
        detail,
        ancestor_id,
    }
}

fn texts(ids: &[ProcessId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
