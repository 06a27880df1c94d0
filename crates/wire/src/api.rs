//! Requests and replies of the HTTP API, version 1.
//!
//! - Times are RFC 3339 in UTC.
//! - Durations whose name ends in `_ms` are in milliseconds; other durations are in seconds.
//! - Enumerations are open: a client must accept values that are new to it.
//! - Fields may be added, but are never removed.

mod artifacts;
mod launch;
mod maintenance;
mod monitoring;
mod node;
mod output;
mod problem;
mod process;
mod query;
mod queue;
mod reply;
mod session;
mod test_run;
mod why;

pub use artifacts::{ArtifactView, ArtifactsState, ArtifactsView, SkippedArtifactView};
pub use launch::{
    CommandRequest, EnvironmentRequest, LaunchRequest, LimitsRequest, OutputRequest, ReportedRequest,
    RetryRequest,
};
pub use maintenance::{
    HealthReply, LevelStatsView, PruneReply, PruneRequest, ReadyReply, ResetReply, ResetRequest,
    RestartInterruptedReply, RestartInterruptedRequest, RetentionView, SkippedView, StatsView, SumUsageView,
    UsageReply,
};
pub use monitoring::{InputReply, InputRequest, ListeningPortView, ReadyWhenRequest, WatchRequest};
pub use node::{NodeListing, NodeView};
pub use output::{
    LostOutputView, MatchView, OmittedOutput, OutputView, ReadRequest, SearchRequest, SearchView,
    StreamChoice, TailOnlyReason,
};
pub use problem::Problem;
pub use process::{
    ExitView, FirstErrorView, LimitsView, PendingView, PortHolderView, ProcessView, StartFailureView,
    TokensView, TreeUsageView, UsageView, status_words,
};
pub use query::{ListRequest, StatsRequest, WaitRequest};
pub use queue::{HoldView, QueueListing, QueueRequest, QueueView, SlotsRequest};
pub use reply::{
    ActionReply, CancelLevelRequest, CancelRequest, CompleteRequest, EndSessionRequest, FailRequest,
    LaunchReply, OutcomeView, OutcomesReply, PauseReply, PauseRequest, PriorityRequest, ProcessList,
    ProcessesReply, RestartRequest, SignalRequest, UpdateRequest, VersionReply, WaitReply,
};
pub use session::{SessionListing, SessionView};
pub use test_run::{
    FailureGroupView, RerunFailedReply, RerunFailedRequest, TestCaseView, TestDiffView, TestListView,
    TestResultsView, TestWarningView, TestsRequest, TestsView,
};
pub use why::{EarlierAttemptView, HolderView, WhyView};

/// Version of this API. It changes only if clients of the old version would misunderstand the new one.
pub const PROTOCOL: u32 = 1;
/// Name of the response header that contains the API version ([`PROTOCOL`]).
pub const PROTOCOL_HEADER: &str = "longhaul-protocol";
