//! Cancelled tasks. No other data about tasks is stored.

use crate::task::file;
use crate::task::secret::{hex, unhex};
use crate::task::token::Nonce;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Name of the file in the state directory: one task per line, oldest first.
const FILE: &str = "mcp.cancelled";
/// Maximum number of cancelled tasks that are stored.
const MAX_TASKS: usize = 4_096;

/// The most recently cancelled tasks.
#[derive(Debug)]
pub(super) struct CancelledTasks {
    path: PathBuf,
    known: Arc<Mutex<VecDeque<Nonce>>>,
}

impl CancelledTasks {
    /// Reads the cancelled tasks from a state directory, and removes all except the newest tasks from the file.
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let path = state.join(FILE);
        let bytes = file::read(&path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut known: VecDeque<Nonce> =
            text.lines().filter_map(|line| unhex(line)?.try_into().ok()).collect();
        if known.len() > MAX_TASKS {
            known.drain(..known.len() - MAX_TASKS);
            let lines: String = known.iter().map(|nonce| format!("{}\n", hex(nonce))).collect();
            file::replace(state, FILE, lines.as_bytes())?;
        }
        Ok(Self { path, known: Arc::new(Mutex::new(known)) })
    }

    /// Returns true if the task was cancelled.
    pub(super) fn holds(&self, nonce: &Nonce) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(nonce)
    }

    /// Stores a cancelled task durably.
    pub(super) async fn add(&self, nonce: Nonce) -> io::Result<()> {
        let (path, known) = (self.path.clone(), self.known.clone());
        let written = tokio::task::spawn_blocking(move || {
            // The lock is held during the write, so that lines are not mixed and no task is stored twice.
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.contains(&nonce) {
                return Ok(());
            }
            file::append(&path, format!("{}\n", hex(&nonce)).as_bytes())?;
            known.push_back(nonce);
            if known.len() > MAX_TASKS {
                known.pop_front();
            }
            Ok(())
        });
        written.await.unwrap_or_else(|broken| Err(io::Error::other(broken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[tokio::test]
    async fn cancelled_task_stays_so_in_the_next_life() {
        let state = tempfile::tempdir().unwrap();
        let cancelled = CancelledTasks::open(state.path()).unwrap();
        cancelled.add([1; 16]).await.unwrap();
        cancelled.add([1; 16]).await.unwrap();
        assert!(cancelled.holds(&[1; 16]) && !cancelled.holds(&[2; 16]));
        let next = CancelledTasks::open(state.path()).unwrap();
        assert!(next.holds(&[1; 16]) && !next.holds(&[2; 16]));
        assert_eq!(fs::read_to_string(state.path().join(FILE)).unwrap().lines().count(), 1);
    }

    #[tokio::test]
    async fn path_that_is_not_a_regular_file_is_neither_read_nor_written() {
        let state = tempfile::tempdir().unwrap();
        let (file, target) = (state.path().join(FILE), state.path().join("target"));
        let cancelled = CancelledTasks::open(state.path()).unwrap();
        fs::write(&target, "precious\n").unwrap();
        symlink(&target, &file).unwrap();
        cancelled.add([1; 16]).await.unwrap_err();
        CancelledTasks::open(state.path()).unwrap_err();
        assert_eq!(fs::read_to_string(target).unwrap(), "precious\n");
    }

    #[test]
    fn only_the_newest_are_kept_and_broken_lines_are_skipped() {
        let state = tempfile::tempdir().unwrap();
        let nonce = |n: u128| n.to_be_bytes();
        let mut text = "nonsense\n".to_owned();
        text.extend((0..5_000).map(|n| format!("{}\n", hex(&nonce(n)))));
        fs::write(state.path().join(FILE), text).unwrap();
        let cancelled = CancelledTasks::open(state.path()).unwrap();
        assert!(
            cancelled.holds(&nonce(4_999)) && !cancelled.holds(&nonce(903)) && cancelled.holds(&nonce(904))
        );
        assert_eq!(fs::read_to_string(state.path().join(FILE)).unwrap().lines().count(), MAX_TASKS);
    }
}
