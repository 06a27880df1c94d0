//! Starts a manager for a client that found none.

use crate::failure::ProgramError;
use crate::log;
use crate::state_dir::{LOG, StateDir};
use longhaul_cli::StartError;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A manager that does not answer by then has failed.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at the socket, which cannot be waited for before it is there.
const STEP: Duration = Duration::from_millis(2);
/// Lines of the log that an error shows.
const LINES: usize = 5;
/// A manager belongs to no session. What a managed process is told about itself stays: by it the manager finds the shim
/// above, to which it says that it is no part of that process.
const NOT_INHERITED: &[&str] = &["LONGHAUL_SESSION", longhaul_shim::SHIM_VARIABLE];

/// Starts the manager of a state directory and returns when its socket answers.
///
/// Two clients may do so at the same time: one manager gets the lock, the other one leaves, and both clients get in.
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
            // The started manager left because another one answered. That one may be ending, so another start is tried.
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

/// Why a manager ended before it answered: in its own words, if its log has them. A full disk has no room for them.
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

/// Lets no descriptor but the first three reach the manager: a pipe of the client's caller would stay open with it,
/// and whoever reads from that pipe would wait for the manager's end.
fn keep_descriptors() {
    #[expect(unsafe_code, reason = "no safe interface has this call")]
    // SAFETY: the call takes numbers alone. With CLOEXEC it closes nothing in this process: it marks descriptors to be
    // closed at an exec, as every descriptor opened by Rust is anyway.
    let _ = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
}
