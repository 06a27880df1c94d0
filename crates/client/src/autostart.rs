//! Starts a manager for a client that did not find a running manager.

use crate::manager_locator::StartError;
use crate::state_dir::{LOG, StateDir};
use longhaul_wire::api::Problem;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Maximum time until a newly started manager accepts a connection.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between two attempts to connect to the socket of the started manager.
const STEP: Duration = Duration::from_millis(2);
/// Maximum number of bytes from the end of a log that are read for an error message.
const TAIL: u64 = 8 * 1024;
/// Disk space that one start of a manager may need, in bytes: for files of the store, the clock and a few commits.
pub const START_BYTES: u64 = 128 * 1024;
/// Number of lines of the manager's log that are shown in an error message.
const LINES: usize = 5;
/// Environment variables that a started manager does not inherit, because a manager belongs to no session.
///
/// If the client runs inside a managed process, the manager does inherit the variables that describe this process. With
/// these variables, the manager finds the shim of the process and tells the shim that the manager is not part of the
/// process.
const NOT_INHERITED: &[&str] = &["LONGHAUL_SESSION", "LONGHAUL_SHIM"];

/// Starts the manager of a state directory with this program, and returns as soon as its socket accepts connections.
///
/// The program is executed with `serve --autostarted --state-dir PATH --log PATH`.
///
/// Two clients may call this function at the same time. Each client then starts a manager, but only one manager gets
/// the lock. The other manager exits, and both clients connect to the manager with the lock.
///
/// # Errors
/// [`StartError`] if the state directory cannot be used, or if no manager answers.
pub fn autostart(program: &Path, state_dir: &Path) -> Result<(), StartError> {
    let state = StateDir::prepare(state_dir)
        .map_err(|error| StartError::Refused { problem: Box::new(error.problem()) })?;
    let log = state_dir.join(LOG);
    let logged = log.metadata().map_or(0, |found| found.len());
    let mut command = Command::new(program);
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
        || command.spawn().map_err(|source| StartError::Spawn { program: program.to_owned(), source });
    let mut manager = start()?;
    let begun = Instant::now();
    loop {
        if state.connect().is_ok() {
            return Ok(());
        }
        match manager.try_wait() {
            // The started manager exited because another manager was running. The other manager may be shutting down,
            // so try to start a manager again.
            Ok(Some(status)) if status.success() => manager = start()?,
            Ok(Some(status)) => return Err(ended(&state, status, last_lines(&log, logged, LINES))),
            Ok(None) | Err(_) => {}
        }
        if begun.elapsed() > START_TIMEOUT {
            return Err(StartError::Silent {
                waited: START_TIMEOUT,
                last_lines: last_lines(&log, logged, LINES),
            });
        }
        std::thread::sleep(STEP);
    }
}

/// Returns the error for a manager that exited before it accepted a connection. If the manager logged a problem, the
/// error contains this problem. Otherwise, the error is a full disk if the disk is full, because the manager could then
/// not write its log. In all other cases, the error contains the exit status.
fn ended(state: &StateDir, status: ExitStatus, last_lines: Vec<String>) -> StartError {
    let said =
        last_lines.iter().rev().find_map(|line| serde_json::from_str(line.get(line.find('{')?..)?).ok());
    match said {
        Some(problem) => StartError::Refused { problem: Box::new(problem) },
        None => match full_disk(state) {
            Some(problem) => StartError::Refused { problem: Box::new(problem) },
            None => StartError::Ended { ending: status.to_string(), last_lines },
        },
    }
}

/// Returns the problem of a manager that cannot start because the disk is full. Returns `None` if the disk has free
/// space.
fn full_disk(state: &StateDir) -> Option<Problem> {
    let free = state.free_bytes().ok().filter(|free| *free < START_BYTES)?;
    Some(full_disk_problem(state.path(), free))
}

/// Returns the problem of a manager that cannot start because the disk of its state directory is full. `free` is the
/// number of free bytes.
#[must_use]
pub fn full_disk_problem(state_dir: &Path, free: u64) -> Problem {
    Problem {
        slug: "store_full".to_owned(),
        title: format!("the disk of the state directory {} is full", state_dir.display()),
        help: Some(format!(
            "free some disk space ({free} bytes are free); running processes continue, and their timeouts still apply"
        )),
        ..Problem::default()
    }
}

/// Returns at most `limit` lines from the end of a log. Lines before the byte offset `offset` are left out.
fn last_lines(path: &Path, offset: u64, limit: usize) -> Vec<String> {
    let tail = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        // The log can be shorter than the offset if the log was renamed and a new log was started in the meantime.
        let offset = if offset > end { 0 } else { offset };
        file.seek(SeekFrom::Start(offset.max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = tail().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.len().saturating_sub(limit);
    lines.into_iter().skip(begin).map(str::to_owned).collect()
}

/// Marks all descriptors except stdin, stdout and stderr as close-on-exec.
///
/// Without this flag, the manager could inherit a pipe that belongs to the caller of the client. The reader of the pipe
/// would then wait until the manager exits.
fn keep_descriptors() {
    #[expect(unsafe_code, reason = "no safe interface has this call")]
    // SAFETY: the arguments are plain numbers. With the flag CLOEXEC, the call closes no descriptor of this program.
    // The call only marks descriptors to be closed at an exec. All descriptors that Rust opens already have this flag.
    let _ = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_from_the_current_start() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("log");
        std::fs::write(&path, "old\none\ntwo\nthree\n").unwrap();
        assert_eq!(last_lines(&path, 4, 2), ["two", "three"]);
        assert_eq!(last_lines(&path, 4, 9), ["one", "two", "three"]);
        assert_eq!(last_lines(&path, 1_000, 1), ["three"]);
        assert!(last_lines(&top.path().join("none"), 0, 5).is_empty());
    }
}
