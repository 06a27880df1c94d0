//! What clients see: requests and answers of the HTTP API, version 1.
//!
//! Times are RFC 3339 in UTC; durations whose name ends in `_ms` are milliseconds, others seconds. Enumerations are
//! open: a client must live with words that it does not know. Fields are only ever added.

mod launch;
mod problem;
mod process;
mod reply;

pub use launch::{
    CommandRequest, EnvironmentRequest, LaunchRequest, LimitsRequest, OutputRequest, ReportedRequest,
    RetryRequest,
};
pub use problem::Problem;
pub use process::{ExitView, PendingView, ProcessView, StartFailureView, UsageView};
pub use reply::{
    CancelRequest, CompleteRequest, FailRequest, Launched, Outcome, ProcessList, RestartRequest,
    UpdateRequest, Version, WaitReply,
};

/// The version of this API; it changes only when old clients would misunderstand.
pub const PROTOCOL: u32 = 1;
/// The header in which every answer names [`PROTOCOL`].
pub const PROTOCOL_HEADER: &str = "longhaul-protocol";
