//! Exit codes of the program.

use crate::failure::CliError;
use crate::status::ParsedStatus;
use longhaul_client::ClientError;
use longhaul_wire::api::{Problem, ProcessView};

/// Success, or nothing had to be changed.
pub(crate) const DONE: i32 = 0;
/// The operation failed.
pub(crate) const FAILED: i32 = 1;
/// The arguments are invalid, or a question was necessary but could not be asked without a terminal.
pub(crate) const USAGE: i32 = 2;
/// No process matches the given id or name, or more than one process matches it.
pub(crate) const NOT_FOUND: i32 = 3;
/// The status of the process does not allow the action.
pub(crate) const INVALID_TRANSITION: i32 = 4;
/// A limit or a queue refused the launch or action.
pub(crate) const REFUSED: i32 = 5;
/// The manager or its store cannot be reached, or the manager has an incompatible version.
pub(crate) const UNREACHABLE: i32 = 6;
/// The caller is not authorized.
pub(crate) const FORBIDDEN: i32 = 7;
/// The manager's state directory was removed, moved or replaced.
pub(crate) const STATE_DIR_LOST: i32 = 8;
/// The time limit of a wait was exceeded.
pub(crate) const WAIT_TIMED_OUT: i32 = 75;
/// The process was stopped because it exceeded its time limit.
pub(crate) const TIMEOUT: i32 = 124;
/// Longhaul itself failed, or the exit of the process was not observed.
pub(crate) const INTERNAL_ERROR: i32 = 125;
/// The command cannot be executed.
pub(crate) const NOT_EXECUTABLE: i32 = 126;
/// The command was not found.
pub(crate) const NO_COMMAND: i32 = 127;
/// The user pressed Ctrl-C.
pub(crate) const CTRL_C: i32 = 130;
/// Error number of the operating system for a file that does not exist.
const ENOENT: i32 = 2;

/// Meaning of a subcommand's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCodeMode {
    /// The exit code reports whether the subcommand succeeded.
    Control,
    /// The exit code is the exit code of the process.
    PassThrough,
}

/// Returns the exit code for a failed subcommand.
pub(crate) fn of_failure(failure: &CliError, regime: ExitCodeMode) -> i32 {
    let code = match failure {
        CliError::Interrupted => return CTRL_C,
        CliError::Usage { .. } | CliError::Choice { .. } | CliError::NotText { .. } => return USAGE,
        // A foreground launch returns this code too, because no process was started whose exit code it could be
        // mistaken for.
        CliError::Client(ClientError::Problem { problem })
            if matches!(problem.slug.as_str(), "invalid_request" | "environment_not_portable") =>
        {
            return USAGE;
        }
        // Subcommands that pass on the exit code of a process return this code too, because no process exists whose
        // exit code it could be mistaken for.
        CliError::Client(ClientError::Problem { problem }) if is_unknown(&problem.slug) => return NOT_FOUND,
        CliError::Client(ClientError::Problem { problem }) => of_problem(problem),
        CliError::Unclear { cause, .. } => return of_failure(cause, regime),
        CliError::Client(ClientError::NotJson { .. } | ClientError::InvalidPath { .. }) => return USAGE,
        CliError::Client(
            ClientError::Down { .. }
            | ClientError::Stranger { .. }
            | ClientError::Protocol { .. }
            | ClientError::Broken { .. }
            | ClientError::Silent { .. },
        ) => UNREACHABLE,
        CliError::Client(ClientError::Forbidden { .. }) => FORBIDDEN,
        CliError::File { .. }
        | CliError::Unchanged { .. }
        | CliError::Unfinished { .. }
        | CliError::Output { .. }
        | CliError::Untold { .. } => FAILED,
    };
    match regime {
        ExitCodeMode::Control => code,
        ExitCodeMode::PassThrough => INTERNAL_ERROR,
    }
}

/// Returns true if this error code means that the given id or name matches no object, or more than one.
fn is_unknown(slug: &str) -> bool {
    matches!(slug, "process_not_found" | "ambiguous_id" | "session_not_found" | "node_not_found")
}

/// Returns the exit code that describes how a process ended. If the process is still live, returns the exit code of a
/// wait that timed out.
pub(crate) fn of_process(process: &ProcessView) -> i32 {
    match ParsedStatus::of(process) {
        ParsedStatus::Completed => process.exit_code.unwrap_or(DONE),
        ParsedStatus::Failed => of_failed(process),
        ParsedStatus::Timeout => TIMEOUT,
        ParsedStatus::Cancelled => {
            let exit = process.exit.as_ref();
            let signal = exit.and_then(|exit| exit.signal.or(exit.last_signal));
            by_signal(signal.unwrap_or(15))
        }
        ParsedStatus::Interrupted | ParsedStatus::OtherEnded => INTERNAL_ERROR,
        ParsedStatus::Pending
        | ParsedStatus::Starting
        | ParsedStatus::Running
        | ParsedStatus::Paused
        | ParsedStatus::Stopping
        | ParsedStatus::OtherLive => WAIT_TIMED_OUT,
    }
}

fn of_problem(problem: &Problem) -> i32 {
    match problem.slug.as_str() {
        slug if is_unknown(slug) => NOT_FOUND,
        "invalid_status_transition" | "unsupported" | "input_closed" | "wrong_node" => INVALID_TRANSITION,
        "limit_reached"
        | "rejected"
        | "no_slot"
        | "level_limit_reached"
        | "too_deep"
        | "ancestor_stopping"
        | "parent_not_found"
        | "deadlock_with_ancestors"
        | "key_conflict"
        | "launch_pruned"
        | "runner_not_installed"
        | "policy_conflict"
        | "too_many_pending_actions" => REFUSED,
        "store_unavailable"
        | "outcome_unknown"
        | "cluster_key_unusable"
        | "store_lost"
        | "state_dir_copied"
        | "store_owned_elsewhere"
        | "store_mismatch"
        | "node_id_mismatch"
        | "node_name_taken"
        | "store_read_only"
        | "store_full"
        | "shutting_down"
        | "node_unreachable"
        | "input_unavailable"
        | "resetting"
        | "not_found"
        | "method_not_allowed"
        | "state_dir_unusable"
        | "already_running"
        | "manager_timeout" => UNREACHABLE,
        "state_dir_lost" => STATE_DIR_LOST,
        "revision_conflict" => FAILED,
        "invalid_request" | "environment_not_portable" | "invalid_configuration" => USAGE,
        _ => match problem.status {
            400 | 422 => USAGE,
            401 | 403 => FORBIDDEN,
            404 => NOT_FOUND,
            409 => INVALID_TRANSITION,
            429 => REFUSED,
            502..=504 | 507 => UNREACHABLE,
            _ => FAILED,
        },
    }
}

fn of_failed(process: &ProcessView) -> i32 {
    let exit = process.exit.as_ref();
    if let Some(signal) = exit.and_then(|exit| exit.signal) {
        return by_signal(signal);
    }
    match process.exit_code.or_else(|| exit.and_then(|exit| exit.code)) {
        Some(DONE) => FAILED,
        Some(code) => code,
        None if process.work == "command" => of_failed_start(process),
        None => FAILED,
    }
}

/// Returns the exit code for a command that could not be started. The stage at which the start failed distinguishes a
/// missing program from a program that cannot be executed.
fn of_failed_start(process: &ProcessView) -> i32 {
    let failure = process.start_failure.as_ref();
    match failure.map(|failure| (failure.stage.as_str(), failure.errno)) {
        Some(("program", Some(ENOENT))) => NO_COMMAND,
        Some(("program" | "exec", _)) => NOT_EXECUTABLE,
        Some(_) | None => INTERNAL_ERROR,
    }
}

fn by_signal(signal: u8) -> i32 {
    128 + i32::from(signal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::api::{ExitView, StartFailureView};
    use std::io;
    use std::time::Duration;

    #[test]
    fn every_row_of_the_control_regime_has_its_code() {
        for (slug, code) in [
            ("internal", 1),
            ("payload_too_large", 1),
            ("invalid_status_transition", 4),
            ("unsupported", 4),
            ("limit_reached", 5),
            ("rejected", 5),
            ("no_slot", 5),
            ("level_limit_reached", 5),
            ("too_deep", 5),
            ("ancestor_stopping", 5),
            ("parent_not_found", 5),
            ("deadlock_with_ancestors", 5),
            ("key_conflict", 5),
            ("launch_pruned", 5),
            ("policy_conflict", 5),
            ("too_many_pending_actions", 5),
            ("revision_conflict", 1),
            ("shutting_down", 6),
            ("resetting", 6),
            ("method_not_allowed", 6),
            ("not_found", 6),
            ("store_unavailable", 6),
            ("outcome_unknown", 6),
            ("cluster_key_unusable", 6),
            ("store_read_only", 6),
            ("store_full", 6),
        ] {
            assert_eq!(of_failure(&problem(slug, 500), ExitCodeMode::Control), code, "{slug}");
            assert_eq!(of_failure(&problem(slug, 500), ExitCodeMode::PassThrough), 125, "{slug}");
        }
    }

    #[test]
    fn refused_usage_is_two_in_both_regimes() {
        for regime in [ExitCodeMode::Control, ExitCodeMode::PassThrough] {
            assert_eq!(of_failure(&problem("invalid_request", 400), regime), 2);
        }
    }

    #[test]
    fn missing_process_has_exit_code_three_in_both_modes() {
        for slug in ["process_not_found", "ambiguous_id", "session_not_found"] {
            for regime in [ExitCodeMode::Control, ExitCodeMode::PassThrough] {
                assert_eq!(of_failure(&problem(slug, 404), regime), 3, "{slug}");
            }
        }
    }

    #[test]
    fn unknown_word_goes_by_its_http_status() {
        for (status, code) in
            [(400, 2), (401, 7), (403, 7), (404, 3), (409, 4), (429, 5), (503, 6), (507, 6), (500, 1)]
        {
            assert_eq!(
                of_failure(&problem("of_a_later_version", status), ExitCodeMode::Control),
                code,
                "{status}"
            );
        }
    }

    #[test]
    fn missing_silent_or_foreign_manager_is_six() {
        let failures = [
            CliError::from(ClientError::Down {
                socket: "s".into(),
                state_dir: "d".into(),
                started: None,
                source: io::Error::from(io::ErrorKind::NotFound),
            }),
            ClientError::Stranger { socket: "s".into() }.into(),
            ClientError::Protocol { theirs: "2".to_owned(), manager: None }.into(),
            ClientError::Broken { why: "x".to_owned() }.into(),
            ClientError::Silent { waited: Duration::from_secs(1), stopped: None }.into(),
            CliError::from(ClientError::Broken { why: "x".to_owned() }).of_launch(None),
        ];
        for failure in failures {
            assert_eq!(of_failure(&failure, ExitCodeMode::Control), 6, "{failure:?}");
            assert_eq!(of_failure(&failure, ExitCodeMode::PassThrough), 125, "{failure:?}");
        }
    }

    #[test]
    fn socket_of_another_user_has_exit_code_seven() {
        let failure = ClientError::Forbidden {
            socket: "s".into(),
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        assert_eq!(of_failure(&failure.into(), ExitCodeMode::Control), 7);
    }

    #[test]
    fn usage_and_ctrl_c_are_the_same_in_both_regimes() {
        for regime in [ExitCodeMode::Control, ExitCodeMode::PassThrough] {
            let usage = CliError::Usage { what: "x".to_owned(), why: None, help: "y".to_owned() };
            assert_eq!(of_failure(&usage, regime), 2);
            assert_eq!(of_failure(&CliError::Interrupted, regime), 130);
        }
    }

    #[test]
    fn every_row_of_the_pass_through_regime_has_its_code() {
        for (process, code) in [
            (process("completed", Some(0), None), 0),
            (process("completed", None, None), 0),
            (process("failed", Some(7), None), 7),
            (process("failed", None, Some(9)), 137),
            (process("failed", None, Some(11)), 139),
            (process("timeout", None, Some(15)), 124),
            (process("timeout", Some(3), None), 124),
            (process("cancelled", None, Some(15)), 143),
            (process("cancelled", None, Some(9)), 137),
            (process("cancelled", Some(0), None), 143),
            (process("cancelled", None, None), 143),
            (process("interrupted", None, None), 125),
            (process("running", None, None), 75),
            (process("pending", None, None), 75),
        ] {
            assert_eq!(of_process(&process), code, "{process:?}");
        }
    }

    #[test]
    fn command_that_was_never_executed_is_126_or_127() {
        for (stage, errno, code) in [
            ("program", Some(2), 127),
            ("program", Some(13), 126),
            ("program", Some(21), 126),
            ("program", None, 126),
            // The program file exists, but the interpreter that its first line names does not.
            ("exec", Some(2), 126),
            ("exec", Some(8), 126),
            ("directory", Some(2), 125),
            ("directory", Some(13), 125),
            ("supervisor", None, 125),
        ] {
            let start_failure = Some(StartFailureView { stage: stage.to_owned(), errno });
            let process = ProcessView { start_failure, ..process("failed", None, None) };
            assert_eq!(of_process(&process), code, "{stage} {errno:?}");
        }
        assert_eq!(of_process(&process("failed", None, None)), 125, "five attempts that never ran");
    }

    #[test]
    fn reported_failure_is_one() {
        let process = ProcessView {
            status: "failed".to_owned(),
            work: "reported".to_owned(),
            ..ProcessView::default()
        };
        assert_eq!(of_process(&process), 1);
    }

    fn problem(slug: &str, status: u16) -> CliError {
        CliError::from(Problem { slug: slug.to_owned(), status, ..Problem::default() })
    }

    fn process(status: &str, code: Option<i32>, signal: Option<u8>) -> ProcessView {
        ProcessView {
            status: status.to_owned(),
            work: "command".to_owned(),
            exit_code: code,
            exit: (code.is_some() || signal.is_some()).then(|| ExitView {
                code,
                signal,
                ..ExitView::default()
            }),
            ..ProcessView::default()
        }
    }
}
