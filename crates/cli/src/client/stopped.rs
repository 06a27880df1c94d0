//! Detects a manager that is stopped by a signal: its socket accepts connections, but it answers no request.

use std::fs;

/// Returns true if the process is stopped by a signal.
pub(super) fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the last `)`, because the program name before it may contain any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}
