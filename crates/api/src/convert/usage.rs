//! Converts the resource usage of a process to the view that clients get.

use crate::convert::moment::rfc3339;
use crate::convert::process::{duration, millis, tree_usage};
use longhaul_domain::{Timestamp, TreeUsage};
use longhaul_engine::ports::StoredProcess;
use longhaul_wire::api::UsageReply;

/// Converts the resource usage of a process and its descendants to a reply. `usage` is `None` if the usage cannot be
/// measured.
pub(crate) fn usage(stored: &StoredProcess, usage: Option<&TreeUsage>, now: Timestamp) -> UsageReply {
    let process = &stored.process;
    UsageReply {
        id: process.id.to_string(),
        status: process.status().as_str().to_owned(),
        uptime_ms: duration(process, now).map(millis),
        usage: usage.map(tree_usage),
        at: rfc3339(now),
    }
}
