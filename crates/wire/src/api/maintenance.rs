//! What is counted, kept and let go.

use crate::api::TreeUsageView;
use crate::api::process::ProcessView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// That the manager answers, and what it lets go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HealthReply {
    /// `ok`.
    pub status: String,
    /// How many ended records were ever let go.
    pub pruned: u64,
    /// The rule by which ended records are let go; null if they are kept for ever.
    pub retention: Option<RetentionView>,
}

/// That the manager can do its work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReadyReply {
    /// `ready`.
    pub status: String,
    /// How many records have the status that an earlier manager wrote because this one has not found out yet what became of
    /// them: they have the condition `recovery_pending`.
    pub recovery_pending: u64,
}

/// Which ended records are let go, by whichever bound comes first. Null bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetentionView {
    /// Those that ended longer ago than so many milliseconds.
    pub age_ms: Option<u64>,
    /// All but so many.
    pub count: Option<u64>,
    /// The oldest of those whose output takes more than so many bytes together.
    pub bytes: Option<u64>,
}

/// Numbers about processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatsView {
    /// By level, that of the roots first.
    pub levels: Vec<LevelStatsView>,
    /// All together.
    pub total: LevelStatsView,
    /// When this was true.
    pub at: String,
    /// Ids of processes that may belong here and whose records are damaged, which are counted nowhere; a look at one tells
    /// what is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// Ids of processes that have ended, and of which nobody could verify that nothing of them lives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tree_unverified: Vec<String>,
}

/// Numbers about the processes of one level, or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LevelStatsView {
    /// The level; null for all together.
    pub level: Option<u8>,
    /// Processes that have not ended.
    pub live: u64,
    /// Processes by status; those that no process has are missing.
    pub by_status: BTreeMap<String, u64>,
    /// Those that are `failed`, `timeout` or `interrupted`.
    pub failures: u64,
    /// Retries, and processes that run another one again.
    pub restarts: u64,
    /// How long those that ran and have ended took on average, in milliseconds; null if there are none.
    pub mean_ms: Option<u64>,
    /// How long 95 of 100 of them took at most, in milliseconds; null if there are none.
    pub p95_ms: Option<u64>,
    /// What those that run here use now, all together; null if none does.
    pub usage: Option<SumUsageView>,
    /// For how long the one of them has run that began first, in milliseconds; null if none runs.
    pub uptime_ms: Option<u64>,
}

/// What several processes use together, each with its whole tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SumUsageView {
    /// Processes of the operating system that are alive.
    pub processes: u64,
    /// Processor time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Bytes read from storage; null where that is not told.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage; null where that is not told.
    pub written_bytes: Option<u64>,
}

/// What the tree of a process uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageReply {
    /// The process.
    pub id: String,
    /// Where it stands.
    pub status: String,
    /// For how long its latest attempt has run, in milliseconds; null before it began.
    pub uptime_ms: Option<u64>,
    /// What it uses now; null if it does not run here.
    pub usage: Option<TreeUsageView>,
    /// When this was true.
    pub at: String,
}

/// Lets ended records and their output go; at least one bound is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PruneRequest {
    /// Those that ended longer ago than so many milliseconds.
    pub older_than_ms: Option<u64>,
    /// All but so many of those that ended last.
    pub keep: Option<u64>,
    /// The oldest of those whose output takes more than so many bytes together.
    pub bytes: Option<u64>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What was let go, or would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PruneReply {
    /// True if nothing was done.
    pub dry_run: bool,
    /// The records that went.
    pub ids: Vec<String>,
    /// How many they are.
    pub count: u64,
    /// Bytes of output that went with them.
    pub bytes: u64,
    /// How many records were ever let go.
    pub total: u64,
}

/// Stops everything and lets every record go: `dry_run` or `confirm` is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetRequest {
    /// Only say what would be stopped and let go.
    pub dry_run: bool,
    /// Do it.
    pub confirm: bool,
}

/// What was stopped and let go, or would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResetReply {
    /// True if nothing was done.
    pub dry_run: bool,
    /// What lived and was stopped.
    pub stopped: Vec<String>,
    /// How many ended records went.
    pub removed: u64,
    /// What would not end.
    pub remaining: Vec<String>,
}

/// Asks for interrupted work to be run again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestartInterruptedRequest {
    /// Ids, unique prefixes or names; everything that is interrupted if there are none.
    pub ids: Vec<String>,
    /// Of this project alone, where no ids are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Also run again children that a restarted process launched itself, unless it has launched them again already.
    #[serde(skip_serializing_if = "is_false")]
    pub with_children: bool,
    /// Only say what would be run again.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// What runs again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RestartInterruptedReply {
    /// True if nothing was done.
    pub dry_run: bool,
    /// The new processes, oldest first; none in a dry run.
    pub processes: Vec<ProcessView>,
    /// In a dry run, the interrupted processes that would be run again, oldest first.
    pub planned: Vec<ProcessView>,
    /// What is not run again, oldest first. Processes that were run again earlier are not listed.
    pub skipped: Vec<SkippedView>,
}

/// A process that is not run again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SkippedView {
    /// The process.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// `ancestor_restarted` (the process that counts as its launcher is run again and launches it again itself),
    /// `replaced` (that process has launched another one in its place), `cancelled` (after it was called interrupted),
    /// `end_known` (its true end became known later), `reported` (whoever does the work begins it anew), `recovery_pending` (the
    /// manager does not know yet whether it still runs), or `launch_failed`.
    pub reason: String,
    /// The same for people.
    pub detail: String,
    /// The process that counts as its launcher and is run again.
    pub ancestor_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
