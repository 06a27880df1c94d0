//! The engine: loads processes, makes decisions, commits them and executes their effects.
//!
//! Every change follows the same steps:
//! 1. Load the record.
//! 2. [Decide](longhaul_domain::Process::decide) on the input.
//! 3. Commit the events, on condition that the record still has the revision of step 1. On a conflict, start again.
//! 4. Perform the effects. Their results return as observations, which are inputs of step 2.
//!
//! Effects are idempotent for each attempt, and recovery derives them from the records alone. The engine may therefore
//! crash between any two of these steps.

mod artifacts;
mod cascade;
mod claim_loop;
mod detached;
mod effects;
mod eligible_nodes;
mod engine;
mod environment;
mod error;
mod error_chain;
mod failure_analysis;
mod find;
#[cfg(test)]
mod fixtures;
mod follow;
mod handover;
mod inbox;
mod input;
mod inspect;
mod interrupted;
mod launch;
mod lease_renewal;
mod lease_state;
mod live_stats;
mod local_attempts;
mod monitor;
mod nodes;
mod notifier;
mod orphans;
mod output;
mod output_tails;
mod parts;
mod queues;
mod reconcile;
mod record_cache;
mod recover;
mod rejoin;
mod reset;
mod restart;
mod retention;
mod session;
mod shutdown;
mod stale_attempts;
mod start_dedup;
mod stats;
mod store_errors;
mod subscribe;
mod test_runs;
mod timers;
mod transact;
mod tree;
mod trust;
mod uncommitted_exits;
mod unverified_attempts;
mod wait;
mod waiting_report;
mod why;

pub use eligible_nodes::EligibleNodes;
pub use engine::{ActionOutcome, Engine};
pub use error::{Candidate, EngineError, InputRefusal, LaunchBlocked, ReferenceField, StopReach};
pub use error_chain::with_causes;
pub use handover::interrupt_attempts;
pub use input::InputResult;
pub use inspect::LiveView;
pub use interrupted::{
    InterruptedRestart, InterruptedRestartOptions, RestartScope, SkipReason, SkippedRestart,
};
pub use launch::{Launch, LaunchOutcome, Launcher};
pub use longhaul_insight::test_run;
pub use longhaul_ports as ports;
pub use monitor::{check_progress, check_watch};
pub use output::FollowProgress;
pub use parts::{EnginePorts, EngineSettings};
pub use reset::ResetResult;
pub use retention::PruneResult;
pub use shutdown::Shutdown;
pub use stats::{LevelStats, ProcessStats};
pub use subscribe::{CallbackGuard, Subscription, SubscriptionItem};
pub use test_runs::{TestPage, TestPageRequest, TestRunSettings, has_tests};
pub use tree::MemberOutcome;
pub use wait::{WaitCondition, WaitMode, WaitOutcome};
pub use why::WaitReason;
