//! Use cases that remove ended processes, reset the manager, and restart interrupted processes.

use crate::api::Api;
use crate::api::list::parsed;
use crate::convert::{DetailLevel, views};
use crate::error::ApiError;
use longhaul_domain::{ProcessId, ProjectName, Retention};
use longhaul_engine::{
    InterruptedRestart, InterruptedRestartOptions, RestartScope, SkipReason, SkippedRestart,
};
use longhaul_wire::api::{
    PruneReply, PruneRequest, ResetReply, ResetRequest, RestartInterruptedReply, RestartInterruptedRequest,
    SkippedView,
};
use std::time::Duration;

/// Maximum number of processes that one request may name.
const MAX_IDS: usize = 1_000;

impl Api {
    /// Prunes ended processes and their output.
    ///
    /// # Errors
    /// Returns an error if the request contains no limit that selects the records to prune, or if the store does not
    /// respond.
    pub async fn prune(&self, request: PruneRequest) -> Result<PruneReply, ApiError> {
        if request.older_than_ms.is_none() && request.keep.is_none() && request.bytes.is_none() {
            return Err(ApiError::invalid("prune", "`older_than_ms`, `keep` and `bytes` are missing")
                .help("give at least one of `older_than_ms`, `keep` and `bytes`"));
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

    /// Stops all processes and deletes all records.
    ///
    /// # Errors
    /// Returns an error if the request is not confirmed, or if the engine cannot stop all processes and delete all
    /// records.
    pub async fn clear(&self, request: ResetRequest) -> Result<ResetReply, ApiError> {
        if request.dry_run == request.confirm {
            return Err(ApiError::invalid("reset", "a reset stops all processes and deletes all records")
                .help("give `confirm` to do so, or `dry_run` to list what would be stopped and deleted"));
        }
        let cleared = self.engine.clear(request.dry_run).await?;
        Ok(ResetReply {
            dry_run: request.dry_run,
            stopped: texts(&cleared.stopped),
            removed: cleared.removed,
            remaining: texts(&cleared.left),
        })
    }

    /// Restarts interrupted processes.
    ///
    /// # Errors
    /// Returns an error if a reference does not match exactly one process, or if the store does not respond.
    pub async fn restart_interrupted(
        &self,
        request: RestartInterruptedRequest,
    ) -> Result<RestartInterruptedReply, ApiError> {
        let engine = &self.engine;
        if request.ids.len() > MAX_IDS {
            return Err(ApiError::invalid("restart", format!("more than {MAX_IDS} processes are given")));
        }
        let mut ids = Vec::new();
        for reference in &request.ids {
            ids.push(engine.find(reference).await?);
        }
        let project = parsed::<ProjectName>(request.project.as_deref(), "project")?;
        let revived = match (&project, ids.as_slice()) {
            (None, []) => RestartScope::All,
            (Some(project), []) => RestartScope::OfProject(project),
            (_, ids) => RestartScope::These(ids),
        };
        let RestartInterruptedRequest { with_children, dry_run, .. } = request;
        let options = InterruptedRestartOptions { with_children, dry_run };
        let InterruptedRestart { launched, planned, skipped } =
            engine.restart_interrupted(revived, options).await?;
        let launched: Vec<_> = launched.into_iter().map(|launched| launched.stored).collect();
        Ok(RestartInterruptedReply {
            dry_run,
            processes: views(engine, &launched, DetailLevel::Records).await,
            planned: views(engine, &planned, DetailLevel::Records).await,
            skipped: skipped.iter().map(skipped_view).collect(),
        })
    }
}

fn skipped_view(SkippedRestart { stored, reason }: &SkippedRestart) -> SkippedView {
    let (word, detail) = match reason {
        SkipReason::AncestorRestarted { ancestor } => (
            "ancestor_restarted",
            format!(
                "process {} launched this process and is restarted, so it will launch this process again itself",
                ancestor.short()
            ),
        ),
        SkipReason::Replaced { by } => (
            "replaced",
            format!("a restarted ancestor has already launched process {} as its replacement", by.short()),
        ),
        SkipReason::Cancelled => ("cancelled", "the process was cancelled after the interruption".to_owned()),
        SkipReason::EndKnown => {
            ("end_known", "the exit of the process became known after the interruption".to_owned())
        }
        SkipReason::Reported => (
            "reported",
            "the program that reports on this work must register it again: `longhaul track start`".to_owned(),
        ),
        SkipReason::Unexamined => (
            "recovery_pending",
            "the manager does not know yet whether the process is still running; try again".to_owned(),
        ),
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
