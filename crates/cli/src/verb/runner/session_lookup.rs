//! Finds the remote session that a process continues.

use super::reporter::Reporter;
use super::session_file::{SessionFile, StoredSession};
use super::stop_signal::StopSignal;
use crate::exit_code::WAIT_TIMED_OUT;
use longhaul_wire::api::ProcessView;
use std::io;
use std::path::{Path, PathBuf};

/// Maximum number of earlier processes whose session is looked up.
const MAX_EARLIER: usize = 100;
/// Maximum number of session files of deleted processes that one call removes.
const MAX_REMOVED: usize = 20;

/// The remote session that was found for a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FoundSession {
    /// There is no session, so the process creates one.
    None,
    /// The session exists, so the process follows it.
    Exists {
        /// Id of the session.
        session: String,
    },
    /// A session may exist, but its id is unknown.
    Uncertain {
        /// Path of the session file.
        file: PathBuf,
        /// Reason why the id is unknown.
        why: String,
    },
    /// An earlier attempt of this process failed to create a session, but a session may exist.
    StartFailed {
        /// Reason of the failure.
        why: String,
    },
    /// Another live process follows the session.
    Taken {
        /// Id of the process that follows the session.
        by: String,
    },
}

/// Finds the session that a process continues: the session of an earlier attempt, otherwise the session of the process
/// that was restarted. In the second case, writes the id of the new process to the session file of the restarted
/// process, so that only one process follows the session.
pub(super) async fn find(
    state_dir: &Path,
    process: &str,
    reporter: &Reporter<'_>,
    stop: &mut StopSignal,
) -> io::Result<FoundSession> {
    let own = SessionFile::of(state_dir, process);
    if let Some(found) = of_file(&own, None)? {
        return Ok(found);
    }
    let mut record = reporter.record(process, stop).await;
    for _ in 0..MAX_EARLIER {
        let Some(earlier) = record.and_then(|record| record.restarted_from) else { break };
        let file = SessionFile::of(state_dir, &earlier);
        let stored = file.read()?;
        if let Some(StoredSession::Continued { by }) = &stored
            && by != process
        {
            // If the process `by` has no session file, it has followed the session to its end.
            let is_followed = SessionFile::of(state_dir, by).read()?.is_some();
            return Ok(if is_followed { FoundSession::Taken { by: by.clone() } } else { FoundSession::None });
        }
        if let Some(found) = of_file(&file, Some(process))? {
            return match &found {
                FoundSession::Exists { session } => {
                    own.write(&StoredSession::Created { session: session.clone() })?;
                    file.write(&StoredSession::Continued { by: process.to_owned() })?;
                    Ok(found)
                }
                FoundSession::None
                | FoundSession::Uncertain { .. }
                | FoundSession::StartFailed { .. }
                | FoundSession::Taken { .. } => Ok(found),
            };
        }
        record = reporter.record(&earlier, stop).await;
        if let Some(session) = record.as_ref().and_then(open_session) {
            own.write(&StoredSession::Created { session: session.clone() })?;
            return Ok(FoundSession::Exists { session });
        }
        // The session of this process has ended. Do not search further, because the sessions of earlier processes have
        // ended too.
        if record.as_ref().is_some_and(|record| record.agent_session_id.is_some()) {
            break;
        }
    }
    Ok(FoundSession::None)
}

/// Returns the session that a file describes. Returns `None` if the file does not exist, or if it says that the process
/// `heir` follows the session.
fn of_file(file: &SessionFile, heir: Option<&str>) -> io::Result<Option<FoundSession>> {
    Ok(match file.read()? {
        None => None,
        Some(StoredSession::Starting) => {
            let why = "an earlier attempt was cut off while it created a remote session".to_owned();
            Some(FoundSession::Uncertain { file: file.path().to_owned(), why })
        }
        Some(StoredSession::Unidentified { why }) => {
            Some(FoundSession::Uncertain { file: file.path().to_owned(), why })
        }
        // The process `heir` is a restart that a client requested, so it creates a session.
        Some(StoredSession::StartFailed { .. }) if heir.is_some() => Some(FoundSession::None),
        Some(StoredSession::StartFailed { why }) => Some(FoundSession::StartFailed { why }),
        Some(StoredSession::Created { session }) => Some(FoundSession::Exists { session }),
        Some(StoredSession::Continued { by }) if heir == Some(by.as_str()) => None,
        Some(StoredSession::Continued { by }) => Some(FoundSession::Taken { by }),
    })
}

/// Returns the session of the process in `record`, if this session may still be live although the process has no
/// session file. A process that was stopped is not meant: its session file exists until its session ends.
fn open_session(record: &ProcessView) -> Option<String> {
    let has_lost_sight = record.exit_code == Some(WAIT_TIMED_OUT);
    let was_cut_off = record.status == "interrupted";
    record.agent_session_id.clone().filter(|_| was_cut_off || has_lost_sight)
}

/// Removes the session files of processes that the manager has deleted.
pub(super) async fn remove_outdated(state_dir: &Path, process: &str, reporter: &Reporter<'_>) {
    let others = SessionFile::all(state_dir).into_iter().filter(|other| other != process);
    for other in others.take(MAX_REMOVED) {
        if reporter.is_unknown(&other).await {
            // Ignore an error: the file uses little space, and the next remote session tries to remove it again.
            let _ = SessionFile::of(state_dir, &other).remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_creation_is_repeated_by_a_restart_and_never_by_a_retry() {
        let top = tempfile::tempdir().unwrap();
        let file = SessionFile::of(top.path(), "p1");
        let why = "the tool exited with code 1".to_owned();
        file.write(&StoredSession::StartFailed { why: why.clone() }).unwrap();
        assert_eq!(of_file(&file, None).unwrap(), Some(FoundSession::StartFailed { why: why.clone() }));
        assert_eq!(of_file(&file, Some("p2")).unwrap(), Some(FoundSession::None));
        file.write(&StoredSession::Unidentified { why: why.clone() }).unwrap();
        let uncertain = FoundSession::Uncertain { file: file.path().to_owned(), why };
        for heir in [None, Some("p2")] {
            assert_eq!(of_file(&file, heir).unwrap(), Some(uncertain.clone()));
        }
    }
}
