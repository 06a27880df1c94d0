//! Detects a manager that a signal has stopped. Its socket still accepts connections, but it answers no request.

use std::fs;

/// Returns true if a signal has stopped (suspended) the process.
pub(super) fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state is the field after the last `)`, because the program name before it may itself contain `)`.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}
