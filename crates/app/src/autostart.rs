//! Starts a manager for a client that did not find a running manager.

use crate::failure::ProgramError;
use crate::log;
use crate::state_dir::{LOG, StateDir};
use longhaul_cli::StartError;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Maximum time until a newly started manager accepts a connection.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between two attempts to connect to the socket of the started manager.
const STEP: Duration = Duration::from_millis(2);
/// Number of lines of the manager's log that are shown in an error message.
const LINES: usize = 5;
/// Environment variables that a started manager does not inherit, because a manager belongs to no session.
///
/// If the client runs inside a managed process, the manager does inherit the variables that describe this process. With
/// these variables, the manager finds the shim of the process and announces that it is not part of the process.
const NOT_INHERITED: &[&str] = &["LONGHAUL_SESSION", longhaul_shim::SHIM_VARIABLE];

/// Starts the manager of a state directory and returns as soon as its socket accepts connections.
///
/// Two clients may call this function at the same time. Each client then starts a manager, but only one manager gets
/// the lock. The other manager exits, and both clients connect to the manager with the lock.
pub(crate) fn autostart(state_dir: &Path) -> Result<(), StartError> {
    let state = StateDir::prepare(state_dir)
        .map_err(|error| StartError::Refused { problem: Box::new(ProgramError::from(error).problem()) })?;
    let log = state_dir.join(LOG);
    let logged = log.metadata().map_or(0, |found| found.len());
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("longhaul"));
    let mut command = Command::new(&program);
    command
        .args(["serve", "--autostarted", "--state-dir"])
        .arg(state_dir)
        .arg("--log")
        .arg(&log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    keep_descriptors();
    let mut start =
        || command.spawn().map_err(|source| StartError::Spawn { program: program.clone(), source });
    let mut manager = start()?;
    let begun = Instant::now();
    loop {
        if state.connect().is_ok() {
            return Ok(());
        }
        match manager.try_wait() {
            // The started manager exited because another manager is running. That manager may be shutting down, so the
            // start is repeated.
            Ok(Some(status)) if status.success() => manager = start()?,
            Ok(Some(status)) => return Err(ended(&state, status, log::last_lines(&log, logged, LINES))),
            Ok(None) | Err(_) => {}
        }
        if begun.elapsed() > START_TIMEOUT {
            return Err(StartError::Silent {
                waited: START_TIMEOUT,
                last_lines: log::last_lines(&log, logged, LINES),
            });
        }
        std::thread::sleep(STEP);
    }
}

/// Returns the error for a manager that exited before it accepted a connection. The error is the problem that the
/// manager logged. Without such a log entry, it is a full disk (on which the log cannot be written) or only the exit
/// status.
fn ended(state: &StateDir, status: ExitStatus, last_lines: Vec<String>) -> StartError {
    let said =
        last_lines.iter().rev().find_map(|line| serde_json::from_str(line.get(line.find('{')?..)?).ok());
    match said {
        Some(problem) => StartError::Refused { problem: Box::new(problem) },
        None => match ProgramError::of_full_disk(state) {
            Some(full) => StartError::Refused { problem: Box::new(full.problem()) },
            None => StartError::Ended { ending: status.to_string(), last_lines },
        },
    }
}

/// Marks all descriptors except stdin, stdout and stderr as close-on-exec.
///
/// Without the mark, the manager could inherit a pipe that belongs to the caller of the client. The reader of that pipe
/// would then wait until the manager exits.
fn keep_descriptors() {
    #[expect(unsafe_code, reason = "no safe interface has this call")]
    // SAFETY: the arguments are plain numbers. With the flag CLOEXEC, the call closes no descriptor of this program. It
    // only marks descriptors to be closed at an exec. All descriptors that Rust opens already have this mark.
    let _ = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
}
