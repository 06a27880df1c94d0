//! Health, statistics, retention, reset, and the restart of interrupted processes.

use crate::api::TreeUsageView;
use crate::api::process::ProcessView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reply of a manager that is alive, with its retention.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HealthReply {
    /// Always `ok`.
    pub status: String,
    /// Number of ended records that were ever pruned.
    pub pruned: u64,
    /// Rule by which ended records are pruned; null if they are stored without limit.
    pub retention: Option<RetentionView>,
}

/// Reply of a manager that is ready to work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReadyReply {
    /// Always `ready`.
    pub status: String,
    /// Number of records that this manager has not checked yet after its start. They have the condition
    /// `recovery_pending`, and their status is the one that an earlier manager wrote.
    pub recovery_pending: u64,
}

/// Limits of retention. An ended record is pruned if it exceeds any of them; null means no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetentionView {
    /// Maximum time since the end of a process, in milliseconds.
    pub age_ms: Option<u64>,
    /// Maximum number of ended records.
    pub count: Option<u64>,
    /// Maximum size of all output of ended processes, in bytes. The oldest records are pruned first.
    pub bytes: Option<u64>,
}

/// Statistics of processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatsView {
    /// Statistics of each level, roots first.
    pub levels: Vec<LevelStatsView>,
    /// Statistics of all levels together.
    pub total: LevelStatsView,
    /// Time at which the statistics were made.
    pub at: String,
    /// Ids of damaged records that may belong to the selection and are not counted. A request for one of these
    /// processes returns the cause of the damage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// Ids of ended processes whose descendants may still be alive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tree_unverified: Vec<String>,
    /// Number of exits that this manager recorded later than the setting `detection.deadline` allows.
    pub late_detections: u64,
    /// Number of exits that are not recorded yet, although the time in the setting `detection.deadline` has passed.
    pub unrecorded_exits: u64,
}

/// Statistics of the processes of one level, or of all levels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LevelStatsView {
    /// Level; null for all levels together.
    pub level: Option<u8>,
    /// Number of processes that have not ended.
    pub live: u64,
    /// Number of processes by status; a status without processes is left out.
    pub by_status: BTreeMap<String, u64>,
    /// Number of processes with the status `failed`, `timeout` or `interrupted`.
    pub failures: u64,
    /// Number of retries, plus number of processes that are restarts of another process.
    pub restarts: u64,
    /// Mean run time of the ended processes that ran, in milliseconds; null if there are no such processes.
    pub mean_ms: Option<u64>,
    /// 95th percentile of the run time of the ended processes that ran, in milliseconds; null if there are no such
    /// processes.
    pub p95_ms: Option<u64>,
    /// Current resource usage of the processes that run on this node, as a sum; null if no process runs here.
    pub usage: Option<SumUsageView>,
    /// Run time of the process that has been running longest, in milliseconds; null if no process runs.
    pub uptime_ms: Option<u64>,
}

/// Resource usage of several process trees, as a sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SumUsageView {
    /// Number of live operating system processes.
    pub processes: u64,
    /// CPU time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Bytes read from storage; null if unknown.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage; null if unknown.
    pub written_bytes: Option<u64>,
}

/// Resource usage of one process tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageReply {
    /// Id of the process.
    pub id: String,
    /// Status of the process.
    pub status: String,
    /// Run time of the latest attempt, in milliseconds; null before its start.
    pub uptime_ms: Option<u64>,
    /// Current resource usage; null if the process does not run on this node.
    pub usage: Option<TreeUsageView>,
    /// Time at which the usage was measured.
    pub at: String,
}

/// Deletion of ended records and their output. At least one of `older_than_ms`, `keep` and `bytes` is required; a
/// record is deleted if any of them selects it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PruneRequest {
    /// Selects records of processes that ended longer ago than this time, in milliseconds.
    pub older_than_ms: Option<u64>,
    /// Number of the most recently ended records to keep; selects all older records.
    pub keep: Option<u64>,
    /// Maximum size of all output of ended processes, in bytes; selects the oldest records above it.
    pub bytes: Option<u64>,
    /// True to report what would be deleted, without deleting anything.
    pub dry_run: bool,
}

/// Records that were deleted; in a dry run, records that would be deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PruneReply {
    /// True if nothing was deleted because only a report was requested.
    pub dry_run: bool,
    /// Ids of the deleted records.
    pub ids: Vec<String>,
    /// Number of deleted records.
    pub count: u64,
    /// Size of the deleted output, in bytes.
    pub bytes: u64,
    /// Number of ended records that were ever pruned.
    pub total: u64,
}

/// Cancellation of all processes and deletion of all records. Exactly one of `dry_run` and `confirm` is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetRequest {
    /// True to report what would be stopped and deleted, without changing anything.
    pub dry_run: bool,
    /// True to confirm the reset.
    pub confirm: bool,
}

/// Processes that were stopped and records that were deleted; in a dry run, those that would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResetReply {
    /// True if nothing was changed because only a report was requested.
    pub dry_run: bool,
    /// Ids of the live processes that were stopped.
    pub stopped: Vec<String>,
    /// Number of ended records that were deleted.
    pub removed: u64,
    /// Ids of the processes that could not be ended.
    pub remaining: Vec<String>,
}

/// Restart of interrupted processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestartInterruptedRequest {
    /// Processes to restart: ids, unique prefixes or names. Empty means all interrupted processes.
    pub ids: Vec<String>,
    /// Project whose interrupted processes are restarted; used only if `ids` is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// True to also restart children whose restarted launcher has ended without launching them again.
    #[serde(skip_serializing_if = "is_false")]
    pub with_children: bool,
    /// True to report what would be restarted, without restarting anything.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// Result of a restart of interrupted processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RestartInterruptedReply {
    /// True if nothing was restarted because only a report was requested.
    pub dry_run: bool,
    /// New processes, oldest first; empty in a dry run.
    pub processes: Vec<ProcessView>,
    /// In a dry run, the interrupted processes that would be restarted, oldest first; otherwise empty.
    pub planned: Vec<ProcessView>,
    /// Interrupted processes that are not restarted, oldest first. Processes that were restarted earlier are not
    /// listed.
    pub skipped: Vec<SkippedView>,
}

/// Interrupted process that is not restarted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SkippedView {
    /// Id of the process.
    pub id: String,
    /// Name of the process.
    pub name: Option<String>,
    /// Code of the reason:
    /// - `ancestor_restarted`: the ancestor that counts as its launcher is restarted and launches it again;
    /// - `replaced`: that ancestor has already launched another process in its place;
    /// - `cancelled`: the process was cancelled after the interruption;
    /// - `end_known`: its actual ending became known after the interruption;
    /// - `reported`: it is reported work, which its reporter has to start again;
    /// - `recovery_pending`: the manager has not checked yet if it still runs;
    /// - `launch_failed`: the launch of its replacement failed.
    pub reason: String,
    /// The reason as a sentence for people.
    pub detail: String,
    /// Id of the restarted ancestor that counts as its launcher; null unless `reason` is `ancestor_restarted`.
    pub ancestor_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
